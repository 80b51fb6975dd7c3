"""What the fake GitLab knows: plain records, changed under the hub's lock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import IntEnum, StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

JSON = dict[str, Any]


class Level(IntEnum):
    """What a member may do. NONE sees what is public, or (signed in) internal."""

    NONE = 0
    GUEST = 10
    PLANNER = 15
    REPORTER = 20
    DEVELOPER = 30
    MAINTAINER = 40
    OWNER = 50
    NOBODY = 60
    """Not even owners: of a protected branch."""


class UserKind(StrEnum):
    HUMAN = "human"
    SERVICE_ACCOUNT = "service_account"
    TOKEN_BOT = "project_bot"
    """Whose name stands under what a group's or project's token does."""


@dataclass(eq=False)
class User:
    id: int
    username: str
    name: str
    created_at: datetime
    kind: UserKind = UserKind.HUMAN
    state: str = "active"
    admin: bool = False

    @property
    def email(self) -> str:
        return f"{self.username}@example.com"

    @property
    def bot(self) -> bool:
        return self.kind is not UserKind.HUMAN


@dataclass(eq=False)
class Member:
    user: User
    level: Level
    created_at: datetime
    expires_at: date | None = None


@dataclass(eq=False)
class Label:
    """Of a project or a group; a group's are good in everything below it."""

    id: int
    name: str
    color: str = "#6699cc"
    description: str | None = None
    group: bool = False
    created_at: datetime | None = None


@dataclass(eq=False)
class Group:
    """A group, or (`owner` is set) the namespace of a user."""

    id: int
    slug: str
    name: str
    parent: Group | None
    created_at: datetime
    visibility: str = "private"
    description: str = ""
    owner: User | None = None
    members: dict[int, Member] = field(default_factory=dict)
    """By the user's id."""
    labels: dict[str, Label] = field(default_factory=dict)
    """By name in lower case."""
    hooks: dict[int, Hook] = field(default_factory=dict)

    @property
    def full_path(self) -> str:
        return f"{self.parent.full_path}/{self.slug}" if self.parent else self.slug

    @property
    def full_name(self) -> str:
        return f"{self.parent.full_name} / {self.name}" if self.parent else self.name

    @property
    def chain(self) -> list[Group]:
        """Itself, its parent, and so on."""
        return [self, *(self.parent.chain if self.parent else [])]


@dataclass(eq=False)
class Token:
    """`kind` is personal, group, project or oauth; `group` and `project` are whose token it is."""

    id: int
    value: str = field(repr=False)
    user: User
    kind: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: date | None = None
    level: Level = Level.NONE
    group: Group | None = None
    project: Project | None = None
    revoked: bool = False
    last_used_at: datetime | None = None

    def expired(self, now: datetime) -> bool:
        """From midnight UTC of that day."""
        return self.expires_at is not None and now.date() >= self.expires_at


@dataclass(eq=False)
class Hook:
    """A webhook. `events` are those that are switched on, as the API names them (`merge_requests_events`)."""

    id: int
    owner: Group | Project
    url: str
    created_at: datetime
    uuid: str
    name: str = ""
    description: str = ""
    events: set[str] = field(default_factory=set)
    token: str = field(repr=False, default="")
    signing_token: str = field(repr=False, default="")
    enable_ssl_verification: bool = True
    push_events_branch_filter: str = ""
    branch_filter_strategy: str = "wildcard"
    custom_headers: dict[str, str] = field(default_factory=dict)
    failures: int = 0
    """In a row."""
    disabled_until: datetime | None = None
    disabled: bool = False
    """For good: until a test of it, or a change of it, goes well."""


@dataclass(eq=False)
class Award:
    id: int
    name: str
    user: User
    created_at: datetime


@dataclass(eq=False)
class Note:
    """A comment; with a `position` one on a line of a merge request's diff."""

    id: int
    thread: Issue
    discussion: Discussion
    author: User
    body: str
    created_at: datetime
    updated_at: datetime
    system: bool = False
    internal: bool = False
    position: JSON | None = None
    resolved_by: User | None = None
    resolved_at: datetime | None = None
    awards: list[Award] = field(default_factory=list)

    @property
    def type(self) -> str | None:
        if self.position is not None:
            return "DiffNote"
        return None if self.discussion.individual else "DiscussionNote"

    @property
    def resolvable(self) -> bool:
        return isinstance(self.thread, MergeRequest) and not self.discussion.individual and not self.system


@dataclass(eq=False)
class Discussion:
    """A thread of notes; an `individual` one is a single comment that is not to be replied to."""

    id: str
    individual: bool
    notes: list[Note] = field(default_factory=list)

    @property
    def resolved(self) -> bool:
        return all(note.resolved_by is not None for note in self.notes if note.resolvable)


@dataclass(eq=False)
class Issue:
    id: int
    iid: int
    project: Project
    author: User
    title: str
    description: str | None
    created_at: datetime
    updated_at: datetime
    state: str = "opened"
    closed_at: datetime | None = None
    closed_by: User | None = None
    labels: list[Label] = field(default_factory=list)
    assignees: list[User] = field(default_factory=list)
    discussions: list[Discussion] = field(default_factory=list)
    awards: list[Award] = field(default_factory=list)
    confidential: bool = False
    locked: bool = False

    @property
    def notes(self) -> list[Note]:
        return sorted((note for each in self.discussions for note in each.notes), key=lambda note: note.id)


def is_draft(title: str) -> bool:
    return title.lower().lstrip().startswith(("draft:", "[draft]", "(draft)"))


@dataclass(eq=False)
class Reviewer:
    user: User
    created_at: datetime
    state: str = "unreviewed"
    """unreviewed, reviewed, requested_changes, approved."""


@dataclass(eq=False)
class MergeRequest(Issue):
    """An issue with branches. `source_project` is another than `project` where it comes from a fork."""

    source_project: Project = None  # type: ignore[assignment]
    source_branch: str = ""
    target_branch: str = ""
    head_sha: str = ""
    base_sha: str = ""
    """Where the source has parted from the target."""
    start_sha: str = ""
    """The target's head when the source was last moved."""
    squash: bool = False
    remove_source_branch: bool = False
    allow_collaboration: bool = False
    auto_merge_by: User | None = None
    merged_at: datetime | None = None
    merged_by: User | None = None
    merge_commit_sha: str | None = None
    squash_commit_sha: str | None = None
    reviewers: list[Reviewer] = field(default_factory=list)
    approved_by: list[tuple[User, datetime]] = field(default_factory=list)
    checked_at: tuple[str, str | None] = ("", None)
    """The two heads at the last look at whether it can be merged."""

    @property
    def draft(self) -> bool:
        return is_draft(self.title)

    @property
    def discussions_resolved(self) -> bool:
        return all(each.resolved for each in self.discussions)


@dataclass(eq=False)
class Pipeline:
    id: int
    iid: int
    project: Project
    sha: str
    ref: str
    source: str
    user: User
    created_at: datetime
    updated_at: datetime
    status: str = "created"
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(eq=False)
class Status:
    """A job of a pipeline, or what an outside system said of a commit. `retried`: a later one has its name."""

    id: int
    pipeline: Pipeline
    name: str
    status: str
    author: User
    created_at: datetime
    description: str | None = None
    target_url: str | None = None
    coverage: float | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    retried: bool = False
    allow_failure: bool = False


@dataclass(eq=False)
class Protection:
    """A rule for the branches that `name` fits."""

    id: int
    name: str
    push: Level = Level.MAINTAINER
    merge: Level = Level.MAINTAINER
    allow_force_push: bool = False

    def fits(self, branch: str) -> bool:
        return fnmatchcase(branch, self.name)


@dataclass(eq=False)
class Project:
    """A project whose git part is the bare repository at `path`. `slug` is what GitLab calls its path."""

    id: int
    group: Group
    slug: str
    name: str
    path: Path
    creator: User
    created_at: datetime
    updated_at: datetime
    last_activity_at: datetime
    visibility: str = "private"
    description: str | None = None
    default_branch: str = "main"
    archived: bool = False
    marked_for_deletion_at: date | None = None
    topics: list[str] = field(default_factory=list)
    languages: dict[str, float] = field(default_factory=dict)
    """Percentages, as GitLab tells them."""
    size_bytes: int = 0
    lfs_bytes: int = 0
    forked_from: Project | None = None
    import_status: str = "none"
    looks: int = 0
    """How often it was asked for while it was a fork without its files."""
    issues_enabled: bool = True
    merge_requests_enabled: bool = True
    forking: bool = True
    merge_method: str = "merge"
    """merge, rebase_merge or ff."""
    squash_option: str = "default_off"
    """never, always, default_on or default_off."""
    remove_source_branch_after_merge: bool = True
    only_allow_merge_if_pipeline_succeeds: bool = False
    only_allow_merge_if_all_discussions_are_resolved: bool = False
    approvals_required: int = 0
    members: dict[int, Member] = field(default_factory=dict)
    """By the user's id."""
    shared_with: dict[int, Level] = field(default_factory=dict)
    """By the id of the group that it is shared with."""
    labels: dict[str, Label] = field(default_factory=dict)
    """By name in lower case."""
    issues: dict[int, Issue] = field(default_factory=dict)
    merge_requests: dict[int, MergeRequest] = field(default_factory=dict)
    pipelines: list[Pipeline] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    protections: dict[str, Protection] = field(default_factory=dict)
    hooks: dict[int, Hook] = field(default_factory=dict)
    seen_refs: dict[str, str] = field(default_factory=dict)
    """The refs as they were when their last change was told."""
    next_iid: dict[str, int] = field(default_factory=dict)
    """By kind: issues and merge requests are counted apart."""

    @property
    def full_path(self) -> str:
        return f"{self.group.full_path}/{self.slug}"

    @property
    def full_name(self) -> str:
        return f"{self.group.full_name} / {self.name}"

    def take_iid(self, kind: str) -> int:
        number = self.next_iid.get(kind, 1)
        self.next_iid[kind] = number + 1
        return number
