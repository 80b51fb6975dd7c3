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
