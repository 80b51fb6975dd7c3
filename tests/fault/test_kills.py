"""kill -9 in the middle of an attempt: of what does the work, of its worker, of the whole command."""

from __future__ import annotations

import pytest

from tests.fakes import repositories
from tests.fault.conftest import Faulty

FILES = {"README.md": b"# Hello\n"}


@pytest.fixture(autouse=True)
def two_repositories(faulty: Faulty) -> None:
    for name in ("one", "two"):
        faulty.project.repository(name, FILES)


def test_of_the_process_that_does_the_work(faulty: Faulty) -> None:
    running = faulty.run("--workers", "1")
    faulty.wait_for(1)
    [worker] = faulty.children(running)
    [horse] = faulty.children(worker)
    horse.kill()
    assert faulty.finish(running) == 0
    campaign = faulty.require_all_published("one", "two")
    assert [row["attempts"] for row in campaign.rows] == [2, 1]
    assert worker.pid


def test_of_a_worker(faulty: Faulty) -> None:
    running = faulty.run("--workers", "2")
    faulty.wait_for(2)
    first, second = faulty.children(running)
    [horse] = faulty.children(first)
    first.kill()
    assert faulty.finish(running) == 0
    assert not horse.is_running()
    campaign = faulty.require_all_published("one", "two")
    assert sorted(row["attempts"] for row in campaign.rows) == [1, 2]
