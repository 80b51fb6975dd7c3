"""What every host must do for people who talk with the bot. A new host joins with a Subject of its own in SUBJECTS."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import pytest

from bot.domain.pull_requests import CheckReport, CommentRef, PullRequestState, PullRequestText, Reaction, Thread
from bot.domain.repositories import Repository
from bot.errors import NotFound
from bot.hosts.local import LocalHost
from bot.hosts.local_records import Records
from bot.ports import Conversation, KeepsIssues
from tests.fakes import repositories
from tests.fakes.github_subject import github_talk
from tests.fakes.gitlab_subject import gitlab_talk
from tests.fakes.lacks import lacks_of

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
MARKER, OTHER = "<!-- whimbrel status -->", "<!-- whimbrel answer 7 -->"
REPORT = CheckReport("whimbrel/notes", passed=True, title="all 2 checks passed", summary="| check | result |")


class Subject(Protocol):
    """A host under test, with one repository that has one open pull request, `thread`, of the bot's. People are as given."""

    repository: Repository
    thread: Thread
    writer: str
    """Somebody who may write to the repository."""
    lacks: frozenset[str]
    """What this kind of host does not have: summaries of checks."""

    def connect(self) -> Conversation: ...
    def comment(self, body: str) -> CommentRef:
        """A person's comment on the pull request."""

    def comments(self) -> Sequence[str]:
        """The bodies of all comments on it, the oldest first."""

    def write_issue(self, body: str) -> int:
        """A person's, in the same repository."""

    def issue(self, number: int) -> tuple[str, bool]:
        """Its text, and is it open?"""

    def reactions(self, comment: CommentRef) -> Sequence[Reaction]: ...
    def checks(self) -> Mapping[str, CheckReport]:
        """What is shown beside its head, by name."""

    def state(self) -> PullRequestState: ...
    def head(self) -> str: ...


class LocalSubject:
    writer = "alice"
    lacks = lacks_of("local")

    def __init__(self, folder: Path):
        self._host = LocalHost(folder / "host")
        self._bare = folder / "host" / "acme" / "tool.git"
        repositories.make(self._bare, {"setup.py": b"setup()\n"})
        repositories.commit(repositories.opened(self._bare), {"pyproject.toml": b""}, branch="whimbrel/x", start="main")
        self.repository = self._host.repository("acme", "tool")
        text = PullRequestText("Adopt pyproject.toml", "Why and how.")
        opened = self._host.open_pull_request(self.repository, branch="whimbrel/x", base="main", text=text)
        self.thread = Thread(opened.number, "pull_request")

    def connect(self) -> Conversation:
        return self._host

    def comment(self, body: str) -> CommentRef:
        found = self._host.add_comment(self.repository, self.thread.number, body, author="alice")
        return CommentRef(self.thread, len(found.comments))

    def comments(self) -> Sequence[str]:
        return [comment.body for comment in self._host.pull_request(self.repository, self.thread.number).comments]

    def write_issue(self, body: str) -> int:
        raise NotImplementedError

    def issue(self, number: int) -> tuple[str, bool]:
        raise NotImplementedError

    def reactions(self, comment: CommentRef) -> Sequence[Reaction]:
        found = Records(self._bare.with_suffix(".meta")).pull_request(self.thread.number).reactions
        return [each.reaction for each in found if (each.kind, each.comment_id) == (comment.kind, comment.comment_id)]

    def checks(self) -> Mapping[str, CheckReport]:
        return self._host.checks(self.repository, self.head())

    def state(self) -> PullRequestState:
        return self._host.pull_request(self.repository, self.thread.number).state

    def head(self) -> str:
        return self._host.pull_request(self.repository, self.thread.number).head


@contextmanager
def local(folder: Path) -> Iterator[Subject]:
    yield LocalSubject(folder)


SUBJECTS: dict[str, Callable[[Path], AbstractContextManager[Subject]]] = {
    "local": local,
    "github": github_talk,
    "gitlab": gitlab_talk,
}


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    with SUBJECTS[request.param](tmp_path) as subject:
        yield subject


@pytest.fixture
def conversation(subject: Subject) -> Conversation:
    return subject.connect()


def test_the_bot_knows_its_name(conversation: Conversation) -> None:
    assert conversation.own_login


class TestPermission:
    def test_it_is_asked_of_the_host(self, subject: Subject, conversation: Conversation) -> None:
        assert conversation.permission_on(subject.repository, subject.writer) in ("write", "admin")

    def test_an_unknown_repository_is_not_found(self, subject: Subject, conversation: Conversation) -> None:
        with pytest.raises(NotFound):
            conversation.permission_on(Repository(subject.repository.org, "no-such-repository", "", None), subject.writer)


class TestReactions:
    def test_a_comment_is_reacted_to_once(self, subject: Subject, conversation: Conversation) -> None:
        comment, other = subject.comment("/whimbrel help"), subject.comment("Hello")
        conversation.react(subject.repository, comment, Reaction.EYES)
        conversation.react(subject.repository, comment, Reaction.EYES)
        conversation.react(subject.repository, comment, Reaction.ROCKET)
        assert sorted(subject.reactions(comment)) == [Reaction.EYES, Reaction.ROCKET]
        assert list(subject.reactions(other)) == []

    def test_so_is_the_pull_request_itself(self, subject: Subject, conversation: Conversation) -> None:
        itself = CommentRef(subject.thread, subject.thread.number, "thread")
        for _ in range(2):
            conversation.react(subject.repository, itself, Reaction.EYES)
        assert list(subject.reactions(itself)) == [Reaction.EYES]

    def test_a_comment_that_is_gone_is_not_found(self, subject: Subject, conversation: Conversation) -> None:
        with pytest.raises(NotFound):
            conversation.react(subject.repository, CommentRef(subject.thread, 987654), Reaction.EYES)


class TestTelling:
    def test_there_is_one_comment_a_marker_and_it_is_edited(self, subject: Subject, conversation: Conversation) -> None:
        for body in ("waiting", "at work", "at work", "done"):
            conversation.tell(subject.repository, subject.thread, f"{body} {MARKER}", marker=MARKER)
        assert list(subject.comments()) == [f"done {MARKER}"]

    def test_a_body_without_its_marker_gets_it(self, subject: Subject, conversation: Conversation) -> None:
        for body in ("waiting", "done"):
            conversation.tell(subject.repository, subject.thread, body, marker=MARKER)
        (said,) = subject.comments()
        assert said.startswith("done")
        assert MARKER in said

    def test_other_markers_are_other_comments(self, subject: Subject, conversation: Conversation) -> None:
        conversation.tell(subject.repository, subject.thread, "waiting", marker=MARKER)
        conversation.tell(subject.repository, subject.thread, "an answer", marker=OTHER)
        conversation.tell(subject.repository, subject.thread, "done", marker=MARKER)
        assert [said.split("\n")[0] for said in subject.comments()] == ["done", "an answer"]

    def test_a_persons_comment_that_holds_the_marker_stays_theirs(self, subject: Subject, conversation: Conversation) -> None:
        subject.comment(f"What is {MARKER}?")
        conversation.tell(subject.repository, subject.thread, "waiting", marker=MARKER)
        assert [said.split("\n")[0] for said in subject.comments()] == [f"What is {MARKER}?", "waiting"]

    def test_where_nothing_is_nothing_is_told(self, subject: Subject, conversation: Conversation) -> None:
        with pytest.raises(NotFound):
            conversation.tell(subject.repository, Thread(987654, "pull_request"), "waiting", marker=MARKER)


class TestIssues:
    def test_one_of_its_own_is_opened_once_written_and_closed(self, subject: Subject, conversation: Conversation) -> None:
        if "issues" in subject.lacks:
            assert not isinstance(conversation, KeepsIssues)
            return
        assert isinstance(conversation, KeepsIssues)
        forged = subject.write_issue(f"What is {MARKER}?")
        numbers = {
            conversation.open_issue(subject.repository, "Progress", "0 of 2", marker=MARKER, since=LONG_AGO) for _ in range(2)
        }
        (number,) = numbers - {forged}
        assert len(numbers) == 1
        assert subject.issue(number) == (f"0 of 2\n\n{MARKER}", True)
        for closing in (False, True, True):
            conversation.write_issue(subject.repository, number, f"2 of 2 {MARKER}", closing=closing)
        assert subject.issue(number) == (f"2 of 2 {MARKER}", False)
        assert conversation.open_issue(subject.repository, "Progress", "?", marker=MARKER, since=LONG_AGO) == number


class TestChecks:
    def test_the_newest_of_a_name_is_shown(self, subject: Subject, conversation: Conversation) -> None:
        failed = CheckReport(REPORT.name, passed=False, title="a check failed", summary="Why.")
        unknown = CheckReport("whimbrel/others", passed=None, title="no verdict", summary="None yet.")
        for report in (failed, unknown, REPORT, REPORT):
            conversation.report_check(subject.repository, subject.head(), report)
        wanted = [replace(each, summary="") if "summaries" in subject.lacks else each for each in (REPORT, unknown)]
        assert subject.checks() == {each.name: each for each in wanted}

    def test_a_commit_that_is_not_there_is_not_found(self, subject: Subject, conversation: Conversation) -> None:
        with pytest.raises(NotFound):
            conversation.report_check(subject.repository, "0" * 40, REPORT)


class TestClosing:
    def test_it_is_closed_and_a_second_time_changes_nothing(self, subject: Subject, conversation: Conversation) -> None:
        for _ in range(2):
            conversation.close_pull_request(subject.repository, subject.thread.number)
        assert subject.state() is PullRequestState.CLOSED

    def test_an_unknown_one_is_not_found(self, subject: Subject, conversation: Conversation) -> None:
        with pytest.raises(NotFound):
            conversation.close_pull_request(subject.repository, 987654)
