"""Redis is only the way: what it loses, or its death, costs time and nothing else."""

from __future__ import annotations

import pytest

from bot.queue.connection import connect_briefly
from tests.fakes.queue_parts import alive, eventually
from tests.fault.conftest import Faulty

NAMES = ("one", "three", "two")


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
