"""When a policy's schedule has it run: cron in the org's time zone, as Debian's cron has it when the clocks change.

A slot is the instant that the schedule names. What says `*` or `*/N` for its minute or its hour goes by the time that really
passes; any other job whose time the clocks skip comes right after, and one whose time they repeat comes once.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

FIELDS = "minute hour day-of-month month day-of-week"
LOOKED_BACK = timedelta(days=32)
"""What came to be due longer ago than this is not even noted: no monthly schedule is forgotten."""
NOTED_AT_ONCE = 50
"""So many missed slots are noted each; of more only the newest."""


def cron(value: str) -> str:
    """The expression, if it is one. Raises ValueError with what is wrong."""
    fields = value.split()
    if len(fields) != len(FIELDS.split()):
        raise ValueError(f"{value!r} is no schedule: it has {len(fields)} fields, and is `{FIELDS}`, such as `0 3 * * 1`")
    try:
        next(CronSim(value, datetime(2026, 1, 1)))  # noqa: DTZ001 - whether it ever comes depends on no zone
    except CronSimError as error:
        field = str(error).removeprefix("Bad ")
        raise ValueError(f"{value!r} is no schedule: its {field} is wrong; it is `{FIELDS}`, such as `0 3 * * 1`") from error
    except StopIteration:
        raise ValueError(f"{value!r} never comes: there is no such day") from None
    return value


@dataclass(frozen=True, slots=True)
class Schedule:
    """Of one policy on one org. `grace` is how late a slot may still be run; `jitter` the most that each one is put off."""

    org: str
    policy: str
    cron: str
    timezone: str
    grace: timedelta
    jitter: timedelta

    def slots(self, after: datetime) -> Iterator[datetime]:
        """Those that come after an instant, in UTC, without an end."""
        for slot in CronSim(self.cron, after.astimezone(ZoneInfo(self.timezone))):
            if slot.astimezone(UTC) > after:  # begun in an hour that comes twice, it may tell the first of the two
                yield slot.astimezone(UTC)

    def due_at(self, slot: datetime) -> datetime:
        """When it is to be run: the same whoever asks, and spread out over policies and weeks."""
        seed = "\0".join((self.org, self.policy, slot.astimezone(UTC).isoformat()))
        share = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8]) / 2**64
        return slot + timedelta(seconds=int(self.jitter.total_seconds() * share))

    def late_at(self, slot: datetime) -> datetime:
        """From then on it is not run any more."""
        return self.due_at(slot) + self.grace

    def next_slot(self, now: datetime) -> datetime:
        """The first one that is yet to be run."""
        return next(slot for slot in self.slots(now - self.jitter) if self.due_at(slot) > now)


@dataclass(frozen=True, slots=True)
class Missed:
    """A slot that is not run, and why."""

    slot: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Due:
    """What has come to be due since somebody looked: at most one slot is run, and the newest of them at that."""

    run: datetime | None
    missed: Sequence[Missed]
    until: datetime
    """All slots up to this one are decided."""


def due(schedule: Schedule, decided: datetime, now: datetime) -> Due:
    """Decide on the slots that came after `decided`: the newest is run, unless it is too late for that too."""
    came: deque[datetime] = deque(maxlen=NOTED_AT_ONCE + 1)
    count = 0
    for slot in schedule.slots(max(decided, now - LOOKED_BACK)):
        if schedule.due_at(slot) > now:
            break
        came.append(slot)
        count += 1
    if not came:
        return Due(None, (), decided)
    newest = came[-1]
    run = newest if now < schedule.late_at(newest) else None
    missed = [Missed(slot, _why(schedule, slot, newest, now)) for slot in came if slot != run]
    if missed and count > len(came):
        more = f"; {count - len(came)} slots before it were missed too"
        missed[0] = Missed(missed[0].slot, missed[0].reason + more)
    return Due(run, tuple(missed), newest)


def _why(schedule: Schedule, slot: datetime, newest: datetime, now: datetime) -> str:
    if now >= schedule.late_at(slot):
        minutes = int(schedule.grace.total_seconds() // 60)
        return f"nobody ran it within {minutes} minutes (`schedule_grace_minutes`)"
    return f"nobody ran it before the next one, of {newest:%Y-%m-%d %H:%M} UTC, was due too"
