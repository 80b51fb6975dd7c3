from __future__ import annotations

from datetime import timedelta

import pytest

from bot.domain.states import Outcome, RunState
from bot.pipeline.lease import LEASE
from bot.store import audit, runs
from bot.store.runs import Run
from bot.tracking.leases import reclaim, reclaim_expired, reclaim_lost
from bot.tracking.presence import present
from tests.fakes.world import World


def begin(world: World) -> Run:
    """Dispatch and claim the one run, when its time has come."""
    [item] = world.dispatch()
    with world.database.transaction() as tx:
        run = runs.claim(tx, item.run_id, item.fence, worker="w", now=world.clock.now(), lease=LEASE)
    assert run is not None
    return run


@pytest.fixture
def run(world: World) -> Run:
    world.repository("tool")
    world.start()
    return begin(world)


def actions(world: World) -> list[tuple[str, str]]:
    with world.database.reading() as tx:
        return [(event["action"], event["reason"]) for event in audit.events(tx, "acme")]


def test_only_what_has_expired_is_handed_back(world: World, run: Run) -> None:
    world.clock.advance(60)
    assert reclaim_expired(world.services) == []
    world.clock.advance(1)
    assert reclaim_expired(world.services) == [run]
    assert reclaim_expired(world.services) == []
    handed_back = world.run(run.campaign_id)
    assert (handed_back.state, handed_back.losses, handed_back.worker) == (RunState.PENDING, 1, "")
    assert actions(world)[-1] == ("attempt.lost", "its worker stopped answering")


def test_a_job_that_nobody_takes_is_no_loss_however_often(world: World) -> None:
    """A scheduler without workers, over a long weekend."""
    world.repository("tool")
    campaign = world.start()
    for _ in range(7):
        assert len(world.dispatch()) == 1
        world.clock.advance(61)
        assert len(reclaim_expired(world.services)) == 1
    waiting = world.run(campaign)
    assert (waiting.state, waiting.losses, waiting.attempts) == (RunState.PENDING, 0, 0)
    assert actions(world)[-1] == ("attempt.handed_back", "no worker came for it")


def test_the_wait_doubles_and_after_five_losses_it_is_the_run(world: World, run: Run) -> None:
    waits = []
    for _ in range(4):
        assert reclaim(world.services, run, "killed")
        began = world.clock.now()
        while not world_admits(world):
            world.clock.advance(1)
        waits.append(world.clock.now() - began)
        run = begin(world)
    assert waits == [timedelta(seconds=seconds) for seconds in (2, 4, 8, 16)]
    assert reclaim(world.services, run, "killed")
    assert world.ended(run) == "failed: given up after 5 attempts that were lost: killed"
    assert world.run(run.campaign_id).state is RunState.ENDED
    assert actions(world)[-1] == ("attempt.failed", "given up after 5 attempts that were lost: killed")
    world.require_tidy()


def world_admits(world: World) -> bool:
    with world.database.reading() as tx:
        return runs.any_admitted(tx, world.clock.now())


def test_given_up_on_purpose_is_no_loss_however_often(world: World, run: Run) -> None:
    for _ in range(7):
        assert reclaim(world.services, run, "the worker was stopped", counts=False)
        run = begin(world)
        assert run.losses == 0
    assert ("attempt.handed_back", "the worker was stopped") in actions(world)


def test_a_run_that_has_ended_meanwhile_is_left_alone(world: World, run: Run) -> None:
    with world.database.transaction() as tx:
        runs.end(tx, run, Outcome.NO_CHANGE, "done", now=world.clock.now())
    before = actions(world)
    assert not reclaim(world.services, run, "killed")
    assert actions(world) == before


def test_what_a_dead_worker_of_this_home_had_is_handed_back_at_once(world: World, run: Run) -> None:
    with present(world.services.home, "another"), present(world.services.home, run.worker):
        assert reclaim_lost(world.services) == []
    leave_lock(world, run.worker)
    assert reclaim_lost(world.services) == [run]
    assert world.run(run.campaign_id).losses == 1
    assert actions(world)[-1] == ("attempt.lost", "its worker died")
    assert reclaim_lost(world.services) == []


def leave_lock(world: World, worker: str) -> None:
    """What a kill -9 leaves of it: the file, which nobody holds."""
    (world.services.home / "workers" / f"{worker}.lock").touch()
