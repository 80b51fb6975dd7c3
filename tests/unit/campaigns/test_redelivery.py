"""What a host could not deliver is asked for again: what has not come, when it is due, once by one scheduler."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from bot.campaigns.redelivery import LOOK_EVERY, redeliver_missed
from bot.domain.events import DeliveryAttempt
from bot.errors import HostLimited, HostUnavailable
from bot.store import deliveries as stored
from tests.fakes.world import World

MINUTE = timedelta(minutes=1)


class Hook:
    """`redelivery.Deliverer`: a list of attempts; those that are asked for fail too, unless `arrives`."""

    name = "github.com 1"

    def __init__(self, world: World):
        self.world, self.list, self.arrives, self.away = world, list[DeliveryAttempt](), False, False
        self.asked: list[str] = []
        self.at_once = 1000
        self.since: list[datetime] = []

    def attempts(self, since: datetime) -> list[DeliveryAttempt]:
        self.since.append(since)
        if self.away:
            raise HostUnavailable("503")
        return [each for each in reversed(self.list) if each.at >= since]

    def redeliver(self, attempt: DeliveryAttempt) -> None:
        if len(self.asked) == self.at_once:
            raise HostLimited("five a minute", retry_after=60)
        self.asked.append(attempt.delivery)
        self.tried(attempt.delivery, succeeded=self.arrives)

    def tried(self, delivery: str, *, succeeded: bool = False) -> None:
        self.list.append(DeliveryAttempt(len(self.list) + 1, delivery, self.world.clock.now(), succeeded))

    def look(self, after: timedelta = LOOK_EVERY) -> list[str]:
        """What is asked for at a look, so long after the one before."""
        self.world.clock.advance(after.total_seconds())
        self.asked.clear()
        assert redeliver_missed(self.world.services, self) == len(self.asked)
        return self.asked.copy()


@pytest.fixture
def hook(world: World) -> Hook:
    return Hook(world)


def test_what_failed_is_asked_for_until_it_arrives(hook: Hook) -> None:
    hook.tried("fine", succeeded=True)
    hook.tried("lost")
    hook.arrives = True
    assert hook.look() == ["lost"]
    assert hook.look() == []


def test_one_that_fails_again_waits_longer_each_time(hook: Hook) -> None:
    hook.tried("lost")
    asked = [bool(hook.look()) for _ in range(16)]
    assert asked == [True, True, False, True, False, False, False, True, *[False] * 6, True, False]


def test_one_that_has_just_failed_may_be_on_its_way_by_somebody_elses_hand(hook: Hook) -> None:
    hook.tried("lost")
    assert hook.look(after=MINUTE) == []
    assert hook.look() == ["lost"]


def test_what_has_come_all_the_same_is_not_asked_for(world: World, hook: Hook) -> None:
    """It was answered too late for the host."""
    hook.tried("late")
    with world.database.transaction() as tx:
        stored.receive(tx, host="github", id="late", event="ping", body=b"{}", signers=["github.com"], now=world.clock.now())
    assert hook.look() == []


def test_a_host_that_takes_few_at_once_is_asked_for_the_rest_soon(hook: Hook) -> None:
    """GitLab takes five a minute."""
    hook.arrives, hook.at_once = True, 5
    for number in range(12):
        hook.world.clock.advance(1)
        hook.tried(f"lost {number:02}")
    assert hook.look() == [f"lost {number:02}" for number in range(5)]
    assert hook.look(after=MINUTE / 2) == []
    assert hook.look(after=MINUTE / 2) == [f"lost {number:02}" for number in range(5, 10)]
    assert hook.look(after=MINUTE) == ["lost 10", "lost 11"]
    assert hook.look(after=MINUTE) == []


def test_of_several_schedulers_one_looks(world: World, hook: Hook) -> None:
    hook.tried("lost")
    assert hook.look() == ["lost"]
    assert hook.look(after=LOOK_EVERY - MINUTE) == []
    assert len(hook.since) == 1


def test_how_far_it_looked_is_remembered(world: World, hook: Hook) -> None:
    """At first all that the host remembers; then from the last look on, or from the oldest that is missing."""
    start = world.clock.now()
    hook.look(after=timedelta())
    assert hook.since[-1] == start - timedelta(days=3)
    hook.look()
    assert hook.since[-1] == start - LOOK_EVERY
    hook.tried("lost")
    missing = world.clock.now()
    for _ in range(4):
        hook.look()
        assert hook.since[-1] <= missing
    hook.arrives = True
    while not hook.look():
        pass
    hook.look()
    hook.look()
    assert hook.since[-1] > missing


def test_a_host_that_is_away_is_asked_later_from_the_same_place(world: World, hook: Hook) -> None:
    hook.look()
    hook.tried("lost")
    hook.away = True
    for _ in range(3):
        world.clock.advance(LOOK_EVERY.total_seconds())
        with pytest.raises(HostUnavailable):
            redeliver_missed(world.services, hook)
    hook.away = False
    assert hook.look() == ["lost"]
