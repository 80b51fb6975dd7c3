"""Content-creating writes on hosts, one row each, so that no restart and no wiped Redis forgets the last hour's."""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select, text

from bot.store.schema import host_writes

WRITES_LOCK = 7711004


def count(tx: Connection, governor: str, *, cap: int, window: timedelta, now: datetime) -> datetime | None:
    """Count one write, unless the `window` that ends now has `cap` already: then, the instant from which there is room.

    Writers of one governor come one after the other until the transaction ends: together they never pass the cap.
    """
    _lock(tx, governor)
    tx.execute(delete(host_writes).where(host_writes.c.governor == governor, host_writes.c.at <= now - window))
    of_governor = host_writes.c.governor == governor
    counted = tx.execute(select(func.count()).select_from(host_writes).where(of_governor)).scalar_one()
    if counted < cap:
        tx.execute(insert(host_writes).values(governor=governor, at=now))
        return None
    # Not always the oldest: an operator may have lowered the cap.
    leaving = select(host_writes.c.at).where(of_governor).order_by(host_writes.c.at).offset(counted - cap).limit(1)
    at: datetime = tx.execute(leaving).scalar_one()
    return at + window


def _lock(tx: Connection, governor: str) -> None:
    """On SQLite, the transaction holds everything already."""
    if tx.dialect.name != "sqlite":
        keys = {"lock": WRITES_LOCK, "governor": zlib.crc32(governor.encode()) - 2**31}
        tx.execute(text("SELECT pg_advisory_xact_lock(:lock, :governor)"), keys)
