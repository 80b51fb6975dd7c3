"""What a host tells of itself, whichever host it is: one delivery of a webhook is none, one or several of these.

Who acts is named as the host names them. Nothing here is believed further than that: what a person may do is asked of the host.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bot.domain.pull_requests import CommentRef, Thread


@dataclass(frozen=True, slots=True)
class RepositoryRef:
    """Which repository: `host` is the network name of its host, such as github.com, or empty, where it is whoever says so;
    `name` is the path below the org."""

    host: str
    org: str
    name: str

    def __str__(self) -> str:
        return f"{self.org}/{self.name}"


@dataclass(frozen=True, slots=True)
class Labelled:
    """A label was put on an issue or a pull request, or taken off; `at` is when, as the host wrote it."""

    repository: RepositoryRef
    number: int
    label: str
    actor: str
    actor_is_bot: bool
    kind: Literal["issue", "pull_request"]
    removed: bool
    at: str

    @property
    def thread(self) -> Thread:
        return Thread(self.number, self.kind)

    @property
    def key(self) -> str:
        """The same for the same act, in whichever delivery it is told; a host gives such an act no number."""
        where = (self.repository.host, str(self.repository), self.kind, str(self.number))
        act = (*where, self.label, str(self.removed), self.at)
        return f"label:{_digest(*act)}"


@dataclass(frozen=True, slots=True)
class Commented:
    """Somebody has written a comment; a changed or deleted one is no event."""

    repository: RepositoryRef
    comment: CommentRef
    body: str
    actor: str
    actor_is_bot: bool

    @property
    def thread(self) -> Thread:
        return self.comment.thread

    @property
    def key(self) -> str:
        return f"{self.comment.kind}:{_digest(self.repository.host, str(self.comment.comment_id))}"


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Somebody has handed in a review; `verdict` is approved, changes_requested or commented."""

    repository: RepositoryRef
    number: int
    review_id: int
    verdict: str
    body: str
    actor: str
    actor_is_bot: bool

    @property
    def thread(self) -> Thread:
        return Thread(self.number, "pull_request")

    @property
    def key(self) -> str:
        return f"review:{_digest(self.repository.host, str(self.review_id))}"


@dataclass(frozen=True, slots=True)
class IssueEdited:
    """Somebody has changed the text of an issue from `before` to `after`; `at` is when, as the host wrote it."""

    repository: RepositoryRef
    number: int
    before: str
    after: str
    actor: str
    actor_is_bot: bool
    at: str

    @property
    def thread(self) -> Thread:
        return Thread(self.number, "issue")

    @property
    def key(self) -> str:
        """The same for the same edit, in whichever delivery it is told."""
        where = (self.repository.host, str(self.repository), str(self.number))
        return f"edit:{_digest(*where, self.actor, self.at, self.before, self.after)}"


PullRequestChange = Literal["opened", "closed", "reopened", "synchronized", "edited", "merged", "reviewed"]


@dataclass(frozen=True, slots=True)
class PullRequestChanged:
    """`what` is merged where it was closed by being merged; `head` is the commit that its branch points at."""

    repository: RepositoryRef
    number: int
    what: PullRequestChange
    head: str
    actor: str


@dataclass(frozen=True, slots=True)
class ChecksChanged:
    """CI says something new of the commit `head`; `conclusion` is the host's word, empty while it runs."""

    repository: RepositoryRef
    head: str
    conclusion: str


@dataclass(frozen=True, slots=True)
class Pushed:
    """The default branch was moved; `before` and `after` are full commit ids."""

    repository: RepositoryRef
    branch: str
    before: str
    after: str
    actor: str


RepositoryChange = Literal["created", "renamed", "transferred", "archived", "unarchived", "deleted", "edited"]


@dataclass(frozen=True, slots=True)
class RepositoryChanged:
    """`repository` is as it is named now; `old_name` is `ORG/NAME` from before a rename or a transfer, else empty."""

    repository: RepositoryRef
    what: RepositoryChange
    actor: str
    old_name: str = ""


InstallationChange = Literal[
    "created", "deleted", "suspended", "unsuspended", "permissions_accepted", "repositories_added", "repositories_removed"
]


@dataclass(frozen=True, slots=True)
class InstallationChanged:
    """The bot was installed in an org, or is so otherwise. `number` is the installation's, and grows with each new one.

    `permissions` are pairs of name and level; `repositories` the names below the org that it is about (none: not told, or
    all).
    """

    host: str
    org: str
    number: int
    what: InstallationChange
    permissions: tuple[tuple[str, str], ...]
    repositories: tuple[str, ...]
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Ping:
    """The host tries whether the bot hears it."""


RepositoryEvent = (
    Labelled | Commented | Reviewed | IssueEdited | PullRequestChanged | ChecksChanged | Pushed | RepositoryChanged
)
"""What is about one repository."""

Event = RepositoryEvent | InstallationChanged | Ping


def _digest(*parts: str) -> str:
    """Of any length, as short as a key may be."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """One try of a host to deliver: `delivery` is the same for each try, `id` is the host's number of this one."""

    id: int
    delivery: str
    at: datetime
    succeeded: bool
