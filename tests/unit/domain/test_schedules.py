"""When a policy runs by itself: cron in a time zone, when the clocks change, with a grace and a jitter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.domain.policy_files import parse_campaign
from bot.domain.schedules import LOOKED_BACK, NOTED_AT_ONCE, Schedule, due
from bot.errors import PolicyError

NOTHING = timedelta(0)
YEAR = datetime(2026, 1, 1, tzinfo=UTC)
CRONS = ["0 3 * * 1", "30 2 * * *", "*/20 * * * *", "0 */2 * * *", "15 1,2,3 * 3,10,11 *", "5 4 1 * *", "0 2 * * SUN"]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]


def schedule(
    cron: str = "0 3 * * 1", timezone: str = "UTC", grace: int = 360, jitter: int = 0, policy: str = "notes"
) -> Schedule:
    return Schedule("acme", policy, cron, timezone, timedelta(minutes=grace), timedelta(minutes=jitter))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def told(found: Schedule, after: str, count: int) -> list[str]:
    return [f"{slot:%m-%d %H:%M}" for slot in islice(found.slots(at(after)), count)]


@pytest.mark.parametrize(
    ("cron", "after", "slots"),
    [
        # Berlin: 2026-03-29 02:00 becomes 03:00, 2026-10-25 03:00 becomes 02:00 once more. In UTC:
        ("30 2 * * *", "2026-03-28 00:00", ["03-28 01:30", "03-29 01:00", "03-30 00:30"]),  # skipped: right after
        ("30 2 * * *", "2026-10-24 00:00", ["10-24 00:30", "10-25 00:30", "10-26 01:30"]),  # twice: the first one alone
        ("0 3 * * 1", "2026-03-22 00:00", ["03-23 02:00", "03-30 01:00", "04-06 01:00"]),
        ("0 * * * *", "2026-03-28 23:30", ["03-29 00:00", "03-29 01:00", "03-29 02:00"]),  # the time that really passes
        ("0 * * * *", "2026-10-24 23:30", ["10-25 00:00", "10-25 01:00", "10-25 02:00"]),
        ("0 2 * * *", "2026-10-25 00:30", ["10-26 01:00"]),  # looked for when the hour comes for the second time
    ],
)
def test_when_the_clocks_change_it_is_as_with_debians_cron(cron: str, after: str, slots: list[str]) -> None:
    assert told(schedule(cron, "Europe/Berlin"), after, len(slots)) == slots


@given(
    cron=st.sampled_from(CRONS),
    zone=st.sampled_from(ZONES),
    hours=st.integers(0, 8700),
    minutes=st.integers(0, 59),
)
@example(cron="30 2 * * *", zone="Europe/Berlin", hours=24 * 297, minutes=40)
def test_wherever_one_begins_to_look_the_slots_are_the_same(cron: str, zone: str, hours: int, minutes: int) -> None:
    found, begun = schedule(cron, zone), YEAR + timedelta(hours=hours, minutes=minutes)
    until = begun + timedelta(days=3)
    before = found.slots(begun - timedelta(days=3))
    whole = [slot for slot in takewhile(lambda slot: slot <= until, before) if slot > begun]
    assert list(takewhile(lambda slot: slot <= until, found.slots(begun))) == whole
    assert whole == sorted(set(whole))


@given(
    cron=st.sampled_from(CRONS),
    zone=st.sampled_from(ZONES),
    jitter=st.sampled_from([0, 7, 300]),
    looks=st.lists(st.integers(1, 60 * 11), min_size=1, max_size=12),
    begun=st.integers(0, 360),
)
def test_however_often_one_looks_each_slot_is_decided_once(
    cron: str, zone: str, jitter: int, looks: list[int], begun: int
) -> None:
    found = schedule(cron, zone, jitter=jitter)
    start = decided = now = YEAR + timedelta(days=begun)
    seen: list[datetime] = []
    for minutes in looks:
        now += timedelta(minutes=minutes)
        came = due(found, decided, now)
        seen += [missed.slot for missed in came.missed]
        if came.run is not None:
            assert found.due_at(came.run) <= now < found.late_at(came.run)
            seen.append(came.run)
        decided = came.until
    every = list(takewhile(lambda slot: slot <= decided, found.slots(start)))
    assert sorted(seen) == every


def test_the_newest_slot_is_run_and_the_others_are_missed_with_the_reason() -> None:
    came = due(schedule("0 * * * *", grace=120), at("2026-01-15 08:30"), at("2026-01-15 12:10"))
    assert came.run == at("2026-01-15 12:00")
    assert [(f"{missed.slot:%H}", missed.reason) for missed in came.missed] == [
        ("09", "nobody ran it within 120 minutes (`schedule_grace_minutes`)"),
        ("10", "nobody ran it within 120 minutes (`schedule_grace_minutes`)"),
        ("11", "nobody ran it before the next one, of 2026-01-15 12:00 UTC, was due too"),
    ]


def test_too_late_is_too_late_for_the_newest_too() -> None:
    came = due(schedule(grace=60), at("2026-01-12 00:00"), at("2026-01-12 04:00"))
    assert (came.run, [missed.slot for missed in came.missed]) == (None, [at("2026-01-12 03:00")])
    assert due(schedule(grace=61), at("2026-01-12 00:00"), at("2026-01-12 04:00")).run == at("2026-01-12 03:00")


def test_of_a_long_outage_only_the_newest_are_noted() -> None:
    came = due(schedule("* * * * *"), at("2026-01-01 00:00"), at("2026-01-15 00:00"))
    assert len(came.missed) == NOTED_AT_ONCE
    assert came.missed[0].reason.endswith("; 20109 slots before it were missed too")
    long_ago = due(schedule("0 3 * * *"), at("2020-01-01 00:00"), at("2026-01-15 12:00"))
    assert len(long_ago.missed) == LOOKED_BACK.days
    assert long_ago.run is None


def test_the_jitter_is_the_same_whoever_asks_and_another_for_each_policy() -> None:
    slot, most = at("2026-01-12 03:00"), timedelta(minutes=30)
    delays = [schedule(jitter=30, policy=f"p{number}").due_at(slot) - slot for number in range(200)]
    assert delays == [schedule(jitter=30, policy=f"p{number}").due_at(slot) - slot for number in range(200)]
    assert all(NOTHING <= delay < most for delay in delays)
    assert max(delays) - min(delays) > timedelta(minutes=25)
    assert schedule().due_at(slot) == slot


def test_the_next_slot_may_be_one_that_is_put_off() -> None:
    put_off = schedule(jitter=60)
    slot = at("2026-01-12 03:00")
    assert put_off.next_slot(put_off.due_at(slot) - timedelta(seconds=1)) == slot
    assert put_off.next_slot(put_off.due_at(slot)) == slot + timedelta(days=7)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0 3 * *", "has 4 fields, and is `minute hour day-of-month month day-of-week`, such as `0 3 * * 1`"),
        ("0 0 3 * * 1", "has 6 fields"),
        ("0 25 * * 1", "its hour is wrong"),
        ("0 3 31 2 *", "its day-of-month is wrong"),
        ("0 3 */20 * 1L", "never comes: there is no such day"),
        ("@weekly", "has 1 fields"),
    ],
)
def test_what_is_no_schedule_is_refused_at_its_line(value: str, message: str) -> None:
    text = f"name: notes\ndescription: x\non:\n  comment: true\n  schedule: '{value}'\nsteps: [{{run: 'true'}}]\n"
    with pytest.raises(PolicyError) as refused:
        parse_campaign(text, "campaigns/notes.yaml")
    assert str(refused.value).startswith(f"campaigns/notes.yaml:5: `on.schedule`: '{value}'")
    assert message in str(refused.value)
