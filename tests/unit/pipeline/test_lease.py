from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import Connection

from bot.errors import StoreError
from bot.pipeline.lease import LEASE, Lease
from bot.store import runs
from bot.store.database import Database
from bot.store.runs import Run
from bot.tracking.leases import reclaim_expired
from tests.fakes.queue_parts import eventually
from tests.fakes.world import World

OFTEN = 0.01


class MoodyDatabase(Database):
    """Raises `trouble` in the place of a transaction, and counts how often, while there is any."""

    trouble: StoreError | None = None
    refused = 0

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[Connection]:
        if self.trouble is not None:
            self.refused += 1
            raise self.trouble
        with super().transaction(durable=durable) as tx:
            yield tx


@pytest.fixture
def run(world: World) -> Run:
    """A run that is this attempt's."""
    return begin(world)


def begin(world: World) -> Run:
    world.repository("tool")
    world.start()
    [item] = world.dispatch()
    with world.database.transaction() as tx:
        run = runs.claim(tx, item.run_id, item.fence, worker="w", now=world.clock.now(), lease=LEASE)
    assert run is not None
    return run


def expires_after(world: World, seconds: float) -> bool:
    with world.database.reading() as tx:
        return bool(runs.expired(tx, world.clock.now() + timedelta(seconds=seconds)))


def test_it_is_renewed_for_as_long_as_the_attempt_lasts(world: World, run: Run) -> None:
    with Lease(world.services, run, renew_every_seconds=OFTEN) as lease:
        world.clock.advance(50)
        eventually(lambda: not expires_after(world, 60), "the lease is renewed")
        assert not lease.lost()
    assert expires_after(world, 61)


def test_it_is_lost_when_the_run_goes_on_without_it(world: World, run: Run) -> None:
    world.clock.advance(61)
    assert reclaim_expired(world.services)
    with Lease(world.services, run, renew_every_seconds=OFTEN) as lease:
        eventually(lease.lost, "the lease is lost")


def test_an_outage_of_the_database_is_sat_out(new_world: Callable[..., World]) -> None:
    world = new_world(MoodyDatabase)
    run = begin(world)
    with Lease(world.services, run, renew_every_seconds=OFTEN) as lease:
        world.database.trouble = StoreError("away", retryable=True)
        eventually(lambda: world.database.refused >= 3, "several renewals fail")
        assert not lease.lost()
        world.database.trouble = None
        world.clock.advance(50)
        eventually(lambda: not expires_after(world, 60), "the lease is renewed")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_who_cannot_renew_any_more_does_not_believe_to_hold_it(new_world: Callable[..., World]) -> None:
    world = new_world(MoodyDatabase)
    run = begin(world)
    world.database.trouble = StoreError("no such table")
    with Lease(world.services, run, renew_every_seconds=OFTEN) as lease:
        eventually(lease.lost, "the lease is lost")
