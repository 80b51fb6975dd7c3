"""Weekly windows, such as `mon-fri 09:00-17:00`: when something may be done, in a time zone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MIDNIGHT = 24 * 60

_FORM = re.compile(r"(?:(?P<days>[a-z,-]+)\s+)?(?P<start>\d\d:\d\d)-(?P<end>\d\d:\d\d)")
_EXAMPLE = "such as `mon-fri 09:00-17:00`, `sat,sun 10:00-12:00`, or `22:00-06:00` for every night"


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` to `end`, in minutes of the day, on weekdays (0 is Monday); one that ends before it starts goes on past
    midnight, and belongs to the day on which it starts."""

    days: frozenset[int]
    start: int
    end: int

    def holds(self, local: datetime) -> bool:
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.start < self.end:
            return day in self.days and self.start <= minute < self.end
        yesterday = (day - 1) % 7
        return (day in self.days and minute >= self.start) or (yesterday in self.days and minute < self.end)


def parse_window(text: str) -> Window:
    """Raises ValueError, with an example."""
    found = _FORM.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f"{text!r} is no window: {_EXAMPLE}")
    days = _days(found["days"], text) if found["days"] else frozenset(range(7))
    start, end = _minutes(found["start"], text), _minutes(found["end"], text)
    if start in (end, MIDNIGHT):
        raise ValueError(f"{text!r} is an empty window: {_EXAMPLE}")
    return Window(days, start, end)


def is_open(windows: Sequence[Window], at: datetime, zone: str) -> bool:
    """Is one of them open at that instant? Without any, it always is."""
    local = at.astimezone(ZoneInfo(zone))
    return not windows or any(window.holds(local) for window in windows)


def next_opening(windows: Sequence[Window], at: datetime, zone: str) -> datetime:
    """The first instant from `at` on when one is open; a time that a change of clocks leaves out opens nothing that day."""
    if is_open(windows, at, zone):
        return at
    today = at.astimezone(ZoneInfo(zone)).date()
    opening = [
        datetime.combine(today + timedelta(days=ahead), time(*divmod(window.start, 60)), ZoneInfo(zone)).astimezone(UTC)
        for ahead in range(15)
        for window in windows
    ]
    return min(moment for moment in opening if moment > at and is_open(windows, moment, zone))


def _days(text: str, whole: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise ValueError(f"{whole!r} is no window: the days are {', '.join(DAYS)}; {_EXAMPLE}")
        start, end = DAYS.index(first), DAYS.index(last or first)
        found |= {day % 7 for day in range(start, end + 1 if end >= start else end + 8)}
    return frozenset(found)


def _minutes(text: str, whole: str) -> int:
    hours, minutes = int(text[:2]), int(text[3:])
    if minutes > 59 or hours * 60 + minutes > MIDNIGHT:
        raise ValueError(f"{whole!r} is no window: {text} is no time of day; {_EXAMPLE}")
    return hours * 60 + minutes
