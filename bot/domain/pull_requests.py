"""Pull requests, on every host alike (GitLab's merge requests too)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class PullRequestState(StrEnum):
    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"


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


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A published pull request. `head` is the commit its branch points at, or pointed at when it was closed."""

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


@dataclass(frozen=True, slots=True)
class Comment:
    author: str
    body: str
    at: str


@dataclass(frozen=True, slots=True)
class Review:
    """`verdict` is approved, changes_requested or commented."""

    author: str
    verdict: str
    body: str
    at: str


class Reaction(StrEnum):
    """How a comment is answered at once: seen, done, not done."""

    EYES = "eyes"
    ROCKET = "rocket"
    CONFUSED = "confused"


@dataclass(frozen=True, slots=True)
class CommentRef:
    """Which comment: `kind` is comment (of an issue or a pull request), review_comment, or issue (the issue or pull request
    itself, `comment_id` its number). `number` is the issue's or pull request's."""

    number: int
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
