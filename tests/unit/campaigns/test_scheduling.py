"""Campaigns that nobody asks for by hand: on time, once, whoever dies of it; what is not run says why."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any

from sqlalchemy import select

from bot.campaigns import control
from bot.campaigns.scheduling import KEPT, LEASE, forget_ended, outlook, start_due
from bot.errors import HostUnavailable
from bot.store import audit
from bot.store.schema import campaigns, starts
from tests.fakes.blade import Blade, BladedDatabase, Killed, WatchedHost
from tests.fakes.world import World

MONDAYS = {"schedule": "0 3 * * 1"}
MONDAY = datetime(2026, 1, 19, 3, tzinfo=UTC)
HOUR = 3600.0
DAY = 24 * HOUR


def adopt(world: World, on: dict[str, Any] = MONDAYS, name: str = "notes", **policy: Any) -> None:
    """A policy that may run on the org, seen by a scheduler for the first time on a Thursday at noon."""
    _, world.policies[name] = world.plan(name=name, on=on, **policy)
    assert start_due(world.services) == 0


def until(world: World, instant: datetime) -> None:
    world.clock.advance((instant - world.clock.now()).total_seconds())


def became(world: World, policy: str = "notes") -> list[str]:
    """Every start that was noted, as `DAY HOUR:MINUTE STATE: REASON`."""
    with world.database.reading() as tx:
        found = tx.execute(select(starts).where(starts.c.policy == policy).order_by(starts.c.slot))
        return [f"{row.slot:%d %H:%M} {row.state}: {row.reason}" for row in found]


def told(world: World) -> list[str]:
    """The audit trail, which holds."""
    with world.database.reading() as tx:
        assert audit.verify(tx, world.services.audit_key, "acme") is None
        return [f"{event['action']} by {event['actor']}" for event in audit.events(tx, "acme")]


def test_a_slot_starts_a_campaign_by_itself_on_time_and_once(world: World) -> None:
    world.repository("one")
    adopt(world)
    until(world, MONDAY)
    world.clock.advance(-1)
    assert start_due(world.services) == 0
    world.clock.advance(1)
    assert [start_due(world.services) for _ in range(3)] == [1, 0, 0]
    assert became(world) == ["19 03:00 started: 1 targets, 0 repositories skipped"]
    assert told(world) == ["campaign.started by schedule"]
    world.work()
    assert len(world.open_pull_requests("one")) == 1


def test_a_campaign_that_is_still_active_is_joined(world: World) -> None:
    world.repository("one")
    adopt(world)
    until(world, MONDAY)
    start_due(world.services)
    world.repository("two")
    world.clock.advance(7 * DAY)
    start_due(world.services)
    assert [line.partition(":")[2] for line in became(world)][1:] == ["00 joined: 2 targets, 0 repositories skipped"]
    with world.database.reading() as tx:
        assert len(tx.execute(select(campaigns)).all()) == 1
    world.work()
    assert len(world.open_pull_requests("one")) == len(world.open_pull_requests("two")) == 1


def test_a_slot_with_nothing_to_do_starts_nothing_and_says_so(world: World) -> None:
    world.repository("one")
    adopt(world)
    world.start(on=MONDAYS)
    world.work()
    until(world, MONDAY)
    start_due(world.services)
    assert became(world)[0].startswith("19 03:00 nothing: nothing to do: each of 1 repositories would be skipped (plan p")


def test_what_came_while_nobody_was_at_work_is_missed_with_its_reason_and_the_newest_is_run_within_the_grace(
    world: World,
) -> None:
    world.repository("one")
    adopt(world, {"schedule": "0 3 * * *", "schedule_grace_minutes": 60})
    until(world, MONDAY)
    world.clock.advance(HOUR / 2)
    assert start_due(world.services) == 1
    assert became(world) == [
        *(f"{day} 03:00 missed: nobody ran it within 60 minutes (`schedule_grace_minutes`)" for day in (16, 17, 18)),
        "19 03:00 started: 1 targets, 0 repositories skipped",
    ]
    assert told(world) == [*["schedule.missed by schedule"] * 3, "campaign.started by schedule"]


def test_the_org_s_time_zone_says_when_it_is_three(world: World) -> None:
    world.repository("one")
    world.org = world.org.model_copy(update={"timezone": "Europe/Berlin"})
    adopt(world)
    until(world, MONDAY)
    world.clock.advance(-HOUR)
    assert start_due(world.services) == 1
    assert became(world)[0].startswith("19 02:00 started")


def test_a_schedule_that_is_changed_begins_anew(world: World) -> None:
    world.repository("one")
    adopt(world)
    world.clock.advance(30 * DAY)
    adopt(world, {"schedule": "0 4 * * 1"})
    assert became(world) == []


def test_what_it_may_not_start_is_refused_with_the_reason(world: World) -> None:
    world.repository("one")
    adopt(world)
    control.pause(world.services, world.start(on=MONDAYS), actor="alice")
    until(world, MONDAY)
    start_due(world.services)
    assert "refused: campaign" in became(world)[0]
    assert "is paused (whimbrel resume" in became(world)[0]
    assert told(world)[-1] == "schedule.refused by schedule"


def test_a_policy_that_the_operator_does_not_list_has_no_schedule(world: World) -> None:
    world.repository("one")
    adopt(world)
    world.policies.clear()
    until(world, MONDAY)
    assert start_due(world.services) == 0
    assert became(world) == []


def test_a_host_that_is_out_of_reach_is_asked_again_until_it_is_too_late(world: World) -> None:
    world.repository("one")
    adopt(world, {**MONDAYS, "schedule_grace_minutes": 90})

    def fail(moment: str) -> None:
        if moment.startswith("before"):
            raise HostUnavailable("the host answers 503")

    world.host = WatchedHost(world.local, fail)
    until(world, MONDAY)
    start_due(world.services)
    assert became(world) == ["19 03:00 waiting: the host answers 503"]
    assert start_due(world.services) == 0, "not before a while has passed"
    for _ in range(12):
        world.clock.advance(HOUR / 6)
        start_due(world.services)
    assert became(world) == ["19 03:00 failed: given up: the host answers 503"]
    assert told(world) == ["schedule.failed by schedule"]


def test_two_policies_do_not_wait_for_each_other(world: World) -> None:
    world.repository("one")
    adopt(world)
    adopt(world, name="others")
    until(world, MONDAY)
    assert [start_due(world.services) for _ in range(3)] == [1, 1, 0]
    assert [became(world, name)[0][9:16] for name in ("notes", "others")] == ["started", "started"]


def test_whenever_its_scheduler_dies_another_one_finishes_it_and_it_is_started_once(new_world: Callable[..., World]) -> None:
    for at in count(1):
        world = new_world(BladedDatabase)
        if not _dies(world, Blade(at)):
            break
        world.clock.advance(LEASE.total_seconds())
        while start_due(world.services):
            pass
        assert became(world) == ["19 03:00 started: 1 targets, 0 repositories skipped"]
        assert told(world) == ["campaign.started by schedule"]
    assert at > 10, "there are that many moments to die at"


def _dies(world: World, blade: Blade) -> bool:
    """Does the blade fall, before the slot is run and all is noted?"""
    world.repository("one")
    adopt(world)
    assert isinstance(world.database, BladedDatabase)
    world.database.blade, world.host = blade, WatchedHost(world.local, blade.pass_under)
    until(world, MONDAY)
    try:
        while start_due(world.services):
            pass
    except Killed:
        return True
    world.database.blade = None
    return False


def test_who_was_given_up_as_dead_starts_nothing_when_it_comes_back(world: World) -> None:
    world.repository("one")
    adopt(world)
    until(world, MONDAY)
    lagging = iter([LEASE.total_seconds()])

    def lag(_: str) -> None:
        """The first one stands still while it plans, and another one does all of it."""
        for seconds in lagging:
            world.clock.advance(seconds)
            assert start_due(world.services) == 1

    world.host = WatchedHost(world.local, lag)
    start_due(world.services)
    assert became(world) == ["19 03:00 started: 1 targets, 0 repositories skipped"]
    assert told(world) == ["campaign.started by schedule"]


def test_what_ended_long_ago_is_forgotten_but_for_the_last(world: World) -> None:
    world.repository("one")
    adopt(world, {"schedule": "0 3 * * *"})
    for _ in range(5):
        world.clock.advance(DAY)
        start_due(world.services)
    assert (forget_ended(world.services), len(became(world))) == (0, 5)
    world.clock.advance(KEPT.total_seconds())
    assert (forget_ended(world.services), len(became(world))) == (4, 1)


def test_the_outlook_says_when_next_and_what_came_of_it_last(world: World) -> None:
    world.repository("one")
    adopt(world)
    until(world, MONDAY)
    start_due(world.services)
    catalogue = world.services.catalogue()
    (found,) = outlook(world.services, catalogue, list(catalogue.policies.orgs.values()))
    assert found.next == found.next_at == datetime(2026, 1, 26, 3, tzinfo=UTC)
    assert found.last is not None
    assert (found.last.slot, found.last.state) == (MONDAY, "started")
