"""Intents to tell, on both databases: taken once, told once, and nothing that is asked for meanwhile is lost."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.domain.pull_requests import Thread
from bot.store import effects, tellings
from bot.store.database import Database
from bot.store.tellings import Kind, Telling
from tests.fakes.clock import ManualClock

SEVEN = Thread(7, "issue")
SOON = timedelta(minutes=1)


def waiting(database: Database, clock: ManualClock, kind: Kind = "status") -> list[Telling]:
    with database.reading() as tx:
        return tellings.waiting(tx, kind, ["acme", "rival"], clock.now())


@pytest.fixture
def followed(database: Database, clock: ManualClock) -> Telling:
    with database.transaction() as tx:
        tellings.follow(tx, "acme", "tool", SEVEN, "c1-1", "a note", clock.now())
    (found,) = waiting(database, clock)
    return found


def test_one_comment_follows_all_runs_of_a_number(database: Database, clock: ManualClock, followed: Telling) -> None:
    with database.transaction() as tx:
        tellings.follow(tx, "acme", "tool", SEVEN, "c2-1", "", clock.now())
        tellings.follow(tx, "acme", "tool", SEVEN, "c1-1", "once more", clock.now())
        tellings.follow(tx, "acme", "tool", Thread(8, "issue"), "c3-1", "", clock.now())
        tellings.follow(tx, "rival", "tool", SEVEN, "c4-1", "", clock.now())
    assert len(waiting(database, clock)) == 3
    with database.reading() as tx:
        assert tellings.followed(tx, "acme", "tool", SEVEN) == ["c2-1", "c1-1"]
        assert tellings.followed(tx, "acme", "tool", Thread(7, "pull_request")) == []
    assert followed.data == {
        "repository": "tool",
        "number": 7,
        "kind": "issue",
        "runs": {"c1-1": "a note"},
        "asked": 1,
        "told": "",
    }


def test_it_is_taken_by_one_until_its_lease_is_over(database: Database, clock: ManualClock, followed: Telling) -> None:
    with database.transaction() as tx:
        assert tellings.take(tx, followed, clock.now() + SOON)
        assert not tellings.take(tx, followed, clock.now() + SOON)
    assert waiting(database, clock) == []
    clock.advance(SOON.total_seconds())
    assert len(waiting(database, clock)) == 1


@pytest.mark.parametrize("done", [True, False])
def test_what_is_told_waits_again_unless_it_is_done(
    database: Database, clock: ManualClock, followed: Telling, done: bool
) -> None:
    with database.transaction() as tx:
        tellings.told(tx, followed, clock.now(), done=done, told="digest")
    assert [each.data["told"] for each in waiting(database, clock)] == ([] if done else ["digest"])


@pytest.mark.parametrize("run", ["c1-1", "c2-1"])
def test_what_is_asked_for_while_it_is_told_is_not_lost(
    database: Database, clock: ManualClock, followed: Telling, run: str
) -> None:
    with database.transaction() as tx:
        tellings.take(tx, followed, clock.now() + SOON)
        tellings.follow(tx, "acme", "tool", SEVEN, run, "a note", clock.now())
        tellings.told(tx, followed, clock.now(), done=True, told="digest")
    (found,) = waiting(database, clock)
    assert set(found.data["runs"]) == {"c1-1", run}


def test_checks_and_statuses_are_apart(database: Database, clock: ManualClock, followed: Telling) -> None:
    with database.transaction() as tx:
        for fence in (1, 2):
            tellings.intend_check(tx, "acme", "tool", "c0ffee", "c1-1", fence, clock.now())
    (found,) = waiting(database, clock, "check")
    assert found.data == {"run": "c1-1", "fence": 2, "commit": "c0ffee"}
    assert waiting(database, clock) == [followed]


def test_an_effect_of_one_transaction_is_done_once(database: Database, clock: ManualClock) -> None:
    with database.transaction() as tx:
        assert effects.do_once(tx, "acme", "retry:1", clock.now())
        assert not effects.do_once(tx, "acme", "retry:1", clock.now())
        assert effects.do_once(tx, "rival", "retry:1", clock.now())


def test_a_control_issue_goes_on_where_it_had_ended(database: Database, clock: ManualClock) -> None:
    def intend() -> Telling:
        with database.transaction() as tx:
            tellings.intend_control(tx, "acme", "c1", "platform", clock.now())
        (found,) = waiting(database, clock, "control")
        return found

    first = intend()
    with database.transaction() as tx:
        assert not tellings.is_told(tx, "acme", "c2")
        tellings.told(tx, first, clock.now(), done=True, number=5, told="abc")
    assert waiting(database, clock, "control") == []
    assert (intend().data["number"], intend().data["told"]) == (5, "abc")


def test_what_came_of_ticks_is_kept_for_the_last_ones_and_told_once(database: Database, clock: ManualClock) -> None:
    with database.transaction() as tx:
        tellings.intend_control(tx, "acme", "c1", "platform", clock.now() + SOON)
        for number in (*range(tellings.ANSWERS_KEPT + 2), 5):
            tellings.answer_tick(tx, "acme", "c1", f"tick:{number}", f"answer {number}", clock.now())
        tellings.rename(tx, "acme", "platform", "control")
    (due,) = waiting(database, clock, "control")
    assert due.data["repository"] == "control"
    assert list(due.data["answers"].values()) == [f"answer {number}" for number in (2, 3, 4, 6, 7, 8, 9, 10, 11, 5)]
