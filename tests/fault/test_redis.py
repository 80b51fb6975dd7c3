"""Redis is only the way: what it loses, or its death, costs time and nothing else."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.queue.connection import connect_briefly
from bot.queue.server import redis_server, revive
from tests.fakes.queue_parts import alive, eventually
from tests.fault.conftest import Faulty
from tests.fault.holds import Traps

NAMES = ("one", "three", "two")
OUTAGE_SECONDS = 15


@pytest.fixture(autouse=True)
def three_repositories(faulty: Faulty) -> None:
    for name in NAMES:
        faulty.project.repository(name, {"README.md": b"# Hello\n"})


@pytest.mark.slow
def test_everything_in_it_is_lost(faulty: Faulty) -> None:
    """One attempt is under way, the others wait in the queue: the sweep puts them there again."""
    running = faulty.run("--workers", "1")
    faulty.wait_for(1)
    with connect_briefly(faulty.url) as connection:
        connection.flushall()
        eventually(lambda: connection.exists("rq:queue:whimbrel"), "the queue has jobs again")
    assert faulty.finish(running) == 0
    campaign = faulty.require_all_published(*NAMES)
    assert [row["attempts"] for row in campaign.rows] == [1, 1, 1]


def test_it_is_killed_under_a_running_command(faulty: Faulty) -> None:
    """The command starts it again, the workers find it, and no attempt is made twice."""
    running = faulty.run("--workers", "2")
    faulty.wait_for(2)
    old = faulty.kill_server()
    eventually(lambda: not alive(old), "the server is dead")
    eventually(lambda: faulty.server_pid() not in (None, old), "there is another one")
    assert faulty.finish(running) == 0
    campaign = faulty.require_all_published(*NAMES)
    assert [row["attempts"] for row in campaign.rows] == [1, 1, 1]


@pytest.mark.slow
def test_it_is_killed_under_scheduler_and_workers(faulty: Faulty) -> None:
    faulty.start("scheduler")
    faulty.start("worker", "-n", "2")
    faulty.project.whimbrel("run", "notes", "--org", "acme", "--detach")
    faulty.wait_for(2)
    old = faulty.kill_server()
    eventually(lambda: faulty.server_pid() not in (None, old), "there is another one")
    faulty.finish_campaign()
    faulty.stop_all()
    faulty.require_all_published(*NAMES)


@contextmanager
def away(faulty: Faulty) -> Iterator[None]:
    """The embedded server is dead, and whoever would start it again must wait: for as long as an outage lasts, at least."""
    with Traps() as traps:
        traps.lock("starter", faulty.redis / "starter.lock")
        old = faulty.kill_server()
        eventually(lambda: not alive(old), "the server is dead")
        yield
        time.sleep(OUTAGE_SECONDS)


@pytest.mark.slow
def test_it_is_away_for_a_while_under_a_running_command(faulty: Faulty) -> None:
    """Those that are at work go on meanwhile; one of them ends."""
    running = faulty.run("--workers", "2")
    first, _ = faulty.wait_for(2)
    with away(faulty):
        (first / "tree" / "go").touch()
        eventually(lambda: not first.exists(), "one attempt is over")
    assert faulty.finish(running) == 0
    campaign = faulty.require_all_published(*NAMES)
    assert [row["attempts"] for row in campaign.rows] == [1, 1, 1]


@pytest.mark.slow
def test_one_of_somebody_elses_is_away_for_a_while(faulty: Faulty, tmp_path: Path) -> None:
    """Whoever runs it has it back in a while; nobody here starts one in its place."""
    with redis_server(tmp_path, None) as url:
        faulty.project.environment["REDIS_URL"] = url
        faulty.start("scheduler")
        faulty.start("worker", "-n", "2")
        faulty.project.whimbrel("run", "notes", "--org", "acme", "--detach")
        first, _ = faulty.wait_for(2)
        with connect_briefly(url) as connection:
            pid = int(connection.info("server")["process_id"])
        os.kill(pid, signal.SIGKILL)
        (first / "tree" / "go").touch()
        eventually(lambda: not first.exists(), "one attempt is over")
        time.sleep(OUTAGE_SECONDS)
        revive(tmp_path, None)
        faulty.finish_campaign()
        faulty.stop_all()
    campaign = faulty.require_all_published(*NAMES)
    assert [row["attempts"] for row in campaign.rows] == [1, 1, 1]
