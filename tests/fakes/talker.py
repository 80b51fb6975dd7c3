"""People and issues for the local host, which knows neither: what a trigger needs of a host, with state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from bot.domain.boxes import Box
from bot.domain.events import Commented, IssueEdited, Labelled, RepositoryRef, Reviewed
from bot.domain.pull_requests import CheckReport, CommentRef, Reaction, Thread
from bot.domain.repositories import Repository
from bot.hosts.local import AUTHOR, LocalHost

ISSUES_FROM = 100
"""Numbers from here on are issues'; those below are pull requests of the local host."""


@dataclass(slots=True)
class KeptIssue:
    """An issue of the bot's own."""

    title: str
    body: str
    is_open: bool = True


class Talker:
    """`ports.Conversation` and `ports.KeepsIssues`. `permissions` are by login, `read` for everybody else; `watch` is told of
    each call, before and after it, and may raise."""

    def __init__(self, local: LocalHost, org: str = "acme", **permissions: str):
        self.local, self.org, self.permissions = local, org, permissions
        self.issues: dict[tuple[str, int], dict[str, str]] = defaultdict(dict)
        self.kept: dict[tuple[str, int], KeptIssue] = {}
        self.reactions: list[tuple[CommentRef, Reaction]] = []
        self.edits = 0
        self.watch: Callable[[str], None] = lambda _: None
        self._numbers = 0

    @property
    def own_login(self) -> str:
        return AUTHOR

    def permission_on(self, repository: Repository, user: str) -> str:
        self.watch("before permission_on")
        return self.permissions.get(user, "read")

    def react(self, repository: Repository, comment: CommentRef, reaction: Reaction) -> None:
        self.watch("before react")
        if (comment, reaction) not in self.reactions:
            self.reactions.append((comment, reaction))
        self.watch("after react")

    def tell(self, repository: Repository, thread: Thread, body: str, *, marker: str) -> None:
        self.watch("before tell")
        self.edits += 1
        if thread.number < ISSUES_FROM:
            self.local.tell(repository, thread, body, marker=marker)
        else:
            self.issues[repository.name, thread.number][marker] = body
        self.watch("after tell")

    def open_issue(self, repository: Repository, title: str, body: str, *, marker: str, since: datetime) -> int:
        self.watch("before open_issue")
        there = next((number for (name, number), kept in self.kept.items() if marker in kept.body), None)
        number = there or ISSUES_FROM + 100 + len(self.kept)
        if there is None:
            self.kept[repository.name, number] = KeptIssue(title, body)
        self.watch("after open_issue")
        return number

    def write_issue(self, repository: Repository, number: int, body: str, *, closing: bool) -> None:
        self.watch("before write_issue")
        kept = self.kept[repository.name, number]
        kept.body, kept.is_open = body, kept.is_open and not closing
        self.edits += 1
        self.watch("after write_issue")

    def tick(self, name: str, number: int, box: Box, *, by: str = "mia", bot: bool = False) -> IssueEdited:
        """What the host tells of it; each is another one. The box must be there, and open."""
        self._numbers += 1
        before = self.kept[name, number].body
        (line,) = (line for line in before.splitlines() if box.marker in line)
        assert line.startswith("- [ ] ")
        after = self.kept[name, number].body = before.replace(line, line.replace("[ ]", "[x]", 1))
        return IssueEdited(self._repository(name), number, before, after, by, bot, at=f"moment {self._numbers}")

    def report_check(self, repository: Repository, commit: str, report: CheckReport) -> None:
        self.watch("before report_check")
        self.local.report_check(repository, commit, report)
        self.watch("after report_check")

    def close_pull_request(self, repository: Repository, number: int) -> None:
        self.watch("before close_pull_request")
        self.local.close_pull_request(repository, number)
        self.watch("after close_pull_request")

    def said(self, name: str, number: int) -> list[str]:
        """The bot's comments there, the oldest first."""
        if number >= ISSUES_FROM:
            return list(self.issues[name, number].values())
        found = self.local.pull_request(Repository(self.org, name, "", None), number)
        return [comment.body for comment in found.comments if comment.author == AUTHOR]

    def comment(self, name: str, number: int, body: str, *, by: str = "mia", bot: bool = False) -> Commented:
        """A comment as an event; each is another one."""
        self._numbers += 1
        return Commented(self._repository(name), CommentRef(thread_of(number), self._numbers), body, by, bot)

    def label(self, name: str, number: int, label: str, *, by: str = "mia", removed: bool = False) -> Labelled:
        self._numbers += 1
        return Labelled(
            self._repository(name), number, label, by, False, thread_of(number).kind, removed, at=f"moment {self._numbers}"
        )

    def review(self, name: str, number: int, body: str, *, by: str = "mia") -> Reviewed:
        self._numbers += 1
        return Reviewed(self._repository(name), number, self._numbers, "commented", body, by, actor_is_bot=False)

    def _repository(self, name: str) -> RepositoryRef:
        return RepositoryRef("local", self.org, name)


def thread_of(number: int) -> Thread:
    return Thread(number, "pull_request" if number < ISSUES_FROM else "issue")
