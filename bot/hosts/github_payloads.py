"""The few fields of GitHub's webhook payloads that are needed, as pydantic models; whatever else is there is ignored."""

from __future__ import annotations

from typing import Annotated

from pydantic import AliasPath, AwareDatetime, BaseModel, Field, StringConstraints

from bot.domain.events import RepositoryRef
from bot.hosts.payloads import Host, Number, Text

Name = Annotated[str, StringConstraints(pattern=r"^[^/\x00]{1,100}$")]
HostOf = Annotated[Host, Field(validation_alias="html_url")]


class Action(BaseModel):
    action: str


class User(BaseModel):
    login: Name
    type: str = "User"

    @property
    def is_bot(self) -> bool:
        return self.type == "Bot" or self.login.endswith("[bot]")


class Account(User):
    host: HostOf


class Repository(BaseModel):
    name: Name
    owner: User
    host: HostOf

    @property
    def ref(self) -> RepositoryRef:
        return RepositoryRef(self.host, self.owner.login, self.name)


class Acted(Action):
    """What most payloads have."""

    repository: Repository
    sender: User


class Label(BaseModel):
    name: str


class Issue(BaseModel):
    number: Number
    updated_at: str
    pull_request: object = None
    """There, where the issue is a pull request."""


class Head(BaseModel):
    sha: str


class PullRequest(BaseModel):
    number: Number
    head: Head
    updated_at: str
    merged: bool = False


class IssueLabelled(Acted):
    issue: Issue
    label: Label


class WrittenIssue(Issue):
    body: Text = ""


class IssueEdited(Acted):
    """`before` is the text that it had, None where something else of it was changed."""

    issue: WrittenIssue
    before: Text | None = Field(None, validation_alias=AliasPath("changes", "body", "from"))


class PullRequestLabelled(Acted):
    pull_request: PullRequest
    label: Label


class PullRequestActed(Acted):
    pull_request: PullRequest


class Comment(BaseModel):
    id: Number
    body: Text


class IssueCommented(Acted):
    issue: Issue
    comment: Comment


class Review(BaseModel):
    id: Number
    state: str
    body: Text = ""


class Discussed(BaseModel):
    """The pull request that a review, or a comment in its code, is about."""

    number: Number


class CodeCommented(Acted):
    pull_request: Discussed
    comment: Comment


class ReviewSubmitted(Acted):
    pull_request: Discussed
    review: Review


class Suite(BaseModel):
    head_sha: str
    conclusion: Text = ""


class SuiteActed(Acted):
    check_suite: Suite


class PushedRepository(Repository):
    default_branch: str


class Push(BaseModel):
    ref: str
    before: str
    after: str
    repository: PushedRepository
    sender: User | None = None


class RepositoryRenamed(Acted):
    before: Annotated[Name, Field(validation_alias=AliasPath("changes", "repository", "name", "from"))]


class RepositoryTransferred(Acted):
    """Its owner was a user or an organization."""

    user: Name | None = Field(None, validation_alias=AliasPath("changes", "owner", "from", "user", "login"))
    organization: Name | None = Field(None, validation_alias=AliasPath("changes", "owner", "from", "organization", "login"))

    @property
    def former_owner(self) -> str:
        return self.organization or self.user or ""


class RepositoryPart(BaseModel):
    name: Name


class Installation(BaseModel):
    id: Number
    account: Account
    permissions: dict[str, str] = {}
    updated_at: AwareDatetime


class InstallationActed(Action):
    """`repositories` are those of a new installation; the other two those that were added to, or taken from, an earlier one."""

    installation: Installation
    sender: User
    repositories: list[RepositoryPart] = []
    repositories_added: list[RepositoryPart] = []
    repositories_removed: list[RepositoryPart] = []
