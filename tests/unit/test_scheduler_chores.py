"""Work beside the scheduler's rounds."""

from __future__ import annotations

import logging
import threading

import pytest

from bot.domain.hooks import HookChange, TokenState
from bot.errors import HostUnavailable
from bot.scheduler import Chore, beside, upkeep, webhook_chores
from bot.store import deliveries
from tests.fakes.queue_parts import eventually
from tests.fakes.world import World


def test_what_was_delivered_is_handled_beside_the_rounds(world: World) -> None:
    with world.database.transaction() as tx:
        deliveries.receive(tx, host="github", id="a", event="ping", body=b"{}", signers=["local"], now=world.clock.now())

    def handled() -> bool:
        with world.database.reading() as tx:
            return deliveries.counts(tx) == {"done": 1}

    stop = threading.Event()
    with beside(stop, webhook_chores(world.services, [])):
        eventually(handled, "the delivery is handled")
    assert stop.is_set()


def test_the_bots_standing_is_kept_up_beside_the_rounds_as_soon_as_it_has_one(world: World) -> None:
    class Standing:
        org, name = "acme", "gitlab.example.com acme"
        looks = 0

        def hooks(self) -> list[HookChange]:
            self.looks += 1
            return [HookChange("the group acme", "created", "there was none")]

        def token(self) -> TokenState:
            return TokenState("whimbrel", "group_7_bot", None)

    standing, asked = Standing(), []

    def find() -> Standing | None:
        asked.append(1)
        return standing if len(asked) > 1 else None

    (chore,) = upkeep(world.services, [find])
    assert [chore.do() for _ in range(3)] == [0, 0, 0]
    assert (len(asked), standing.looks) == (3, 1)


def test_a_chore_that_fails_is_done_again(caplog: pytest.LogCaptureFixture) -> None:
    stop, tries = threading.Event(), []

    def do() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise HostUnavailable("503")
        stop.set()
        return 0

    with caplog.at_level(logging.WARNING):
        Chore(do, pause_seconds=0).forever(stop)
    assert len(tries) == 2
    assert "this will be tried again: HostUnavailable: 503" in caplog.text


def test_no_thread_outlives_the_block_however_it_is_left() -> None:
    before = threading.active_count()

    def fail() -> None:
        with beside(threading.Event(), [Chore(lambda: 0, pause_seconds=60)]):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert threading.active_count() == before
