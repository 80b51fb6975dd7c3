"""kill -9 in the middle of an attempt: of what does the work, of its worker, of the whole command."""

from __future__ import annotations

import psutil
import pytest

from tests.fakes.queue_parts import eventually
from tests.fault.conftest import Faulty, processes_of
from tests.story.conftest import COMMAND_SECONDS

FILES = {"README.md": b"# Hello\n"}


@pytest.fixture(autouse=True)
def two_repositories(faulty: Faulty) -> None:
    for name in ("one", "two"):
        faulty.project.repository(name, FILES)


@pytest.mark.slow
def test_of_the_process_that_does_the_work(faulty: Faulty) -> None:
    running = faulty.run("--workers", "1")
    faulty.wait_for(1)
    [worker] = faulty.children(running)
    [horse] = faulty.children(worker)
    horse.kill()
    assert faulty.finish(running) == 0
    campaign = faulty.require_all_published("one", "two")
    assert [row["attempts"] for row in campaign.rows] == [2, 1]


def test_of_a_worker(faulty: Faulty) -> None:
    running = faulty.run("--workers", "2")
    faulty.wait_for(2)
    first, _ = faulty.children(running)
    [horse] = faulty.children(first)
    first.kill()
    assert faulty.finish(running) == 0
    assert not horse.is_running()
    campaign = faulty.require_all_published("one", "two")
    assert sorted(row["attempts"] for row in campaign.rows) == [1, 2]


@pytest.mark.slow
def test_of_the_whole_command(faulty: Faulty) -> None:
    """Nobody hands anything back: the same command finds that its workers are gone, and ends it all."""
    running = faulty.run("--workers", "2")
    faulty.wait_for(2)
    running.kill()
    running.wait()
    eventually(lambda: processes_of(faulty.project.folder) == [psutil.Process(faulty.server_pid())], "only the server is left")
    assert faulty.finish(faulty.run("--workers", "2")) == 0
    campaign = faulty.require_all_published("one", "two")
    assert [row["attempts"] for row in campaign.rows] == [2, 2]


@pytest.mark.slow
def test_of_a_worker_far_from_the_scheduler(faulty: Faulty) -> None:
    """The next one of its supervisor finds that it is gone."""
    faulty.start("scheduler")
    supervisor = faulty.start("worker", "-n", "2")
    faulty.project.whimbrel("run", "notes", "--org", "acme", "--detach")
    faulty.wait_for(2)
    faulty.children(supervisor)[0].kill()
    faulty.finish_campaign()
    faulty.stop_all()
    campaign = faulty.require_all_published("one", "two")
    assert sorted(row["attempts"] for row in campaign.rows) == [1, 2]


@pytest.mark.slow
def test_again_and_again(faulty: Faulty) -> None:
    """Whatever works on one of them is killed: after five times it is the run that is given up."""
    running = faulty.run("--workers", "1", "--repo", "one")
    for attempt in range(1, 6):
        [folder] = faulty.wait_for(1)
        assert folder.name.endswith(f".{attempt}")
        [horse] = faulty.children(faulty.children(running)[0])
        horse.kill()
        eventually(lambda: not faulty.held(), "its folder is gone")
    assert running.wait(COMMAND_SECONDS) == 1
    [row] = faulty.campaign().rows
    assert (row["outcome"], row["attempts"], row["pull_request"]) == ("failed", 5, None)
    assert row["reason"].startswith("given up after 5 attempts that were lost: its process was killed by signal 9")
    faulty.require_nothing_left()
