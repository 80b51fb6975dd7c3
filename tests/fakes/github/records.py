"""What the fake GitHub knows: plain records, changed under the hub's lock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

JSON = dict[str, Any]


class AccountType(StrEnum):
    USER = "User"
    ORGANIZATION = "Organization"
    BOT = "Bot"


@dataclass(eq=False)
class Account:
    id: int
    login: str
    type: AccountType
    created_at: datetime
    members: dict[str, str] = field(default_factory=dict)
    """Of an organization: admin or member, by login in lower case."""
    teams: dict[str, Team] = field(default_factory=dict)
    """Of an organization, by slug."""
    properties: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Of an organization: custom property values by repository id."""

    @property
    def node_id(self) -> str:
        return f"{self.type.value[0]}_{self.id}"


@dataclass(eq=False)
class Team:
    id: int
    slug: str
    members: set[str] = field(default_factory=set)
    """Logins in lower case."""

    @property
    def node_id(self) -> str:
        return f"T_{self.id}"


@dataclass(eq=False)
class App:
    """A GitHub App. `pem` is its private key; `webhook_url` is where its events go (empty: nowhere)."""

    id: int
    slug: str
    name: str
    owner: Account
    bot: Account
    pem: str
    webhook_secret: str
    permissions: dict[str, str]
    events: list[str]
    created_at: datetime
    client_id: str
    client_secret: str
    webhook_url: str = ""
    setup_url: str = ""
    external_url: str = "https://example.com"
    description: str = ""
    public_key: str = ""

    @property
    def node_id(self) -> str:
        return f"A_{self.id}"


@dataclass(eq=False)
class Installation:
    """An app on an account. `repository_ids` is None where it has all repositories, those of tomorrow too."""

    id: int
    app: App
    account: Account
    repository_ids: set[int] | None
    permissions: dict[str, str]
    events: list[str]
    created_at: datetime
    suspended_at: datetime | None = None
    suspended_by: Account | None = None

    def covers(self, repository: Repository) -> bool:
        if repository.owner is not self.account:
            return False
        return self.repository_ids is None or repository.id in self.repository_ids


@dataclass(eq=False)
class Token:
    """A bearer of rights: an installation's (`installation`, narrowed by the rest) or a person's (`user`)."""

    value: str = field(repr=False)
    user: Account | None = None
    installation: Installation | None = None
    repository_ids: frozenset[int] | None = None
    permissions: dict[str, str] = field(default_factory=dict)
    expires_at: datetime | None = None


@dataclass(eq=False)
class Label:
    id: int
    name: str
    color: str = "ededed"
    description: str | None = None

    @property
    def node_id(self) -> str:
        return f"LA_{self.id}"


@dataclass(eq=False)
class Reaction:
    id: int
    user: Account
    content: str
    created_at: datetime


@dataclass(eq=False)
class Comment:
    """A comment of an issue or pull request; with a `path`, one of a review, on a line."""

    id: int
    issue: Issue
    user: Account
    body: str
    created_at: datetime
    updated_at: datetime
    app: App | None = None
    reactions: list[Reaction] = field(default_factory=list)
    path: str = ""
    line: int = 1
    commit_id: str = ""
    review_id: int | None = None
    reply_to: int | None = None

    @property
    def node_id(self) -> str:
        return f"{'PRRC' if self.path else 'IC'}_{self.id}"


@dataclass(eq=False)
class Issue:
    id: int
    number: int
    repository: Repository
    user: Account
    title: str
    body: str | None
    created_at: datetime
    updated_at: datetime
    app: App | None = None
    state: str = "open"
    closed_at: datetime | None = None
    closed_by: Account | None = None
    labels: list[Label] = field(default_factory=list)
    assignees: list[Account] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    reactions: list[Reaction] = field(default_factory=list)

    @property
    def node_id(self) -> str:
        return f"I_{self.id}"


@dataclass(eq=False)
class Review:
    id: int
    user: Account
    state: str
    body: str
    commit_id: str
    submitted_at: datetime

    @property
    def node_id(self) -> str:
        return f"PRR_{self.id}"


@dataclass(eq=False)
class Pull(Issue):
    """An issue with branches. `head_repository` is another than `repository` where it comes from a fork."""

    head_repository: Repository = None  # type: ignore[assignment]
    head_ref: str = ""
    head_sha: str = ""
    base_ref: str = ""
    base_sha: str = ""
    draft: bool = False
    maintainer_can_modify: bool = False
    merged_at: datetime | None = None
    merged_by: Account | None = None
    merge_commit_sha: str | None = None
    auto_merge: JSON | None = None
    requested_reviewers: list[Account] = field(default_factory=list)
    requested_teams: list[Team] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    review_comments: list[Comment] = field(default_factory=list)

    @property
    def node_id(self) -> str:
        return f"PR_{self.id}"


@dataclass(eq=False)
class CheckRun:
    id: int
    name: str
    head_sha: str
    app: App
    started_at: datetime
    suite_id: int
    status: str = "queued"
    conclusion: str | None = None
    completed_at: datetime | None = None
    details_url: str | None = None
    external_id: str = ""
    output: JSON = field(default_factory=dict)

    @property
    def node_id(self) -> str:
        return f"CR_{self.id}"


@dataclass(eq=False)
class Status:
    id: int
    sha: str
    state: str
    context: str
    description: str | None
    target_url: str | None
    creator: Account
    created_at: datetime


@dataclass(eq=False)
class Protection:
    """A rule for the branches that `pattern` fits: pushed to, made and deleted by admins alone; others merge pull requests.

    `reviews` approvals, and success of every one of `checks`, are needed for a merge.
    """

    id: int
    pattern: str
    reviews: int = 0
    checks: tuple[str, ...] = ()

    def fits(self, branch: str) -> bool:
        return fnmatchcase(branch, self.pattern)


@dataclass(eq=False)
class Repository:
    """A repository whose git part is the bare one at `path`."""

    id: int
    owner: Account
    name: str
    path: Path
    created_at: datetime
    updated_at: datetime
    pushed_at: datetime
    visibility: str = "private"
    archived: bool = False
    fork: bool = False
    template: bool = False
    description: str | None = None
    default_branch: str = "main"
    topics: list[str] = field(default_factory=list)
    languages: dict[str, int] = field(default_factory=dict)
    size_kb: int = 0
    allow_auto_merge: bool = False
    tree_limit: int = 100_000
    """How many entries a recursive listing of its tree may have; more are cut off."""
    parent: Repository | None = None
    only_default: bool = False
    """Of a fork: it was asked for with the default branch alone."""
    next_number: int = 1
    roles: dict[str, str] = field(default_factory=dict)
    """read, triage, write, maintain or admin, by login in lower case."""
    labels: dict[str, Label] = field(default_factory=dict)
    """By name in lower case."""
    issues: dict[int, Issue] = field(default_factory=dict)
    protections: list[Protection] = field(default_factory=list)
    check_runs: dict[int, CheckRun] = field(default_factory=dict)
    statuses: list[Status] = field(default_factory=list)
    seen_refs: dict[str, str] = field(default_factory=dict)
    """The refs as they were when their last change was told."""

    @property
    def node_id(self) -> str:
        return f"R_{self.id}"

    @property
    def full_name(self) -> str:
        return f"{self.owner.login}/{self.name}"

    @property
    def private(self) -> bool:
        return self.visibility != "public"

    @property
    def pulls(self) -> list[Pull]:
        return [issue for issue in self.issues.values() if isinstance(issue, Pull)]
