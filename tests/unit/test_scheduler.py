"""A round of the scheduler, and what it does when a part of the world is away."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.domain.states import CampaignState
from bot.errors import HostUnavailable
from bot.queue.connection import connect_briefly
from bot.queue.jobs import JobQueue, job_id
from bot.queue.server import redis_server
from bot.scheduler import Scheduler, following
from bot.store.runs import Dispatch
from tests.fakes.blade import WatchedHost
from tests.fakes.world import World


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[JobQueue]:
    with redis_server(tmp_path / "redis-home", None) as url, connect_briefly(url) as connection:
        yield JobQueue(connection)


def scheduler(world: World, queue: JobQueue, revived: list[str]) -> Scheduler:
    return Scheduler(world.services, queue, [world.org], lambda: revived.append("Redis"), workers=2)


def test_a_campaign_from_its_first_round_to_its_last(world: World, queue: JobQueue) -> None:
    world.repository("tool")
    campaign = world.start()
    machine = scheduler(world, queue, [])
    machine.round()
    assert queue.known([job_id(f"{campaign}-1", 1)])
    leftover = world.services.attempts / "c0-1.1"
    leftover.mkdir(parents=True)

    world.clock.advance(13 * 3600 + 1)  # no worker came for it
    machine.round()
    assert queue.known([job_id(f"{campaign}-1", 2)])
    assert not leftover.exists()
    world.attempt(Dispatch(f"{campaign}-1", 2))
    machine.round()
    assert world.campaign(campaign).state is CampaignState.COMPLETED


def test_redis_is_revived_when_it_does_not_answer(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.repository("tool")
    world.start()
    revived: list[str] = []
    with connect_briefly(f"unix://{world.folder}/nobody.sock") as nobody, caplog.at_level(logging.WARNING):
        scheduler(world, JobQueue(nobody), revived).try_round()
    assert revived == ["Redis"]
    assert "the next one will try again" in caplog.text


def test_a_host_that_is_away_keeps_nobody_from_working(world: World, queue: JobQueue, caplog: pytest.LogCaptureFixture) -> None:
    world.repository("tool")
    world.start()
    world.work()
    world.repository("another")
    world.start("Be brief.")

    def away(moment: str) -> None:
        raise HostUnavailable("503")

    world.host = WatchedHost(world.local, away)
    revived: list[str] = []
    with caplog.at_level(logging.WARNING):
        sweep, *_ = following(world.services, [world.org])
        assert sweep.do() == 0
    assert "the pull requests of acme will be looked at again: 503" in caplog.text
    scheduler(world, queue, revived).try_round()
    assert queue.depth() == 2
    assert revived == []


def test_it_goes_on_until_it_is_stopped(world: World, queue: JobQueue) -> None:
    stop = threading.Event()
    stop.set()
    scheduler(world, queue, []).forever(stop)
    assert queue.depth() == 0
