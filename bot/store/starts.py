"""Starts: campaigns that nobody asks for by hand. One is noted in SQL, once, and then made by whoever takes it.

waiting --take, plan, end--> started | joined | nothing | refused | failed
   ^------ put_back ------'                                   (missed: it was noted when it was too late already)

Who takes one has it for the time of a lease, and renews that. Whatever is told of it after counts only while nobody else has
taken it since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, delete, select, update

from bot.domain.schedules import Schedule
from bot.store.database import upsert
from bot.store.schema import schedules, starts

Cause = Literal["schedule", "template_changed"]
End = Literal["started", "joined", "nothing", "refused", "failed", "missed"]


@dataclass(frozen=True, slots=True)
class Start:
    """A campaign to be started: `slot` is the instant that the schedule names, or when the template changed."""

    org: str
    policy: str
    cause: Cause
    slot: datetime
    state: str
    reason: str
    tries: int
    late_at: datetime
    campaign_id: str | None
    at: datetime


def decided(tx: Connection) -> dict[tuple[str, str, str, str], datetime]:
    """Up to which slot each schedule is decided, by org, policy, expression and time zone."""
    return {(row.org, row.policy, row.cron, row.timezone): row.decided for row in tx.execute(select(schedules))}


def lock(tx: Connection, schedule: Schedule, now: datetime) -> datetime:
    """Up to which slot a schedule is decided; nobody else decides on it in this transaction. One that is new begins now."""
    row = {**_names(schedule), "decided": now}
    tx.execute(upsert(tx, schedules).values(row).on_conflict_do_nothing())
    known = tx.execute(select(schedules).where(*_is_schedule(schedule)).with_for_update()).one()
    if (known.cron, known.timezone) == (schedule.cron, schedule.timezone):
        until: datetime = known.decided
        return until
    tx.execute(update(schedules).where(*_is_schedule(schedule)).values(row))
    return now


def decide(tx: Connection, schedule: Schedule, until: datetime) -> None:
    tx.execute(update(schedules).where(*_is_schedule(schedule)).values(decided=until))


def note(
    tx: Connection, org: str, policy: str, cause: Cause, slot: datetime, *, late_at: datetime, now: datetime, missed: str = ""
) -> bool:
    """Have it started, once; `missed` says why it shall not be. False where it is noted already."""
    row = {
        "org": org,
        "policy": policy,
        "cause": cause,
        "slot": slot,
        "state": "missed" if missed else "waiting",
        "reason": missed,
        "tries": 0,
        "not_before": now,
        "late_at": late_at,
        "at": now,
    }
    noted = upsert(tx, starts).values(row).on_conflict_do_nothing().returning(starts.c.org)
    return tx.execute(noted).one_or_none() is not None


def take(tx: Connection, orgs: Iterable[str], *, now: datetime, lease: timedelta) -> Start | None:
    """The one that waits longest, for this caller alone until the lease runs out."""
    waiting = (
        select(starts)
        .where(starts.c.org.in_(list(orgs)), starts.c.state == "waiting", starts.c.not_before <= now)
        .order_by(starts.c.not_before, starts.c.org, starts.c.policy)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    found = tx.execute(waiting).one_or_none()
    if found is None:
        return None
    mine = update(starts).where(*_is(_start(found))).values(tries=starts.c.tries + 1, not_before=now + lease)
    return _start(tx.execute(mine.returning(starts)).one())


def renew(tx: Connection, start: Start, *, until: datetime) -> bool:
    """Keep it for longer; False where somebody else has it."""
    return _tell(tx, start, not_before=until)


def put_back(tx: Connection, start: Start, reason: str, *, not_before: datetime) -> bool:
    """It could not be started, and is tried again."""
    return _tell(tx, start, reason=reason, not_before=not_before)


def end(tx: Connection, start: Start, state: End, reason: str, now: datetime, *, campaign_id: str | None = None) -> bool:
    """What came of it; False, and nothing done, where somebody else has it."""
    return _tell(tx, start, state=state, reason=reason, campaign_id=campaign_id, at=now)


def last(tx: Connection, org: str, policy: str) -> Start | None:
    """The newest one of a policy."""
    own = (starts.c.org == org, starts.c.policy == policy)
    newest = select(starts).where(*own).order_by(starts.c.slot.desc()).limit(1)
    found = tx.execute(newest).one_or_none()
    return None if found is None else _start(found)


def forget(tx: Connection, *, before: datetime) -> int:
    """Delete what ended before then, but the newest of each policy; return how many. A slot is not decided on again."""
    newer = starts.alias()
    followed = (
        select(newer.c.org)
        .where(newer.c.org == starts.c.org, newer.c.policy == starts.c.policy, newer.c.slot > starts.c.slot)
        .exists()
    )
    return tx.execute(delete(starts).where(starts.c.state != "waiting", starts.c.at < before, followed)).rowcount


def _tell(tx: Connection, start: Start, **values: Any) -> bool:
    mine = (*_is(start), starts.c.state == "waiting", starts.c.tries == start.tries)
    return bool(tx.execute(update(starts).where(*mine).values(values)).rowcount)


def _is(start: Start) -> tuple[ColumnElement[bool], ...]:
    own = (start.org, start.policy, start.cause, start.slot)
    return tuple(column == value for column, value in zip(starts.primary_key.columns, own, strict=True))


def _names(schedule: Schedule) -> Mapping[str, str]:
    return {"org": schedule.org, "policy": schedule.policy, "cron": schedule.cron, "timezone": schedule.timezone}


def _is_schedule(schedule: Schedule) -> tuple[ColumnElement[bool], ...]:
    return schedules.c.org == schedule.org, schedules.c.policy == schedule.policy


def _start(row: Row[Any]) -> Start:
    return Start(
        org=row.org,
        policy=row.policy,
        cause=row.cause,
        slot=row.slot,
        state=row.state,
        reason=row.reason,
        tries=row.tries,
        late_at=row.late_at,
        campaign_id=row.campaign_id,
        at=row.at,
    )
