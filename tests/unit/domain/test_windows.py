from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.windows import DAYS, is_open, next_opening, parse_window

OFFICE = [parse_window("mon-fri 09:00-17:00")]
MONDAY = datetime(2026, 3, 23, tzinfo=UTC)

texts = st.builds(
    lambda days, start, end: f"{','.join(sorted(days, key=DAYS.index))} {start:02}:00-{end:02}:00",
    st.sets(st.sampled_from(DAYS), min_size=1),
    st.integers(0, 23),
    st.integers(0, 24),
).filter(lambda text: text[-11:-6] != text[-5:])
instants = st.integers(0, 365 * 24 * 60).map(lambda minutes: MONDAY + timedelta(minutes=minutes))
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/Los_Angeles", "Australia/Lord_Howe", "Asia/Kathmandu"])


@pytest.mark.parametrize(
    ("hours", "opened"), [(8.99, False), (9, True), (16.99, True), (17, False), (5 * 24 + 10, False), (7 * 24 + 10, True)]
)
def test_office_hours(hours: float, opened: bool) -> None:
    assert is_open(OFFICE, MONDAY + timedelta(hours=hours), "UTC") is opened


def test_the_hours_are_those_of_the_zone() -> None:
    assert is_open(OFFICE, datetime(2026, 3, 23, 8, 30, tzinfo=UTC), "Europe/Berlin")
    assert not is_open(OFFICE, datetime(2026, 3, 23, 8, 30, tzinfo=UTC), "UTC")


def test_over_the_weekend_it_is_monday_and_summer_time_by_then() -> None:
    friday = datetime(2026, 3, 27, 20, tzinfo=UTC)
    assert next_opening(OFFICE, friday, "Europe/Berlin") == datetime(2026, 3, 30, 7, tzinfo=UTC)


def test_a_night_belongs_to_the_day_on_which_it_starts() -> None:
    night = [parse_window("fri 22:00-06:00")]
    assert is_open(night, datetime(2026, 3, 28, 5, tzinfo=UTC), "UTC")
    assert not is_open(night, datetime(2026, 3, 27, 5, tzinfo=UTC), "UTC")
    assert next_opening(night, datetime(2026, 3, 28, 6, tzinfo=UTC), "UTC") == datetime(2026, 4, 3, 22, tzinfo=UTC)


def test_a_window_that_the_change_of_clocks_leaves_out_opens_the_day_after() -> None:
    early = [parse_window("02:00-02:30")]
    sunday = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    assert next_opening(early, sunday, "Europe/Berlin") == datetime(2026, 3, 30, 0, tzinfo=UTC)


def test_without_any_it_is_always_open() -> None:
    assert is_open([], MONDAY, "UTC")
    assert next_opening([], MONDAY, "UTC") == MONDAY


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9-17",
        "mon 09:00",
        "moon 09:00-10:00",
        "mon- 09:00-9:00",
        "09:60-10:00",
        "25:00-26:00",
        "24:00-01:00",
        "08:00-08:00",
    ],
)
def test_what_is_no_window_is_told_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as `mon-fri 09:00-17:00`"):
        parse_window(text)


def test_days_go_round_the_week() -> None:
    assert parse_window("fri-mon 00:00-24:00").days == {4, 5, 6, 0}


@given(st.lists(texts, min_size=1, max_size=3), instants, zones)
def test_the_next_opening_is_open_and_nothing_is_before_it(parts: list[str], at: datetime, zone: str) -> None:
    windows = [parse_window(text) for text in parts]
    opening = next_opening(windows, at, zone)
    assert opening >= at
    assert is_open(windows, opening, zone)
    if opening > at:
        assert not is_open(windows, opening - timedelta(seconds=1), zone)
        between = (at + (opening - at) * part / 7 for part in range(7))
        assert not any(is_open(windows, moment, zone) for moment in between)
