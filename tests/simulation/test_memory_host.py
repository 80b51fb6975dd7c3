"""The host in memory is a host: it passes the conformance suite but for what needs git, or several processes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bot.domain.repositories import Repository
from bot.ports import FollowsPullRequests, Host
from tests.conformance import test_host as suite
from tests.fakes.memory_host import MemoryHost
from tests.fakes.repositories import Files


class MemorySubject:
    org = "acme"
    nested = "group/sub/lib"
    lacks: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.host = MemoryHost(self.org)
        self.connect: Callable[[], Host] = lambda: self.host

    def unreachable(self) -> Host:
        host = MemoryHost(self.org)
        host.reachable = False
        return host

    def create(self, name: str, files: Files | None, *, branch: str = "main", archived: bool = False) -> None:
        self.host.create(name, None if files is None else regular(files), branch=branch, archived=archived)

    def describe(self, name: str, **about: object) -> None:
        self.host.describe(name, **about)

    def commit(self, name: str, files: Files, *, branch: str) -> str:
        return self.host.commit(name, regular(files), branch=branch)

    def close(self, name: str, number: int) -> None:
        self.host.close(name, number)

    def merge(self, name: str, number: int) -> None:
        self.host.merge(name, number)


def regular(files: Files) -> dict[str, bytes]:
    return {path: content for path, content in files.items() if isinstance(content, bytes)}


@pytest.fixture
def subject() -> MemorySubject:
    return MemorySubject()


@pytest.fixture
def host(subject: MemorySubject) -> Host:
    return subject.connect()


@pytest.fixture
def proposed(subject: MemorySubject) -> Repository:
    subject.create("tool", {"setup.py": b"setup()\n"})
    subject.commit("tool", {"pyproject.toml": b"[project]\n"}, branch="whimbrel/x")
    return suite.listed(subject, "tool")


class TestRepositories(suite.TestRepositories):
    pass


class TestPullRequests(suite.TestPullRequests):
    test_many_processes_open_one = None  # type: ignore[assignment]
    test_many_processes_get_numbers_of_their_own = None  # type: ignore[assignment]


class TestComments(suite.TestComments):
    pass


class TestPermission(suite.TestPermission):
    pass


def test_it_tells_of_many_at_once(host: Host) -> None:
    assert isinstance(host, FollowsPullRequests)
