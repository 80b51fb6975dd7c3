"""Effects: what is done at most once, however often it is told: the intent is written first, under what it is about.

begun --finish--> done

Whoever began an effect and died of it may begin it again; nobody else may.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from bot.store.database import upsert
from bot.store.schema import effects

BEGUN, DONE = "begun", "done"


def begin(tx: Connection, org: str, key: str, *, by: str, now: datetime) -> bool:
    """Is this effect to be done, by `by`? False where it is done, or was begun by another one.

    `key` has at most 300 characters. Until the effect is done, its `result` is who has begun it.
    """
    row = {"org": org, "key": key, "state": BEGUN, "result": by, "at": now}
    if _insert(tx, row):
        return True
    found = tx.execute(select(effects).where(effects.c.org == org, effects.c.key == key)).one()
    return bool(found.state == BEGUN and found.result == by)


def is_done(tx: Connection, org: str, key: str) -> bool:
    found = tx.execute(select(effects.c.state).where(effects.c.org == org, effects.c.key == key)).scalar_one_or_none()
    return bool(found == DONE)


def do_once(tx: Connection, org: str, key: str, now: datetime) -> bool:
    """Is this effect to be done, in this very transaction? It counts as done then."""
    row = {"org": org, "key": key, "state": DONE, "result": "", "at": now}
    return _insert(tx, row)


def finish(tx: Connection, org: str, key: str, result: str, now: datetime) -> None:
    """It is done; `result` says what came of it."""
    tx.execute(update(effects).where(effects.c.org == org, effects.c.key == key).values(state=DONE, result=result, at=now))


def _insert(tx: Connection, row: Mapping[str, Any]) -> bool:
    """False where the effect is known."""
    fresh = upsert(tx, effects).values(row).on_conflict_do_nothing().returning(effects.c.key)
    return tx.execute(fresh).one_or_none() is not None
