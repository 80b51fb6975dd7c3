"""The inbox in SQL, what is done at most once, and where the bot is installed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from bot.domain.events import InstallationChanged
from bot.store import deliveries, effects, installations
from bot.store.database import Database
from bot.store.deliveries import Delivery
from bot.store.schema import deliveries as table
from tests.fakes.clock import ManualClock

LEASE = timedelta(seconds=60)


def receive(database: Database, clock: ManualClock, *ids: str) -> list[bool]:
    with database.transaction() as tx:
        about = {"host": "github", "event": "ping", "body": b"{}", "signers": ("b.example", "a.example")}
        return [deliveries.receive(tx, id=each, now=clock.now(), **about) for each in ids]


def take(database: Database, clock: ManualClock, limit: int = 10) -> list[Delivery]:
    with database.transaction() as tx:
        return deliveries.take(tx, now=clock.now(), lease=LEASE, limit=limit)


def row(database: Database, delivery: str) -> tuple[str, str, bytes]:
    with database.reading() as tx:
        found = tx.execute(select(table).where(table.c.id == delivery)).one()
    return found.state, found.reason, found.body


class TestDeliveries:
    def test_a_known_id_makes_no_second_row(self, database: Database, clock: ManualClock) -> None:
        assert receive(database, clock, "a") == [True]
        assert receive(database, clock, "a", "b") == [False, True]
        with database.reading() as tx:
            assert deliveries.counts(tx) == {"received": 2}
            assert deliveries.known(tx, ["a", "c"]) == {"a"}

    def test_the_oldest_are_taken_first_and_by_one_alone(self, database: Database, clock: ManualClock) -> None:
        for each in ("c", "a", "b"):
            receive(database, clock, each)
            clock.advance(1)
        assert [each.id for each in take(database, clock, limit=2)] == ["c", "a"]
        assert [each.id for each in take(database, clock)] == ["b"]
        assert take(database, clock) == []

    def test_whose_handler_died_is_taken_again(self, database: Database, clock: ManualClock) -> None:
        receive(database, clock, "a")
        [first] = take(database, clock)
        clock.advance(60)
        [second] = take(database, clock)
        assert (first.tries, second.tries) == (1, 2)
        with database.transaction() as tx:
            assert not deliveries.renew(tx, first, until=clock.now() + LEASE)
            deliveries.end(tx, first, "failed", "too late", clock.now())
            assert deliveries.renew(tx, second, until=clock.now() + 2 * LEASE)
        clock.advance(60)
        assert take(database, clock) == []

    def test_what_is_handled_is_forgotten_but_for_its_hash(self, database: Database, clock: ManualClock) -> None:
        receive(database, clock, "a")
        [taken] = take(database, clock)
        with database.transaction() as tx:
            deliveries.end(tx, taken, "ignored", "nobody follows it", clock.now())
        assert row(database, "a") == ("ignored", "nobody follows it", b"")
        assert receive(database, clock, "a") == [False]
        clock.advance(3600)
        assert take(database, clock) == []

    def test_one_that_is_put_back_comes_again_when_it_is_time(self, database: Database, clock: ManualClock) -> None:
        receive(database, clock, "a")
        [taken] = take(database, clock)
        with database.transaction() as tx:
            deliveries.put_back(tx, taken, "503", not_before=clock.now() + timedelta(seconds=5))
        assert take(database, clock) == []
        clock.advance(5)
        assert [each.tries for each in take(database, clock)] == [2]
        assert row(database, "a")[1] == "503"

    def test_only_what_is_handled_is_deleted_in_time(self, database: Database, clock: ManualClock) -> None:
        receive(database, clock, "done", "failed", "waits")
        taken = {each.id: each for each in take(database, clock)}
        with database.transaction() as tx:
            deliveries.end(tx, taken["done"], "done", "", clock.now())
            deliveries.end(tx, taken["failed"], "failed", "why", clock.now())
            assert deliveries.forget(tx, before=clock.now()) == 0
            assert deliveries.forget(tx, before=clock.now() + LEASE) == 1
            assert deliveries.known(tx, ["done", "failed", "waits"]) == {"failed", "waits"}

    def test_more_ids_than_a_statement_may_have(self, database: Database, clock: ManualClock) -> None:
        receive(database, clock, "39999")
        with database.reading() as tx:
            assert deliveries.known(tx, [str(number) for number in range(40_000)]) == {"39999"}


class TestLooks:
    """At a host's own list of deliveries."""

    def test_one_at_a_time_from_where_the_last_one_ended(self, database: Database, clock: ManualClock) -> None:
        every, start = timedelta(minutes=5), clock.now()
        with database.transaction() as tx:
            assert deliveries.look(tx, "github.com 1", now=start, every=every) == deliveries.NEVER
            assert deliveries.look(tx, "github.com 1", now=start, every=every) is None
            assert deliveries.look(tx, "github.com 2", now=start, every=every) == deliveries.NEVER
            deliveries.remember_look(tx, "github.com 1", start, at=start)
        clock.advance(300)
        with database.transaction() as tx:
            assert deliveries.look(tx, "github.com 1", now=clock.now(), every=every) == start
            assert deliveries.look(tx, "github.com 1", now=clock.now(), every=every) is None


class TestEffects:
    def test_an_effect_is_had_once(self, database: Database, clock: ManualClock) -> None:
        with database.transaction() as tx:
            assert effects.begin(tx, "acme", "comment:1", by="a", now=clock.now())
            effects.finish(tx, "acme", "comment:1", "it was told", clock.now())
            assert not effects.begin(tx, "acme", "comment:1", by="a", now=clock.now())
            assert not effects.begin(tx, "acme", "comment:1", by="b", now=clock.now())
            assert effects.begin(tx, "umbrella", "comment:1", by="b", now=clock.now())

    def test_whoever_began_it_may_begin_again_and_nobody_else(self, database: Database, clock: ManualClock) -> None:
        with database.transaction() as tx:
            assert effects.begin(tx, "acme", "label:1", by="a", now=clock.now())
            assert not effects.begin(tx, "acme", "label:1", by="b", now=clock.now())
            assert effects.begin(tx, "acme", "label:1", by="a", now=clock.now())

    def test_one_that_is_had_in_a_single_transaction(self, database: Database, clock: ManualClock) -> None:
        with database.transaction() as tx:
            assert effects.do_once(tx, "acme", "x", clock.now())
            assert not effects.do_once(tx, "acme", "x", clock.now())


class TestInstallations:
    @pytest.fixture
    def created(self, clock: ManualClock) -> InstallationChanged:
        return InstallationChanged("github.com", "acme", 5, "created", (("contents", "write"),), (), "alice", clock.now())

    def state(self, database: Database, *changes: InstallationChanged) -> str:
        with database.transaction() as tx:
            for change in changes:
                installations.record(tx, change)
            found = installations.find(tx, "github.com", "acme")
        assert found is not None
        return f"{found.number} {found.state}"

    def test_from_its_beginning_to_its_end(self, database: Database, created: InstallationChanged) -> None:
        later = created.at + LEASE
        assert self.state(database, created) == "5 active"
        assert self.state(database, replace(created, what="suspended", at=later)) == "5 suspended"
        assert self.state(database, replace(created, what="permissions_accepted", at=later)) == "5 suspended"
        assert self.state(database, replace(created, what="unsuspended", at=later)) == "5 active"
        assert self.state(database, replace(created, what="deleted", at=later)) == "5 deleted"

    def test_in_whatever_order_it_is_told(self, database: Database, created: InstallationChanged) -> None:
        deleted = replace(created, what="deleted")
        assert self.state(database, deleted, created) == "5 deleted"
        anew = replace(created, number=6)
        assert self.state(database, anew, created, deleted) == "6 active"
        suspended = replace(anew, what="suspended", at=created.at + LEASE)
        assert self.state(database, suspended, anew) == "6 suspended"
