"""What was published, or is about to be: one row a change, under the org's ceilings."""

from __future__ import annotations

import pytest

from bot.domain.pull_requests import PullRequestState
from bot.domain.states import Outcome
from bot.errors import CeilingReached
from bot.store import publications, runs
from bot.store.database import Database
from bot.store.publications import Change, Publication
from tests.fakes.clock import ManualClock
from tests.fakes.queue import REVISION, Queue, intend, pull_request
from tests.racing import race

CHANGE = Change("acme", "notes", "r1", "main")
OTHER = Change("acme", "notes", "r2", "main")


@pytest.fixture
def queue(database: Database, clock: ManualClock) -> Queue:
    return Queue(database, clock)


def find(database: Database, change: Change = CHANGE) -> Publication | None:
    with database.reading() as tx:
        return publications.find(tx, change)


def test_an_intent_is_made_once_and_becomes_the_open_pull_request(database: Database, clock: ManualClock) -> None:
    assert find(database) is None
    with database.transaction() as tx:
        made = intend(tx, clock, CHANGE)
        assert intend(tx, clock, CHANGE) == made
        assert (made.state, made.number, made.head, made.revision) == ("intent", None, "", "")
        publications.record_push(tx, made, head="a" * 40, base_head="b" * 40, now=clock.now())
        publications.record_open(tx, made, pull_request(7), "r1", clock.now())
        known = intend(tx, clock, CHANGE)
    assert known == find(database)
    assert (known.id, known.state, known.number, known.url) == (made.id, "open", 7, "u/7")
    assert (known.head, known.base_head, known.revision) == ("a" * 40, "b" * 40, "r1")


def test_an_intent_after_a_closed_one_remembers_it(database: Database, clock: ManualClock) -> None:
    """Else a retry could not tell that this very pull request was known to be closed when the intent was made."""
    with database.transaction() as tx:
        made = intend(tx, clock, CHANGE)
        publications.record_open(tx, made, pull_request(7), "r1", clock.now())
        publications.record_state(tx, made, PullRequestState.CLOSED, clock.now())
        again = intend(tx, clock, CHANGE)
    assert (again.id, again.state, again.number, again.revision) == (made.id, "intent", 7, "r1")


def test_a_withdrawn_intent_gives_its_place_back_and_an_open_one_stays(database: Database, clock: ManualClock) -> None:
    with database.transaction() as tx:
        publications.withdraw(tx, intend(tx, clock, CHANGE, open_ceiling=1))
        opened = intend(tx, clock, OTHER, open_ceiling=1)
        publications.record_open(tx, opened, pull_request(1), "r1", clock.now())
        publications.withdraw(tx, opened)
    withdrawn, still = find(database), find(database, OTHER)
    assert withdrawn is not None
    assert still is not None
    assert (withdrawn.state, still.state) == ("closed", "open")


def test_the_ceiling_of_open_ones_counts_intents(database: Database, clock: ManualClock) -> None:
    with database.transaction() as tx:
        intend(tx, clock, CHANGE, open_ceiling=1)
    with pytest.raises(CeilingReached) as refused, database.transaction() as tx:
        intend(tx, clock, OTHER, open_ceiling=1)
    assert str(refused.value) == "1 of 1 pull requests of acme are open: waiting until some are closed"
    assert refused.value.retryable
    assert find(database, OTHER) is None


def test_the_hourly_ceiling_counts_closed_ones_and_says_until_when(database: Database, clock: ManualClock) -> None:
    with database.transaction() as tx:
        made = intend(tx, clock, CHANGE)
        publications.record_open(tx, made, pull_request(1), "r1", clock.now())
        publications.record_state(tx, made, PullRequestState.CLOSED, clock.now())
    clock.advance(600)
    with (
        pytest.raises(CeilingReached, match=r"1 of 1 .* opened this hour: waiting until 13:00 UTC"),
        database.transaction() as tx,
    ):
        intend(tx, clock, OTHER, hourly_ceiling=1)
    clock.advance(3001)
    with database.transaction() as tx:
        assert intend(tx, clock, OTHER, hourly_ceiling=1).state == "intent"


def test_an_open_one_is_under_no_ceiling(database: Database, clock: ManualClock) -> None:
    with database.transaction() as tx:
        made = intend(tx, clock, CHANGE, open_ceiling=1, hourly_ceiling=1)
        publications.record_open(tx, made, pull_request(1), "r1", clock.now())
        assert intend(tx, clock, CHANGE, open_ceiling=1, hourly_ceiling=1).number == 1


def test_another_org_has_a_ceiling_of_its_own(database: Database, clock: ManualClock) -> None:
    with database.transaction() as tx:
        intend(tx, clock, CHANGE, open_ceiling=1)
        assert intend(tx, clock, Change("other", "notes", "r1", "main"), open_ceiling=1).state == "intent"


def test_what_is_unsettled(queue: Queue) -> None:
    """Open ones; and an intent, once no run is at work on it."""
    database = queue.database
    opened = queue.publish("acme", "r2")
    queue.campaign("acme", 1)
    [run] = queue.begin()
    with database.transaction() as tx:
        intent = intend(tx, queue.clock, CHANGE)
    with database.reading() as tx:
        assert [found.id for found in publications.unsettled(tx, "acme")] == [opened.id]
        assert publications.unsettled(tx, "other") == []
    with database.transaction() as tx:
        runs.end(tx, run, Outcome.FAILED, "died", now=queue.clock.now())
    with database.reading() as tx:
        assert {found.id for found in publications.unsettled(tx, "acme")} == {opened.id, intent.id}
        assert publications.of_policy(tx, "acme", "another") == []
        assert {found.revision for found in publications.of_policy(tx, "acme", "notes")} == {REVISION, ""}


def publish(number: int, url: str) -> int:
    """One of several workers that publish at once, under a ceiling of 10; return how many this one opened."""
    database, clock, opened = Database(url), ManualClock(), 0
    for target in range(5):
        try:
            with database.transaction() as tx:
                made = intend(tx, clock, Change("acme", "notes", f"r{number}-{target}", "main"), open_ceiling=10)
        except CeilingReached:
            continue
        with database.transaction() as tx:
            publications.record_open(tx, made, pull_request(target), "r1", clock.now())
        opened += 1
    database.dispose()
    return opened


def test_workers_that_publish_at_once_pass_no_ceiling(database_url: str) -> None:
    assert sum(race(publish, 4, database_url)) == 10
