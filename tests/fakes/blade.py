"""Death at a chosen moment: before or after a transaction is committed, before or after a host is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection

from bot.domain.pull_requests import PullRequest, PullRequestText
from bot.domain.repositories import Remote, Repository
from bot.ports import Host
from bot.store.database import Database


class Killed(BaseException):
    """Nothing catches it, so nothing more is written: as near to kill -9 as one process comes."""


class Blade:
    """Falls at the moment with the number `at`, counted from 1. It is fallen then, and nobody dies of it again."""

    def __init__(self, at: int):
        self._at = at
        self.moments: list[str] = []

    @property
    def fallen(self) -> bool:
        return len(self.moments) >= self._at

    def pass_under(self, moment: str) -> None:
        if self.fallen:
            return
        self.moments.append(moment)
        if self.fallen:
            raise Killed(moment)


class BladedDatabase(Database):
    """`blade` is put there once the world has been made."""

    blade: Blade | None = None

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[Connection]:
        with super().transaction(durable=durable) as tx:
            yield tx
            self._pass_under("before a commit")
        self._pass_under("after a commit")

    def _pass_under(self, moment: str) -> None:
        if self.blade is not None:
            self.blade.pass_under(moment)


class WatchedHost:
    """`ports.Host`: `watch` is told of each call of `host`, before it ("before open_pull_request") and after it."""

    def __init__(self, host: Host, watch: Callable[[str], None]):
        self._host, self._watch = host, watch

    def repositories(self, org: str) -> Iterator[Repository]:
        with self._watched("repositories"):
            return self._host.repositories(org)

    def repository(self, org: str, name: str) -> Repository:
        with self._watched("repository"):
            return self._host.repository(org, name)

    def read_files(self, repository: Repository, paths: Iterable[str]) -> Mapping[str, bytes]:
        with self._watched("read_files"):
            return self._host.read_files(repository, paths)

    def list_paths(self, repository: Repository) -> Sequence[str]:
        with self._watched("list_paths"):
            return self._host.list_paths(repository)

    def remote(self, repository: Repository, *, pushing: Sequence[str] = ()) -> Remote:
        with self._watched("remote"):
            return self._host.remote(repository, pushing=pushing)

    def pull_requests(self, repository: Repository, branch: str) -> Sequence[PullRequest]:
        with self._watched("pull_requests"):
            return self._host.pull_requests(repository, branch)

    def open_pull_request(self, repository: Repository, *, branch: str, base: str, text: PullRequestText) -> PullRequest:
        with self._watched("open_pull_request"):
            return self._host.open_pull_request(repository, branch=branch, base=base, text=text)

    def update_pull_request(self, repository: Repository, number: int, text: PullRequestText) -> PullRequest:
        with self._watched("update_pull_request"):
            return self._host.update_pull_request(repository, number, text)

    def comment(self, repository: Repository, number: int, body: str, *, marker: str) -> None:
        with self._watched("comment"):
            self._host.comment(repository, number, body, marker=marker)

    def permission(self, org: str, user: str) -> str:
        with self._watched("permission"):
            return self._host.permission(org, user)

    @contextmanager
    def _watched(self, method: str) -> Iterator[None]:
        self._watch(f"before {method}")
        yield
        self._watch(f"after {method}")
