"""Hundreds of pull requests against GitHub's own limits, on a simulated clock: by four processes, one of which is killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path

import pytest

from bot.domain.pull_requests import PullRequestText
from bot.domain.repositories import Repository
from bot.errors import HostUnavailable
from bot.hosts.github import GitHubHost, github_host
from bot.hosts.github_credentials import GitHubApp, load, save
from bot.hosts.governor import GITHUB_LIMITS, HostGovernor, HostLimits
from bot.queue.connection import connect_briefly
from bot.queue.server import redis_server
from bot.store.database import Database
from tests.databases import SqliteDatabases
from tests.fakes.clock import SharedClock
from tests.fakes.github import FakeGitHub

ROOT = Path(__file__).parents[2]
WORKERS, TRIES = 4, 100
BRANCH = "whimbrel/notes"
TEXT = PullRequestText("Add notes", "What it is.", (), (), False)
TENTH = HostLimits(concurrency=100, points_per_minute=900, creates_per_minute=8, creates_per_hour=50)


@dataclass(frozen=True)
class Site:
    """What the processes share."""

    folder: str
    hub: str
    database: str
    redis: str
    limits: HostLimits


class Doomed(HostGovernor):
    """Kills its process when GitHub has answered this one's `last` content-creating write, and nobody has read the answer."""

    last = 0

    @contextmanager
    def request(self, *, points: int = 1, creates: bool = False) -> Iterator[None]:
        with super().request(points=points, creates=creates):
            yield
            self.last -= creates
            if creates and self.last == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def work(site: Site, seat: int, names: Sequence[str], dies_at: int) -> None:
    """One process: publishes in each repository that it is given, and waits for as long as it is told."""
    clock = SharedClock(Path(site.folder) / "clock", seat)
    governor = Doomed(connect_briefly(site.redis), Database(site.database), clock, f"{site.hub}/acme", site.limits)
    governor.last = dies_at
    app = load(Path(site.folder), site.hub, {})
    assert isinstance(app, GitHubApp)
    host = github_host(site.hub, app, "acme", governor=governor, now=clock.now)
    for name in names:
        publish(host, Repository("acme", name, "main", None), clock)


def publish(host: GitHubHost, repository: Repository, clock: SharedClock) -> None:
    for _ in range(TRIES):
        try:
            host.open_pull_request(repository, branch=BRANCH, base="main", text=TEXT)
            return
        except HostUnavailable as error:
            clock.sleep(error.retry_after or 1)
    raise AssertionError(f"{repository.full_name} has had {TRIES} tries")


def publish_everywhere() -> None:
    """Four processes with a share each; the first is killed, and another one takes up its share from the start."""
    given, names = json.loads(sys.argv[1])
    site = Site(**given | {"limits": HostLimits(**given["limits"])})
    shares = [names[seat::WORKERS] for seat in range(WORKERS)]
    forking = multiprocessing.get_context("fork")

    def start(seat: int, share: Sequence[str], dies_at: int = 0) -> ForkProcess:
        worker = forking.Process(target=work, args=(site, seat, share, dies_at), daemon=True)
        worker.start()
        return worker

    workers = [start(seat, share, 0 if seat else len(share) // 2) for seat, share in enumerate(shares)]
    workers[0].join()
    workers.append(start(WORKERS, shares[0]))
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [-signal.SIGKILL] + [0] * WORKERS


def bound(writes: int, limits: HostLimits) -> float:
    """The seconds after which the last write may go, if all go as early as the limits let them."""
    assert limits.creates_per_hour is not None
    at: list[float] = []
    for number in range(writes):
        minute, hour = number - limits.creates_per_minute, number - limits.creates_per_hour
        at.append(max(at[minute] + 60 if minute >= 0 else 0, at[hour] + 3600 if hour >= 0 else 0))
    return at[-1]


@pytest.mark.parametrize(
    ("pull_requests", "limits"),
    [(60, TENTH), pytest.param(600, GITHUB_LIMITS, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])],
)
def test_mass_publishing_is_as_fast_as_the_limits_let_it_be_and_doubles_nothing(
    tmp_path: Path, sqlite_databases: SqliteDatabases, pull_requests: int, limits: HostLimits
) -> None:
    names = [f"r{number}" for number in range(pull_requests)]
    clock = SharedClock(tmp_path / "clock")
    with FakeGitHub(tmp_path / "hub", clock=clock, guard=False) as hub, redis_server(tmp_path, None) as redis:
        prepare(hub, names, limits)
        save(tmp_path, hub.url, GitHubApp(hub.app.id, "whimbrel", hub.app.pem, (), ""))
        site = Site(str(tmp_path), hub.url, sqlite_databases.upgraded(), redis, limits)
        publish = "from tests.fault.test_mass_publishing import publish_everywhere; publish_everywhere()"
        # By a fresh interpreter, which has one thread to fork and has imported everything once.
        subprocess.run([sys.executable, "-c", publish, json.dumps([asdict(site), names])], cwd=ROOT, check=True)
        opened = [len(hub.repository(f"acme/{name}").pulls) for name in names]
        lost = sum(exchange.status == 502 for exchange in hub.log)
    assert opened == [1] * pull_requests
    assert lost >= pull_requests // 10
    assert hub.limits.refusals == 0
    assert 3600 < clock.monotonic() <= 1.1 * bound(pull_requests, limits)


def prepare(hub: FakeGitHub, names: Sequence[str], limits: HostLimits) -> None:
    """Each repository has the branch already; every tenth answer to a new pull request is lost."""
    hub.create_org("acme")
    hub.add_user("mia")
    for name in names:
        hub.create_repository("acme", name)
        hub.as_user("mia").push(f"acme/{name}", BRANCH, {"NOTES.md": "Notes.\n"})
    hub.install("acme")
    hub.limits.enforce()
    hub.limits.content_per_minute, hub.limits.content_per_hour = limits.creates_per_minute, limits.creates_per_hour
    hub.fail(method="POST", path_pattern=r"/pulls$", status=502, after_write=True, every=10, times=len(names))
