"""What SQL has dispatched is in the queue: also after the queue has lost it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.campaigns.pump import pump, sweep
from bot.queue.connection import connect_briefly
from bot.queue.jobs import JobQueue, job_id
from bot.queue.server import redis_server
from tests.fakes.world import World


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[JobQueue]:
    with redis_server(tmp_path / "redis-home", None) as url, connect_briefly(url) as connection:
        yield JobQueue(connection)
        connection.flushall()


def test_at_most_two_jobs_a_worker_and_what_was_lost_comes_back(world: World, queue: JobQueue) -> None:
    for number in range(5):
        world.repository(f"tool-{number}")
    world.start()
    taken = pump(world.services, queue, workers=1)
    assert (len(taken), queue.depth()) == (2, 2)
    assert pump(world.services, queue, workers=1) == []
    assert sweep(world.services, queue) == []

    queue.stop(taken[0].run_id, taken[0].fence)
    assert sweep(world.services, queue) == [taken[0]]
    assert queue.known(job_id(item.run_id, item.fence) for item in taken) == {job_id(i.run_id, i.fence) for i in taken}

    world.attempt(taken[0])
    [third] = pump(world.services, queue, workers=1)
    assert third not in taken
