"""Pause and cancel while runs are claimed and handed back under their hands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection

from bot.campaigns import control
from bot.domain.states import CampaignState, Outcome, RunState
from bot.errors import UsageError
from bot.pipeline.lease import LEASE
from bot.store import runs
from bot.store.database import Database
from bot.store.runs import Run
from tests.fakes.world import World


class BusyDatabase(Database):
    """Somebody else acts right after the next reading: what was read is then no longer so."""

    meanwhile: Any = None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with super().reading() as tx:
            yield tx
        if self.meanwhile is not None:
            act, self.meanwhile = self.meanwhile, None
            act()


@pytest.fixture
def world(new_world: Any) -> World:
    made: World = new_world(BusyDatabase)
    for name in ("one", "two"):
        made.repository(name)
    return made


def claim(world: World, item: runs.Dispatch) -> Run:
    with world.database.transaction() as tx:
        run = runs.claim(tx, item.run_id, item.fence, worker="w", now=world.clock.now(), lease=LEASE)
    assert run is not None
    return run


def test_a_run_that_is_claimed_meanwhile_is_stopped_too(world: World) -> None:
    campaign = world.start()
    waiting = world.dispatch()
    assert isinstance(world.database, BusyDatabase)
    world.database.meanwhile = lambda: claim(world, waiting[0])
    stopped = control.pause(world.services, campaign, actor="alice")
    assert set(stopped) == set(waiting)
    assert [world.run(campaign, number).state for number in (1, 2)] == [RunState.PENDING] * 2
    assert world.dispatch() == []
    control.resume(world.services, campaign, actor="alice")
    world.work()
    assert world.campaign(campaign).state is CampaignState.COMPLETED
    world.require_tidy()


def test_a_run_that_is_handed_back_meanwhile_is_cancelled_too(world: World) -> None:
    campaign = world.start()
    run = claim(world, world.dispatch(1)[0])

    def hand_back() -> None:
        with world.database.transaction() as tx:
            runs.hand_back(tx, run, "later", now=world.clock.now())

    assert isinstance(world.database, BusyDatabase)
    world.database.meanwhile = hand_back
    assert control.cancel(world.services, campaign, actor="alice") == []
    for number in (1, 2):
        assert world.run(campaign, number).state is RunState.ENDED
    assert world.campaign(campaign).state is CampaignState.CANCELLED
    with pytest.raises(UsageError, match="is cancelled already"):
        control.pause(world.services, campaign, actor="alice")


def test_who_works_on_a_cancelled_run_publishes_nothing(world: World) -> None:
    campaign = world.start(steps=[{"run": "act"}])
    item, *_ = world.dispatch(1)

    def cancel(*_: object) -> None:
        control.cancel(world.services, campaign, actor="alice")

    world.acts["act"] = cancel
    assert world.attempt(item) is None
    assert world.pull_requests("one") == []
    world.require_tidy()


def test_failed_runs_are_attempted_once_more(world: World) -> None:
    campaign = world.start(steps=[{"run": "act"}])
    first, second = world.dispatch()
    with world.database.transaction() as tx:
        runs.end(tx, world.run(campaign, 1), Outcome.FAILED, "died", now=world.clock.now())
    world.acts["act"] = lambda *_: None
    world.attempt(second)
    world.work()
    assert control.retry(world.services, campaign, [], actor="alice") == 1
    world.work()
    assert world.ended(world.run(campaign, 1)).startswith("published: ")
    assert world.run(campaign, 1).fence == first.fence + 1
    assert control.retry(world.services, campaign, [], actor="alice") == 0
