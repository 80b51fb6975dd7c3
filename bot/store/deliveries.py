"""Deliveries: the inbox in SQL. A webhook is stored before it is answered, and handled after that, by whoever takes it.

received --take, handle--> done | ignored (nothing here is about it) | failed (the reason says why)
    ^------- put_back -----'
    ^------- receive, delivered once more by hand ---------- failed

Who takes one has it for the time of a lease. Whatever is told of it after counts only while nobody else has taken it since.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, delete, func, or_, select, update

from bot.store.database import upsert
from bot.store.schema import deliveries, effects

End = Literal["done", "ignored", "failed"]
NEVER = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook that was taken to be handled. `host` is the kind of its sender, `signers` are the instances whose secret it is
    signed with; `tries` counts how often it was taken."""

    id: str
    host: str
    signers: frozenset[str]
    event: str
    body: bytes
    sha256: str
    tries: int


def receive(tx: Connection, *, host: str, id: str, event: str, body: bytes, signers: Collection[str], now: datetime) -> bool:
    """Store a delivery; False, and nothing done, where one with this id is known.

    One that has failed is taken up again: somebody had it delivered once more, by hand, after the cause was mended.
    """
    row = {"id": id, "host": host, "event": event, "body": body, "sha256": sha256(body).hexdigest(), "state": "received"}
    fresh = row | {"signers": " ".join(sorted(signers)), "tries": 0, "reason": "", "received_at": now}
    stored = upsert(tx, deliveries).values(fresh).on_conflict_do_nothing().returning(deliveries.c.id)
    if tx.execute(stored).one_or_none() is not None:
        return True
    failed = (deliveries.c.id == id, deliveries.c.host == host, deliveries.c.state == "failed")
    return bool(tx.execute(update(deliveries).where(*failed).values(fresh | {"handled_at": None})).rowcount)


def take(tx: Connection, *, now: datetime, lease: timedelta, limit: int) -> list[Delivery]:
    """At most `limit` deliveries that wait, the oldest first, for this caller alone until the lease runs out."""
    waiting = (
        select(deliveries.c.id)
        .where(deliveries.c.state == "received", or_(deliveries.c.not_before.is_(None), deliveries.c.not_before <= now))
        .order_by(deliveries.c.received_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken = tx.execute(
        update(deliveries)
        .where(deliveries.c.id.in_(waiting))
        .values(tries=deliveries.c.tries + 1, not_before=now + lease)
        .returning(deliveries)
    )
    rows = sorted(taken, key=lambda row: row.received_at)
    return [
        Delivery(row.id, row.host, frozenset(row.signers.split()), row.event, row.body, row.sha256, row.tries) for row in rows
    ]


def renew(tx: Connection, delivery: Delivery, *, until: datetime) -> bool:
    """Keep a delivery for longer; False where somebody else has it."""
    return _tell(tx, delivery, not_before=until)


def end(tx: Connection, delivery: Delivery, state: End, reason: str, now: datetime) -> None:
    """It is handled. Its body is forgotten; what it was is still known by its id and its hash."""
    _tell(tx, delivery, state=state, reason=reason, handled_at=now, not_before=None, body=b"")


def put_back(tx: Connection, delivery: Delivery, reason: str, *, not_before: datetime) -> None:
    """It could not be handled, and is tried again."""
    _tell(tx, delivery, reason=reason, not_before=not_before)


def counts(tx: Connection) -> dict[str, int]:
    """How many there are, by state."""
    counted = select(deliveries.c.state, func.count()).group_by(deliveries.c.state)
    return {row[0]: row[1] for row in tx.execute(counted)}


def known(tx: Connection, ids: Sequence[str]) -> set[str]:
    """Those of `ids` that have come."""
    found: set[str] = set()
    for chunk in (ids[start : start + 500] for start in range(0, len(ids), 500)):
        found.update(tx.execute(select(deliveries.c.id).where(deliveries.c.id.in_(chunk))).scalars())
    return found


def forget(tx: Connection, *, before: datetime) -> int:
    """Delete what was handled before then; return how many. What failed is kept for whoever asks why."""
    old = delete(deliveries).where(deliveries.c.state.in_(("done", "ignored")), deliveries.c.received_at < before)
    return tx.execute(old).rowcount


def look(tx: Connection, name: str, *, now: datetime, every: timedelta) -> datetime | None:
    """Until when a host's own list of deliveries was looked through; None where somebody has looked within `every`."""
    row = {"org": "", "key": f"deliveries:{name}", "state": "looked", "result": NEVER.isoformat(), "at": now}
    first = upsert(tx, effects).values(row).on_conflict_do_nothing().returning(effects.c.key)
    if tx.execute(first).one_or_none() is not None:
        return NEVER
    due = update(effects).where(*_looked(name), effects.c.at <= now - every).values(at=now).returning(effects.c.result)
    until = tx.execute(due).scalar_one_or_none()
    return None if until is None else datetime.fromisoformat(until)


def remember_look(tx: Connection, name: str, until: datetime, *, at: datetime) -> None:
    """That list is looked through until then; `at` counts as the time of this look."""
    tx.execute(update(effects).where(*_looked(name)).values(result=until.isoformat(), at=at))


def _looked(name: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return effects.c.org == "", effects.c.key == f"deliveries:{name}"


def _tell(tx: Connection, delivery: Delivery, **values: Any) -> bool:
    mine = (deliveries.c.id == delivery.id, deliveries.c.state == "received", deliveries.c.tries == delivery.tries)
    return bool(tx.execute(update(deliveries).where(*mine).values(values)).rowcount)
