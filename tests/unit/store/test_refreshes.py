"""What the database keeps of branches that follow their base, on every database: refreshes, own commits, what was looked at."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.domain.states import Outcome
from bot.store import looked, own_commits, publications, refreshes, runs
from bot.store.database import Database
from bot.store.publications import Change, Facts, Publication
from tests.fakes.clock import ManualClock
from tests.fakes.queue import REVISION, Queue
from tests.racing import meet, race

CHANGE = Change("acme", "notes", "r1", "main")
HOUR = timedelta(hours=1)


@pytest.fixture
def queue(database: Database, clock: ManualClock) -> Queue:
    return Queue(database, clock)


def conflict(queue: Queue, publication: Publication, head: str) -> None:
    with queue.database.transaction() as tx:
        publications.record_facts(tx, publication, Facts(conflicts=True, seen_head=head), queue.clock.now())


def conflicting(queue: Queue) -> list[int]:
    with queue.database.reading() as tx:
        return [each.id for each in refreshes.conflicting(tx, "acme", not_since=queue.clock.now() - HOUR)]


def begin(queue: Queue, publication: Publication) -> bool:
    now = queue.clock.now()
    with queue.database.transaction() as tx:
        return refreshes.begin(tx, publication, now, not_since=now - HOUR)


class TestRefreshes:
    def test_a_head_is_refreshed_once_and_no_sooner_than_an_hour_after_the_last(self, queue: Queue) -> None:
        made = queue.publish("acme", "r1")
        assert conflicting(queue) == []
        conflict(queue, made, "a" * 40)
        assert conflicting(queue) == [made.id]
        assert begin(queue, made)
        assert (conflicting(queue), begin(queue, made)) == ([], False)
        conflict(queue, made, "b" * 40)
        assert conflicting(queue) == []
        queue.clock.advance(3600)
        assert conflicting(queue) == [made.id]

    def test_of_many_who_begin_it_one_does(self, queue: Queue) -> None:
        made = queue.publish("acme", "r1")
        conflict(queue, made, "a" * 40)
        url = str(queue.database.engine.url.render_as_string(hide_password=False))
        assert race(_begin, 4, url).count(True) == 1

    def test_what_is_done_is_closed_unless_it_is_needed_again(self, queue: Queue) -> None:
        made = queue.publish("acme", "r1")
        with queue.database.transaction() as tx:
            assert refreshes.needed_no_more(tx, CHANGE, "it is there", queue.clock.now())
            assert not refreshes.needed_no_more(tx, CHANGE, "told twice", queue.clock.now())
            (waiting,) = refreshes.to_be_closed(tx, "acme")
            assert (waiting.id, waiting.done) == (made.id, "it is there")
            refreshes.needed_again(tx, CHANGE)
            assert refreshes.to_be_closed(tx, "acme") == []


def _begin(_number: int, url: str) -> bool:
    database, clock = Database(url), ManualClock()
    try:
        with database.reading() as tx:
            known = publications.find(tx, CHANGE)
        assert known is not None
        meet()
        return begin(Queue(database, clock), known)
    finally:
        database.dispose()


def test_a_commit_and_what_joined_it_are_the_bots_own(queue: Queue) -> None:
    queue.campaign("acme", 2)
    first, second = queue.begin()
    with queue.database.transaction() as tx:
        runs.note_attempt(tx, first, commit="a" * 40, base_head="0" * 40, head="b" * 40)
        runs.note_attempt(tx, second, commit="c" * 40, base_head="0" * 40)
    with queue.database.reading() as tx:
        found = own_commits.own_among(tx, ["a" * 40, "b" * 40, "d" * 40, ""])
        assert set(found) == {"a" * 40, "b" * 40}
        assert {(own.commit, own.base, own.revision) for own in found.values()} == {("a" * 40, "0" * 40, REVISION)}
        assert own_commits.strangers(tx, [f"{number:040x}" for number in range(1200)] + ["c" * 40])[-1] == f"{1199:040x}"


def test_what_was_looked_at_last_is_kept(queue: Queue) -> None:
    queue.campaign("acme", 1)
    (run,) = queue.begin()
    for outcome in (Outcome.PUBLISHED, Outcome.NO_CHANGE):
        with queue.database.transaction() as tx:
            runs.note_attempt(tx, run, base_head="f" * 40)
            looked.record(tx, CHANGE, run, revision=REVISION, inputs="i", outcome=outcome, reason="so", now=queue.clock.now())
    with queue.database.reading() as tx:
        assert looked.of_policy(tx, "acme", "others") == {}
        (kept,) = looked.of_policy(tx, "acme", "notes").items()
    assert kept == (CHANGE, looked.Looked(REVISION, "f" * 40, "i", Outcome.NO_CHANGE, "so", run.id))
