"""What every host must do. A new host joins with a Subject of its own in SUBJECTS."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol

import pytest

from bot.domain.pull_requests import PullRequest, PullRequestState, PullRequestText
from bot.domain.repositories import Repository
from bot.errors import HostError, HostUnavailable, NotFound
from bot.hosts.local import LocalHost
from bot.ports import Host, KnowsProperties, ListsPullRequests
from tests.fakes import repositories
from tests.fakes.github_subject import github_as_app, github_with_token
from tests.fakes.gitlab_subject import gitlab_as_account, gitlab_as_group
from tests.fakes.lacks import lacks_of
from tests.fakes.repositories import Executable, Files, Link

TEXT = PullRequestText("Adopt pyproject.toml", "Why and how.", ("whimbrel", "packaging"), ("alice",), draft=False)
MARKER = "<!-- whimbrel: run-7 -->"


class Subject(Protocol):
    """A host under test, whose repositories the tests may build. `connect` is picklable: it is used in other processes."""

    org: str
    nested: str
    """The name of a repository in folders of the org, where the host has those."""
    lacks: frozenset[str]
    """What this kind of host does not have: properties, templates."""
    connect: Callable[[], Host]

    def unreachable(self) -> Host: ...
    def create(self, name: str, files: Files | None, *, branch: str = "main", archived: bool = False) -> None: ...
    def describe(self, name: str, **about: object) -> None: ...
    def commit(self, name: str, files: Files, *, branch: str) -> str: ...
    def close(self, name: str, number: int) -> None: ...
    def merge(self, name: str, number: int) -> None: ...


class LocalSubject:
    org = "acme"
    nested = "group/sub/lib"
    lacks = lacks_of("local")

    def __init__(self, folder: Path):
        self._root = folder / "host"
        (self._root / self.org).mkdir(parents=True)
        self.connect: Callable[[], Host] = partial(LocalHost, self._root)

    def unreachable(self) -> Host:
        return LocalHost(self._root / "unmounted")

    def create(self, name: str, files: Files | None, *, branch: str = "main", archived: bool = False) -> None:
        repositories.make(self._bare(name), files, branch=branch)
        if archived:
            self.describe(name, archived=True)

    def describe(self, name: str, **about: object) -> None:
        meta = self._root / self.org / f"{name}.meta"
        meta.mkdir(parents=True, exist_ok=True)
        (meta / "repository.json").write_text(json.dumps(about))

    def commit(self, name: str, files: Files, *, branch: str) -> str:
        repository = repositories.opened(self._bare(name))
        return repositories.commit(repository, files, branch=branch, start="main")

    def close(self, name: str, number: int) -> None:
        LocalHost(self._root).close(Repository(self.org, name, "", None), number, by="bob")

    def merge(self, name: str, number: int) -> None:
        LocalHost(self._root).merge(Repository(self.org, name, "", None), number, by="bob")

    def _bare(self, name: str) -> Path:
        return self._root / self.org / f"{name}.git"


@contextmanager
def local(folder: Path) -> Iterator[Subject]:
    yield LocalSubject(folder)


SUBJECTS: dict[str, Callable[[Path], AbstractContextManager[Subject]]] = {
    "local": local,
    "github": github_as_app,
    "github-token": github_with_token,
    "gitlab": gitlab_as_group,
    "gitlab-account": gitlab_as_account,
}


SLOW = {"gitlab-account"}
"""The same host with another credential."""


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in SUBJECTS])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    with SUBJECTS[request.param](tmp_path) as subject:
        yield subject


@pytest.fixture
def host(subject: Subject) -> Host:
    return subject.connect()


@pytest.fixture
def proposed(subject: Subject) -> Repository:
    """A repository with a branch `whimbrel/x` that is one commit ahead of main."""
    subject.create("tool", {"setup.py": b"setup()\n"})
    subject.commit("tool", {"pyproject.toml": b"[project]\n"}, branch="whimbrel/x")
    return listed(subject, "tool")


def listed(subject: Subject, name: str) -> Repository:
    return next(found for found in subject.connect().repositories(subject.org) if found.name == name)


def missing(subject: Subject) -> Repository:
    return Repository(subject.org, "no-such-repository", "main", None)


class TestRepositories:
    def test_all_of_them_are_listed_by_name(self, subject: Subject, host: Host) -> None:
        for name in ("web", "api", subject.nested):
            subject.create(name, {"README.md": b"hello\n"})
        subject.create("attic", {"README.md": b"old\n"}, archived=True)
        assert [found.name for found in host.repositories(subject.org)] == ["api", "attic", subject.nested, "web"]

    def test_one_is_described(self, subject: Subject) -> None:
        subject.create("tool", None, branch="trunk")
        assert listed(subject, "tool").head is None
        subject.describe("tool", fork=True, template=True, visibility="internal", topics=["python"], description="A tool")
        head = subject.commit("tool", {"tool.py": b"print()\n" * 90, "run.sh": b"# twenty bytes here\n"}, branch="trunk")
        found = listed(subject, "tool")
        assert (found.org, found.default_branch, found.head) == (subject.org, "trunk", head)
        assert (found.fork, found.archived, found.visibility) == (True, False, "internal")
        assert found.template == ("templates" not in subject.lacks)
        assert (found.topics, found.languages, found.description) == ({"python"}, {"python"}, "A tool")
        assert found.size_kb > 0
        assert found.url
        assert not found.unusable

    def test_one_is_found_by_its_name_alone(self, subject: Subject, host: Host) -> None:
        subject.create("tool", {"README.md": b"hello\n"}, archived=True)
        subject.create("tool-2", {"README.md": b"hello\n"})
        assert host.repository(subject.org, "tool") == listed(subject, "tool")
        for name in ("too", "TOOL", "../tool", ""):
            with pytest.raises(NotFound):
                host.repository(subject.org, name)

    def test_its_orgs_own_properties_are_told(self, subject: Subject, host: Host) -> None:
        assert isinstance(host, KnowsProperties) == ("properties" not in subject.lacks)
        if not isinstance(host, KnowsProperties):
            return
        for name in ("plain", "tool"):
            subject.create(name, {"README.md": b"hello\n"})
        subject.describe("tool", properties={"tier": ["gold"], "languages": ["c", "python"]})
        found = host.properties(subject.org)
        assert {name: list(values) for name, values in found["tool"].items()} == {
            "tier": ["gold"],
            "languages": ["c", "python"],
        }
        assert not found.get("plain")

    def test_an_unknown_org_is_not_found(self, host: Host) -> None:
        with pytest.raises(NotFound):
            list(host.repositories("no-such-org"))

    def test_an_unreachable_host_is_worth_another_try(self, subject: Subject) -> None:
        with pytest.raises(HostUnavailable) as caught:
            list(subject.unreachable().repositories(subject.org))
        assert caught.value.retryable


class TestFiles:
    def test_regular_files_are_read_at_the_head_of_the_default_branch(self, subject: Subject, host: Host) -> None:
        files = {"a.bin": b"\x00\xff\r\n", "docs/run": Executable(b"#!/bin/sh\n"), "link": Link(b"a.bin"), "größe.txt": b"1\n"}
        subject.create("tool", files)
        tool = listed(subject, "tool")
        subject.commit("tool", {"a.bin": b"newer"}, branch="main")
        asked = ["a.bin", "docs/run", "link", "docs", "missing", "größe.txt", "", "/a.bin", "../a.bin", "docs//run", "a.bin/x"]
        assert host.read_files(tool, asked) == {"a.bin": b"newer", "docs/run": b"#!/bin/sh\n", "größe.txt": b"1\n"}

    def test_every_path_is_listed(self, subject: Subject, host: Host) -> None:
        subject.create("tool", {"b": b"", "a/deep/er": b"", "a-b": b"", "link": Link(b"b"), "größe.txt": b""})
        assert list(host.list_paths(listed(subject, "tool"))) == ["a-b", "a/deep/er", "b", "größe.txt", "link"]

    def test_without_a_commit_there_are_none(self, subject: Subject, host: Host) -> None:
        subject.create("empty", None)
        empty = listed(subject, "empty")
        assert host.read_files(empty, ["README.md"]) == {}
        assert list(host.list_paths(empty)) == []

    def test_git_can_fetch_from_its_remote(self, subject: Subject, host: Host, proposed: Repository) -> None:
        remote = host.remote(proposed)
        heads = subprocess.run(
            ["git", "ls-remote", "--heads", remote.url], env=remote.environment, capture_output=True, check=True
        )
        assert f"{proposed.head}\trefs/heads/main" in heads.stdout.decode()

    def test_an_unknown_repository_is_not_found(self, subject: Subject, host: Host) -> None:
        nowhere = missing(subject)
        with pytest.raises(NotFound):
            host.read_files(nowhere, ["README.md"])
        with pytest.raises(NotFound):
            host.list_paths(nowhere)
        with pytest.raises(NotFound):
            host.remote(nowhere)

    @pytest.mark.parametrize("name", ["../acme/tool", "..", ".git", "", "/tool", "a//b"])
    def test_no_name_leads_out_of_the_org(self, subject: Subject, host: Host, proposed: Repository, name: str) -> None:
        with pytest.raises(NotFound):
            host.remote(Repository(subject.org, name, "main", None))


class TestPullRequests:
    def test_one_is_opened(self, subject: Subject, host: Host, proposed: Repository) -> None:
        opened = host.open_pull_request(proposed, branch="whimbrel/x", base="main", text=TEXT)
        assert (opened.state, opened.branch, opened.base) == (PullRequestState.OPEN, "whimbrel/x", "main")
        assert opened.text.says(TEXT)
        assert opened.text.reviewers == TEXT.reviewers
        assert opened.number > 0
        assert opened.url
        assert [as_opened(found) for found in subject.connect().pull_requests(proposed, "whimbrel/x")] == [as_opened(opened)]

    def test_one_that_is_open_already_is_returned_unchanged(self, host: Host, proposed: Repository) -> None:
        first = host.open_pull_request(proposed, branch="whimbrel/x", base="main", text=TEXT)
        again = host.open_pull_request(proposed, branch="whimbrel/x", base="main", text=PullRequestText("Another", "text"))
        assert as_opened(again) == as_opened(first)

    def test_its_head_follows_the_branch(self, subject: Subject, host: Host, proposed: Repository) -> None:
        opened = host.open_pull_request(proposed, branch="whimbrel/x", base="main", text=TEXT)
        moved = subject.commit("tool", {"setup.py": None}, branch="whimbrel/x")
        assert [found.head for found in host.pull_requests(proposed, "whimbrel/x")] == [moved]
        assert opened.head != moved

    def test_the_open_ones_to_a_branch_are_told(self, subject: Subject, host: Host, proposed: Repository) -> None:
        subject.commit("tool", {"README.md": b"words"}, branch="people/y")
        subject.commit("tool", {"setup.py": b"old"}, branch="release")
        asked = (("whimbrel/x", "main"), ("people/y", "main"), ("whimbrel/x", "release"))
        numbers = [host.open_pull_request(proposed, branch=branch, base=base, text=TEXT).number for branch, base in asked]
        assert isinstance(host, ListsPullRequests)
        assert [found.number for found in host.pull_requests_to(proposed, "main")] == numbers[:2]
        subject.close("tool", numbers[0])
        (left,) = host.pull_requests_to(proposed, "main")
        assert (left.number, left.branch, left.base) == (numbers[1], "people/y", "main")
        with pytest.raises(NotFound):
            host.pull_requests_to(missing(subject), "main")

    def test_every_state_is_seen_the_oldest_first(self, subject: Subject, host: Host, proposed: Repository) -> None:
        closed = host.open_pull_request(proposed, branch="whimbrel/x", base="main", text=TEXT)
        subject.close("tool", closed.number)
        merged = host.open_pull_request(proposed, branch="whimbrel/x", base="main", text=TEXT)
        subject.merge("tool", merged.number)
        subject.commit("tool", {"third": b""}, branch="whimbrel/x")
        last = host.open_pull_request(proposed, branch="whimbrel/x", base="main", text=TEXT)
        found = host.pull_requests(proposed, "whimbrel/x")
        assert [each.number for each in found] == [closed.number, merged.number, last.number]
        assert [each.state.value for each in found] == ["closed", "merged", "open"]
        assert [each.closed_by for each in found] == ["bob", "bob", ""]
        assert found[0].head == closed.head

    def test_other_branches_and_bases_are_others(self, subject: Subject, host: Host, proposed: Repository) -> None:
        subject.commit("tool", {"other": b""}, branch="whimbrel/y")
        subject.commit("tool", {"stable": b""}, branch="stable")
        numbers = {
            host.open_pull_request(proposed, branch=branch, base=base, text=TEXT).number
            for branch, base in [("whimbrel/x", "main"), ("whimbrel/y", "main"), ("whimbrel/x", "stable")]
        }
        assert len(numbers) == 3
        assert len(host.pull_requests(proposed, "whimbrel/x")) == 2
        assert list(host.pull_requests(proposed, "no/such/branch")) == []

    def test_the_text_can_be_changed(self, host: Host, proposed: Repository) -> None:
        opened = host.open_pull_request(proposed, branch="whimbrel/x", base="main", text=TEXT)
        changed = PullRequestText("A better title", "Better words ✓", ("other",), (), draft=True)
        updated = host.update_pull_request(proposed, opened.number, changed)
        (found,) = host.pull_requests(proposed, "whimbrel/x")
        assert updated.text == found.text
        assert found.text.says(changed)

    def test_nothing_to_review_is_refused(self, host: Host, subject: Subject, proposed: Repository) -> None:
        subject.commit("tool", {}, branch="whimbrel/same")
        with pytest.raises(NotFound):
            host.open_pull_request(proposed, branch="no-such-branch", base="main", text=TEXT)
        with pytest.raises(NotFound):
            host.open_pull_request(proposed, branch="whimbrel/x", base="no-such-base", text=TEXT)
        with pytest.raises(HostError):
            host.open_pull_request(proposed, branch="main", base="whimbrel/x", text=TEXT)

    def test_an_archived_repository_takes_none(self, host: Host, subject: Subject) -> None:
        subject.create("attic", {"a": b""}, archived=True)
        subject.commit("attic", {"b": b""}, branch="whimbrel/x")
        with pytest.raises(HostError, match="archived"):
            host.open_pull_request(listed(subject, "attic"), branch="whimbrel/x", base="main", text=TEXT)

    def test_many_processes_open_one(self, subject: Subject, host: Host, proposed: Repository) -> None:
        with ProcessPoolExecutor(8, mp_context=get_context("fork")) as pool:
            opened = list(pool.map(partial(_open_one, subject.connect, proposed), ["whimbrel/x"] * 8))
        assert len(set(opened)) == 1
        assert len(host.pull_requests(proposed, "whimbrel/x")) == 1

    def test_many_processes_get_numbers_of_their_own(self, subject: Subject, proposed: Repository) -> None:
        branches = [f"whimbrel/{letter}" for letter in "abcdefgh"]
        for branch in branches:
            subject.commit("tool", {branch: b""}, branch=branch)
        with ProcessPoolExecutor(8, mp_context=get_context("fork")) as pool:
            opened = list(pool.map(partial(_open_one, subject.connect, proposed), branches))
        assert len(set(opened)) == 8

    def test_an_unknown_one_is_not_found(self, subject: Subject, host: Host, proposed: Repository) -> None:
        with pytest.raises(NotFound):
            host.update_pull_request(proposed, 99, TEXT)
        with pytest.raises(NotFound):
            host.comment(proposed, 99, "hello", marker=MARKER)
        with pytest.raises(NotFound):
            host.pull_requests(missing(subject), "whimbrel/x")
        with pytest.raises(NotFound):
            host.open_pull_request(missing(subject), branch="whimbrel/x", base="main", text=TEXT)


class TestComments:
    @pytest.fixture
    def number(self, host: Host, proposed: Repository) -> Iterator[int]:
        return host.open_pull_request(proposed, branch="whimbrel/x", base="main", text=TEXT).number

    def bodies(self, host: Host, repository: Repository) -> list[str]:
        (found,) = host.pull_requests(repository, "whimbrel/x")
        return [comment.body for comment in found.comments]

    def test_the_same_marker_is_commented_once(self, host: Host, proposed: Repository, number: int) -> None:
        host.comment(proposed, number, f"The base has moved. {MARKER}", marker=MARKER)
        host.comment(proposed, number, f"The base has moved, once more. {MARKER}", marker=MARKER)
        assert self.bodies(host, proposed) == [f"The base has moved. {MARKER}"]

    def test_a_body_without_its_marker_gets_it(self, host: Host, proposed: Repository, number: int) -> None:
        host.comment(proposed, number, "The base has moved.", marker=MARKER)
        host.comment(proposed, number, "The base has moved.", marker=MARKER)
        (body,) = self.bodies(host, proposed)
        assert body.startswith("The base has moved.")
        assert MARKER in body

    def test_other_markers_are_other_comments(self, host: Host, proposed: Repository, number: int) -> None:
        host.comment(proposed, number, "one", marker="<!-- 1 -->")
        host.comment(proposed, number, "two", marker="<!-- 2 -->")
        assert len(self.bodies(host, proposed)) == 2


class TestPermission:
    def test_whoever_may_change_the_org_may_write(self, subject: Subject, host: Host) -> None:
        assert host.permission(subject.org, "operator") in ("write", "admin")

    def test_an_unknown_org_is_not_found(self, host: Host) -> None:
        with pytest.raises(NotFound):
            host.permission("no-such-org", "operator")


def as_opened(found: PullRequest) -> PullRequest:
    """What is known of one as soon as it is open; what becomes of it, and by whom, is learned when it is looked at."""
    return PullRequest(found.number, found.state, found.branch, found.base, found.head, found.text, found.url)


def _open_one(connect: Callable[[], Host], repository: Repository, branch: str) -> int:
    return connect().open_pull_request(repository, branch=branch, base="main", text=TEXT).number
