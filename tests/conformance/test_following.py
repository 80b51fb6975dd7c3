"""What every host tells of many pull requests at once, and what may be decided of one. A new host joins SUBJECTS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol, cast

import pytest

from bot.domain.pull_requests import (
    CheckReport,
    ChecksState,
    PullRequest,
    PullRequestRef,
    PullRequestState,
    PullRequestText,
    ReviewState,
)
from bot.domain.repositories import Repository
from bot.errors import HostError
from bot.hosts.local import LocalHost
from bot.ports import Conversation, DecidesPullRequests, FollowsPullRequests, Host
from tests.fakes import repositories
from tests.fakes.github_subject import GitHubSubject, github_as_app, github_with_token
from tests.fakes.gitlab_subject import GitLabSubject, gitlab_as_group
from tests.fakes.repositories import Files

BRANCH = "whimbrel/x"
TEXT = PullRequestText("Adopt pyproject.toml", "Why and how.")


class People(Protocol):
    """A host under test with an org, and what people do in it: `bob` may write to every repository."""

    org: str

    def connect(self) -> Host: ...
    def create(self, name: str, files: Files) -> None: ...
    def commit(self, name: str, files: Files, *, branch: str) -> str: ...
    def push(self, name: str, files: Files, *, branch: str) -> str:
        """A commit on a branch that is there."""

    def review(self, name: str, number: int, verdict: str, words: str) -> None:
        """By bob; `verdict` is approved, changes_requested or commented."""

    def check(self, name: str, head: str, passed: bool | None) -> None: ...
    def comment(self, name: str, number: int, words: str) -> None: ...
    def close(self, name: str, number: int) -> None: ...
    def merge(self, name: str, number: int) -> None: ...
    def take_base(self, name: str, number: int) -> None:
        """The base is merged into the branch."""


class LocalPeople:
    org = "acme"

    def __init__(self, folder: Path):
        self._root, self._host = folder, LocalHost(folder)

    def connect(self) -> Host:
        return self._host

    def create(self, name: str, files: Files) -> None:
        repositories.make(self._bare(name), files)

    def commit(self, name: str, files: Files, *, branch: str) -> str:
        return repositories.commit(repositories.opened(self._bare(name)), files, branch=branch, start="main")

    def push(self, name: str, files: Files, *, branch: str) -> str:
        return repositories.commit(repositories.opened(self._bare(name)), files, branch=branch, start=branch)

    def review(self, name: str, number: int, verdict: str, words: str) -> None:
        self._host.review(place(name), number, author="bob", verdict=verdict, body=words)

    def check(self, name: str, head: str, passed: bool | None) -> None:
        self._host.report_check(place(name), head, CheckReport("ci", passed, "CI", ""))

    def comment(self, name: str, number: int, words: str) -> None:
        self._host.add_comment(place(name), number, words, author="bob")

    def close(self, name: str, number: int) -> None:
        self._host.close(place(name), number, by="bob")

    def merge(self, name: str, number: int) -> None:
        self._host.merge(place(name), number, by="bob")

    def take_base(self, name: str, number: int) -> None:
        repositories.merge(repositories.opened(self._bare(name)), into=BRANCH, branch="main")

    def _bare(self, name: str) -> Path:
        return self._root / self.org / f"{name}.git"


class GitHubPeople:
    org = "acme"

    def __init__(self, subject: GitHubSubject):
        self._subject, self._hub = subject, subject.hub
        self.bob = self._hub.as_user("bob")
        self.connect = subject.connect

    def create(self, name: str, files: Files) -> None:
        self._subject.create(name, files)
        self._hub.add_user("bob", permissions={f"acme/{name}": "write"})

    def commit(self, name: str, files: Files, *, branch: str) -> str:
        return self._subject.commit(name, files, branch=branch)

    def push(self, name: str, files: Files, *, branch: str) -> str:
        return self.bob.push(f"acme/{name}", branch, files)

    def review(self, name: str, number: int, verdict: str, words: str) -> None:
        verdicts = {"approved": "APPROVE", "changes_requested": "REQUEST_CHANGES", "commented": "COMMENT"}
        self.bob.review(f"acme/{name}", number, verdicts[verdict], words)

    def check(self, name: str, head: str, passed: bool | None) -> None:
        verdict = {None: "pending", True: "success", False: "failure"}[passed]
        self.bob.report_status(f"acme/{name}", head, verdict)

    def comment(self, name: str, number: int, words: str) -> None:
        self.bob.comment(f"acme/{name}", number, words)

    def close(self, name: str, number: int) -> None:
        self._subject.close(name, number)

    def merge(self, name: str, number: int) -> None:
        self._subject.merge(name, number)

    def take_base(self, name: str, number: int) -> None:
        self.bob.update_branch(f"acme/{name}", number)


class GitLabPeople:
    org = "acme"

    def __init__(self, subject: GitLabSubject):
        self._subject, self._hub = subject, subject.hub
        self.bob = self._hub.as_user("bob")
        self.connect = subject.connect

    def create(self, name: str, files: Files) -> None:
        self._subject.create(name, files)

    def commit(self, name: str, files: Files, *, branch: str) -> str:
        return self._subject.commit(name, files, branch=branch)

    def push(self, name: str, files: Files, *, branch: str) -> str:
        return self.bob.push(f"acme/{name}", branch, files)

    def review(self, name: str, number: int, verdict: str, words: str) -> None:
        """The button says the verdict alone, the words are a note."""
        if verdict == "approved":
            self.bob.approve(f"acme/{name}", number)
        elif verdict == "changes_requested":
            self.bob.request_changes(f"acme/{name}", number)
        self.comment(name, number, words)

    def check(self, name: str, head: str, passed: bool | None) -> None:
        self.bob.run_pipeline(f"acme/{name}", BRANCH, {None: "running", True: "success", False: "failed"}[passed])

    def comment(self, name: str, number: int, words: str) -> None:
        self.bob.comment(f"acme/{name}", number, words, pull=True)

    def close(self, name: str, number: int) -> None:
        self._subject.close(name, number)

    def merge(self, name: str, number: int) -> None:
        self._subject.merge(name, number)

    def take_base(self, name: str, number: int) -> None:
        project = self._hub.project(f"acme/{name}")
        repositories.merge(repositories.opened(project.path), into=BRANCH, branch="main")
        self._hub.settle(project.full_path)


@contextmanager
def local(folder: Path) -> Iterator[People]:
    yield LocalPeople(folder / "host")


@contextmanager
def github_app(folder: Path) -> Iterator[People]:
    with github_as_app(folder) as subject:
        yield GitHubPeople(subject)


@contextmanager
def github_token(folder: Path) -> Iterator[People]:
    with github_with_token(folder) as subject:
        yield GitHubPeople(subject)


@contextmanager
def gitlab_group(folder: Path) -> Iterator[People]:
    with gitlab_as_group(folder) as subject:
        yield GitLabPeople(subject)


SUBJECTS: dict[str, Callable[[Path], AbstractContextManager[People]]] = {
    "local": local,
    "github as an app": github_app,
    "github with a token": github_token,
    "gitlab": gitlab_group,
}


@pytest.fixture(params=SUBJECTS)
def people(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[People]:
    with SUBJECTS[request.param](tmp_path) as people:
        yield people


@pytest.fixture
def host(people: People) -> Host:
    return people.connect()


def place(name: str) -> Repository:
    return Repository("acme", name, "main", None)


def publish(people: People, host: Host, name: str, *, draft: bool = False) -> PullRequest:
    people.create(name, {"setup.py": b"setup()\n"})
    people.commit(name, {"pyproject.toml": b"[project]\n"}, branch=BRANCH)
    text = PullRequestText(TEXT.title, TEXT.body, draft=draft)
    return host.open_pull_request(place(name), branch=BRANCH, base="main", text=text)


def conversation_of(host: Host) -> Conversation:
    return cast("Conversation", host)  # each of them is both


def now(host: Host, *refs: PullRequestRef) -> dict[PullRequestRef, PullRequest]:
    assert isinstance(host, FollowsPullRequests)
    return dict(host.pull_requests_now("acme", refs))


def the_one(host: Host, name: str = "tool", number: int = 1) -> PullRequest:
    ref = PullRequestRef(name, number)
    return now(host, ref)[ref]


class TestFollowing:
    def test_a_fresh_one(self, people: People, host: Host) -> None:
        opened = publish(people, host, "tool")
        found = the_one(host, number=opened.number)
        assert (found.number, found.state, found.branch, found.base) == (
            opened.number,
            PullRequestState.OPEN,
            BRANCH,
            "main",
        )
        assert (found.head, found.commits) == (opened.head, (opened.head,))
        assert (found.checks, found.review, found.conflicts) == (ChecksState.NONE, ReviewState.NONE, False)
        assert (found.text.title, found.text.body, found.text.draft) == (TEXT.title, TEXT.body, False)
        assert found.url
        assert found.author
        assert found.updated_at

    def test_many_at_once_and_none_that_is_not_there(self, people: People, host: Host) -> None:
        opened = {name: publish(people, host, name).number for name in ("one", "two", "three")}
        there = [PullRequestRef(name, number) for name, number in opened.items()]
        found = now(host, *there, PullRequestRef("one", 4711), PullRequestRef("no-such-repository", 1))
        assert set(found) == set(there)
        assert now(host) == {}

    def test_what_ci_says_of_the_head(self, people: People, host: Host) -> None:
        opened = publish(people, host, "tool")
        for passed, state in ((None, ChecksState.PENDING), (False, ChecksState.FAILED), (True, ChecksState.PASSED)):
            people.check("tool", opened.head, passed)
            assert the_one(host, number=opened.number).checks is state
        people.push("tool", {"x": b"x"}, branch=BRANCH)
        assert the_one(host, number=opened.number).checks is ChecksState.NONE

    def test_the_bots_own_verdict_says_nothing_of_ci(self, people: People, host: Host) -> None:
        opened = publish(people, host, "tool")
        for theirs, own, state in (
            (None, True, ChecksState.PENDING),
            (False, True, ChecksState.FAILED),
            (True, False, ChecksState.PASSED),
        ):
            conversation_of(host).report_check(place("tool"), opened.head, CheckReport("whimbrel/notes", own, "Its own", ""))
            people.check("tool", opened.head, theirs)
            assert the_one(host, number=opened.number).checks is state

    def test_what_reviews_come_to(self, people: People, host: Host) -> None:
        number = publish(people, host, "tool").number
        for verdict, state in (
            ("commented", ReviewState.NONE),
            ("changes_requested", ReviewState.CHANGES_REQUESTED),
            ("commented", ReviewState.CHANGES_REQUESTED),
            ("approved", ReviewState.APPROVED),
        ):
            people.review("tool", number, verdict, f"{verdict}, says bob")
            assert the_one(host, number=number).review is state
        assert the_one(host, number=number).last_words("bob") == "approved, says bob"

    def test_a_conflict(self, people: People, host: Host) -> None:
        number = publish(people, host, "tool").number
        people.push("tool", {"pyproject.toml": b"[build-system]\n"}, branch="main")
        assert the_one(host, number=number).conflicts is True

    def test_peoples_commits_and_no_merge_of_the_base(self, people: People, host: Host) -> None:
        opened = publish(people, host, "tool")
        mine = people.push("tool", {"x": b"x"}, branch=BRANCH)
        people.push("tool", {"y": b"y"}, branch="main")
        people.take_base("tool", opened.number)
        assert the_one(host, number=opened.number).commits == (opened.head, mine)

    def test_who_closed_it_and_what_they_said(self, people: People, host: Host) -> None:
        number = publish(people, host, "tool").number
        people.comment("tool", number, "We do not want it.")
        people.close("tool", number)
        found = the_one(host, number=number)
        assert (found.state, found.closed_by) == (PullRequestState.CLOSED, "bob")
        assert found.last_words("bob") == "We do not want it."

    def test_a_merged_one(self, people: People, host: Host) -> None:
        number = publish(people, host, "tool").number
        people.merge("tool", number)
        found = the_one(host, number=number)
        assert (found.state, found.closed_by) == (PullRequestState.MERGED, "bob")


class TestDeciding:
    @pytest.fixture
    def decides(self, host: Host) -> DecidesPullRequests:
        assert isinstance(host, DecidesPullRequests)
        return host

    def test_a_merge_is_done_once(self, people: People, host: Host, decides: DecidesPullRequests) -> None:
        opened = publish(people, host, "tool")
        for _ in range(2):
            decides.merge_pull_request(place("tool"), opened.number, head=opened.head)
        assert the_one(host, number=opened.number).state is PullRequestState.MERGED

    def test_what_nobody_has_seen_is_not_merged(self, people: People, host: Host, decides: DecidesPullRequests) -> None:
        opened = publish(people, host, "tool")
        people.push("tool", {"x": b"x"}, branch=BRANCH)
        with pytest.raises(HostError):
            decides.merge_pull_request(place("tool"), opened.number, head=opened.head)
        assert the_one(host, number=opened.number).state is PullRequestState.OPEN

    def test_what_conflicts_is_not_merged(self, people: People, host: Host, decides: DecidesPullRequests) -> None:
        opened = publish(people, host, "tool")
        people.push("tool", {"pyproject.toml": b"[build-system]\n"}, branch="main")
        with pytest.raises(HostError):
            decides.merge_pull_request(place("tool"), opened.number, head=opened.head)

    def test_a_draft_is_made_ready(self, people: People, host: Host, decides: DecidesPullRequests) -> None:
        opened = publish(people, host, "tool", draft=True)
        assert the_one(host, number=opened.number).text.draft
        for _ in range(2):
            decides.mark_ready(place("tool"), opened.number)
        assert not the_one(host, number=opened.number).text.draft

    def test_a_closed_one_is_reopened(self, people: People, host: Host, decides: DecidesPullRequests) -> None:
        number = publish(people, host, "tool").number
        people.close("tool", number)
        for _ in range(2):
            decides.reopen_pull_request(place("tool"), number)
        assert the_one(host, number=number).state is PullRequestState.OPEN

    def test_a_merged_one_is_not(self, people: People, host: Host, decides: DecidesPullRequests) -> None:
        number = publish(people, host, "tool").number
        people.merge("tool", number)
        with pytest.raises(HostError):
            decides.reopen_pull_request(place("tool"), number)
