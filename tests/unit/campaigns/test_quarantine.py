"""Poison targets are left alone, and are let go when something has changed, or when a person asks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bot.campaigns import control
from bot.domain.states import Outcome
from bot.errors import HostUnavailable, UsageError
from bot.pipeline.lease import LEASE
from bot.store import runs
from bot.tracking.leases import reclaim_expired
from tests.fakes import repositories
from tests.fakes.world import World

STEPS: list[Any] = [{"run": "make"}]


@pytest.fixture
def acme(world: World) -> World:
    """A world where the step fails on `poison`, and nowhere else."""
    for name in ("good", "poison"):
        world.repository(name)

    def make(_: object, context: Any) -> None:
        if context.variables["repo"]["name"] == "poison":
            raise UsageError("it does not build")

    world.acts["make"] = make
    return world


def attempt_all(world: World, times: int = 1, note: str = "Be kind.") -> str:
    for _ in range(times):
        campaign = world.start(note, steps=STEPS)
        world.work()
        world.clock.advance(60)
    return campaign


def skip_reason(world: World, note: str = "Be kind.") -> str | None:
    plan, _ = world.plan(note, steps=STEPS)
    return next(entry.skip_reason for entry in plan.entries if entry.target.repository == "poison")


def test_after_three_failures_in_a_row_it_is_left_alone_with_the_reason(acme: World) -> None:
    last = attempt_all(acme, 3)
    failed = next(number for number in (1, 2) if acme.run(last, number).repository.name == "poison")
    assert skip_reason(acme) == (
        "quarantined: its last 3 runs of this policy failed, and nothing has changed since: it does not build "
        f"(whimbrel retry {last}-{failed})"
    )
    skipped = attempt_all(acme)
    assert acme.run(skipped, 2).state == "ended"
    assert acme.run(skipped, 2).attempts == 0


def test_two_failures_are_not_enough_and_the_operator_says_how_many_are(acme: World) -> None:
    attempt_all(acme, 2)
    assert skip_reason(acme) is None
    acme.limit(ceilings={"failures_in_a_row": 2})
    assert "its last 2 runs" in str(skip_reason(acme))


def test_a_new_head_lets_it_go(acme: World) -> None:
    attempt_all(acme, 3)
    opened = repositories.opened(acme.folder / "host" / "acme" / "poison.git")
    repositories.commit(opened, {"mended.txt": b"x\n"})
    assert skip_reason(acme) is None
    attempt_all(acme)
    assert "its last 3 runs" in str(skip_reason(acme))


def test_a_new_revision_lets_it_go(acme: World) -> None:
    attempt_all(acme, 3)
    assert skip_reason(acme, "Be kinder.") is None


def test_a_retry_that_comes_to_something_lets_it_go(acme: World) -> None:
    last = attempt_all(acme, 3)
    number = next(number for number in (1, 2) if acme.run(last, number).repository.name == "poison")
    acme.acts["make"] = lambda *_: None
    control.retry(acme.services, last, [f"{last}-{number}"], actor="alice")
    acme.work()
    assert "already open" in str(skip_reason(acme))


def test_an_outage_of_the_host_says_nothing_of_the_target(acme: World) -> None:
    attempt_all(acme, 2)

    def out_of_reach(*_: object) -> None:
        raise HostUnavailable("no route")

    acme.acts["make"] = out_of_reach
    campaign = acme.start(steps=STEPS)
    number = next(number for number in (1, 2) if acme.run(campaign, number).repository.name == "poison")
    while acme.run(campaign, number).state != "ended":
        acme.work()
        acme.clock.advance(timedelta(minutes=20).total_seconds())
    assert acme.run(campaign, number).setbacks == 10
    assert skip_reason(acme) is None


def test_whoever_kills_its_worker_again_and_again_is_left_alone_at_once(acme: World) -> None:
    campaign = acme.start(steps=STEPS)
    number = next(number for number in (1, 2) if acme.run(campaign, number).repository.name == "poison")
    while acme.run(campaign, number).state != "ended":
        for item in acme.dispatch():
            if item.run_id == f"{campaign}-{number}":
                with acme.database.transaction() as tx:
                    assert runs.claim(tx, item.run_id, item.fence, worker="w", now=acme.clock.now(), lease=LEASE)
            else:
                acme.attempt(item)
        acme.clock.advance(LEASE.total_seconds() + 60)
        reclaim_expired(acme.services)
    acme.work()
    reason = str(skip_reason(acme))
    assert reason.startswith("quarantined: its last run of this policy failed, and nothing has changed since: given up after 5")
    assert acme.ended(acme.run(campaign, number)).startswith(Outcome.FAILED)
