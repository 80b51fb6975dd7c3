"""The hosts on which the story of an organization is told: a `Forge` is a fake one, with what differs from the others.

People: olga owns the organization and operates the bot, mia may write to its repositories, rita may only read them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bot.domain.pull_requests import Thread
from tests.fakes import repositories
from tests.story.conftest import Project

ORG = "acme"
OPERATOR, MAINTAINER, READER = "olga", "mia", "rita"
Files = Mapping[str, str]


@dataclass(frozen=True)
class PullSeen:
    """A pull request as its reviewers see it. `state` is open, closed or merged."""

    number: int
    branch: str
    state: str
    head: str
    labels: tuple[str, ...]

    @property
    def thread(self) -> Thread:
        return Thread(self.number, "pull_request")


@dataclass(frozen=True)
class CheckSeen:
    """A verdict as it is shown on a commit. `passed` is None while it is not known; `summary` is "" where a host has none."""

    name: str
    passed: bool | None
    title: str
    summary: str


class Forge(Protocol):
    """A host with the organization `ORG` and its three people; repositories are told by their names below it."""

    kind: str
    """Of host: the folder in the bot's home where its set-up is kept."""
    deep: str
    """Folders of the organization's, where the host has those."""
    mark: str
    """What stands before the number of a pull request where people name it."""
    shows_summaries: bool
    """Is more than a line shown of a verdict?"""
    tells_of_installing: bool
    """Is the bot told by a webhook that it has come to be there?"""

    @property
    def host(self) -> str:
        """The `host` of its org policy."""

    @property
    def bot(self) -> str:
        """The bot's login; known once it is connected."""

    def create(self, name: str, files: Files, *, archived: bool = False) -> None: ...

    def connect(self, project: Project, address: str) -> None:
        """What olga does at her keyboard and in her browser, so that the bot of `address` has all repositories."""

    def open_issue(self, person: str, repository: str, title: str) -> Thread: ...
    def label(self, person: str, repository: str, thread: Thread, label: str) -> None: ...
    def comment(self, person: str, repository: str, thread: Thread, body: str) -> int:
        """The comment's id."""

    def close(self, person: str, repository: str, number: int) -> None: ...
    def merge(self, person: str, repository: str, number: int) -> None: ...

    def pulls(self, repository: str) -> list[PullSeen]: ...
    def file(self, repository: str, branch: str, path: str) -> str: ...
    def seen(self, repository: str) -> object:
        """All that people see of it, to be compared: issues, pull requests, what is said and shown there."""

    def comments(self, repository: str, thread: Thread) -> list[tuple[str, str]]:
        """Author and text of each, oldest first."""

    def told(self, repository: str, thread: Thread) -> list[str]:
        """The texts that the bot's comments there have had, oldest first: each that was made, and each it was changed to."""

    def reactions(self, repository: str, thread: Thread, comment: int | None = None) -> list[tuple[str, str]]:
        """Who, and with what, on a comment, or else on the issue or pull request itself."""

    def checks(self, repository: str, commit: str) -> list[CheckSeen]: ...

    def is_quiet(self) -> bool:
        """Was each webhook answered?"""

    def refused(self) -> list[str]:
        """The webhooks that were never answered with a 2xx."""

    def delivered_of(self, person: str) -> list[str]:
        """The ids of the deliveries that tell of what somebody has said or labelled."""

    def deliver_again(self, *, as_new: bool) -> None:
        """Send every webhook once more: with the id that it had, or as another delivery of the same."""

    def secrets(self) -> Sequence[str]:
        """What the host gave out and nobody may keep."""

    def kept_secrets(self) -> Sequence[str]:
        """What belongs to the bot's set-up, and into its own folder alone."""

    def require_narrow_tokens(self, pushed: Iterable[str]) -> None:
        """Nothing went out with more power than it takes, as far as the host can mint less."""


OpenForge = Callable[[Path], AbstractContextManager[Forge]]
"""Opens one below a folder; at the end, whatever was not as the host describes itself is an AssertionError."""


def full(repository: str) -> str:
    return f"{ORG}/{repository}"


def file_in(path: Path, branch: str, name: str) -> str:
    """Of a bare repository."""
    content = repositories.files_at(path, branch)[name]
    assert isinstance(content, bytes)
    return content.decode()
