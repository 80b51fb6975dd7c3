"""Pull requests, on every host alike (GitLab's merge requests too)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal


class PullRequestState(StrEnum):
    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"


OWN_CHECKS = "whimbrel/"
"""How the name of each check begins that the bot reports itself: it is none of CI's."""


class ChecksState(StrEnum):
    """What CI says of the head; `none` where it says nothing."""

    NONE = ""
    PENDING = "pending"
    PASSED = "passed"
    FAILED = "failed"


def checks_state(results: Mapping[str, bool | None]) -> ChecksState:
    """What checks come to, by their names: one that failed is enough to fail, one that runs (None) to wait."""
    theirs = {passed for name, passed in results.items() if not name.startswith(OWN_CHECKS)}
    if not theirs:
        return ChecksState.NONE
    if False in theirs:
        return ChecksState.FAILED
    return ChecksState.PENDING if None in theirs else ChecksState.PASSED


class ReviewState(StrEnum):
    """What all reviews come to; `none` while more of them are needed, or there are none."""

    NONE = ""
    APPROVED = "approved"
    CHANGES_REQUESTED = "changes_requested"


@dataclass(frozen=True, slots=True)
class PullRequestText:
    """What a reviewer reads, and who is asked to read it."""

    title: str
    body: str
    labels: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    draft: bool = False
    auto_merge: bool = False
    """Merge it as soon as its reviews and checks allow it, where the repository does."""

    def says(self, wanted: PullRequestText) -> bool:
        """Is all that is `wanted` there? More labels are people's; who was asked to review, and how it is merged, is settled
        when it is opened."""
        same = (self.title, self.body, self.draft) == (wanted.title, wanted.body, wanted.draft)
        return same and {label.lower() for label in wanted.labels} <= {label.lower() for label in self.labels}


def head_name(branch: str, owner: str = "") -> str:
    """How a pull request's branch is told: by its name or, in a fork, as `OWNER:BRANCH`; no branch has a colon in its name."""
    return f"{owner}:{branch}" if owner else branch


def split_head(head: str) -> tuple[str, str]:
    """The owner of the fork, "" where the branch is the repository's own, and the branch."""
    owner, _, branch = head.rpartition(":")
    return owner, branch


@dataclass(frozen=True, slots=True)
class PullRequestRef:
    """Which pull request of an org: `repository` is the name below the org."""

    repository: str
    number: int


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A published pull request. `branch` is as `head_name` tells it; `head` is the commit that it points at, or pointed at
    when the pull request was closed.

    `conflicts` is None while the host does not know. `commits` are those that the base has not, merges left out, oldest first:
    the newest ones where they are very many. `updated_at` is when anything of it was changed, as the host writes it.
    """

    number: int
    state: PullRequestState
    branch: str
    base: str
    head: str
    text: PullRequestText
    url: str = ""
    closed_by: str = ""
    comments: tuple[Comment, ...] = field(default_factory=tuple)
    reviews: tuple[Review, ...] = field(default_factory=tuple)
    author: str = ""
    checks: ChecksState = ChecksState.NONE
    review: ReviewState = ReviewState.NONE
    conflicts: bool | None = None
    commits: tuple[str, ...] = ()
    updated_at: str = ""

    @property
    def conversation(self) -> list[Comment | Review]:
        """What people and the bot wrote, oldest first."""
        said: list[Comment | Review] = [*self.comments, *self.reviews]
        return sorted(said, key=lambda each: each.at)

    def last_words(self, author: str) -> str:
        """What somebody wrote last: in a review or a comment."""
        return next((each.body for each in reversed(self.conversation) if each.author == author and each.body.strip()), "")

    def objector(self) -> str:
        """Who asked for changes last, and has not taken that back."""
        standing = _standing(self.reviews)
        return next((each.author for each in reversed(self.reviews) if standing.get(each.author) == "changes_requested"), "")


@dataclass(frozen=True, slots=True)
class Comment:
    author: str
    body: str
    at: str


@dataclass(frozen=True, slots=True)
class Review:
    """`verdict` is approved, changes_requested, commented, or dismissed: taken back by somebody else."""

    author: str
    verdict: str
    body: str
    at: str


def review_state(reviews: Iterable[Review]) -> ReviewState:
    """What reviews come to, where the host has no rule: each counts by the last verdict of its author."""
    verdicts = set(_standing(reviews).values())
    if "changes_requested" in verdicts:
        return ReviewState.CHANGES_REQUESTED
    return ReviewState.APPROVED if "approved" in verdicts else ReviewState.NONE


def _standing(reviews: Iterable[Review]) -> dict[str, str]:
    """The last verdict of each author; a mere comment takes none back."""
    return {review.author: review.verdict for review in reviews if review.verdict != "commented"}


class Reaction(StrEnum):
    """How a comment is answered at once: seen, done, not done."""

    EYES = "eyes"
    ROCKET = "rocket"
    CONFUSED = "confused"


@dataclass(frozen=True, slots=True)
class Thread:
    """Where people talk. GitHub numbers issues and pull requests together, GitLab each kind by itself."""

    number: int
    kind: Literal["issue", "pull_request"]


@dataclass(frozen=True, slots=True)
class CommentRef:
    """Which comment: `kind` is comment, review_comment (in the code), or thread (the issue or pull request itself, `comment_id`
    its number)."""

    thread: Thread
    comment_id: int
    kind: str = "comment"


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a host shows beside a commit. `passed` is None while it is not known; `title` is one line, `summary` Markdown."""

    name: str
    passed: bool | None
    title: str
    summary: str
    url: str = ""
