"""Where the bot is installed, as the host told, in whatever order its deliveries arrived. No secret is here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from bot.domain.events import InstallationChanged
from bot.store.database import upsert
from bot.store.schema import installations

STATES = {"created": "active", "unsuspended": "active", "suspended": "suspended", "deleted": "deleted"}
"""What a change makes of it; the others leave it as it was."""


@dataclass(frozen=True, slots=True)
class Installation:
    """`state` is active, suspended or deleted; `number` the host's own; `at` is when it became so, as the host told."""

    host: str
    org: str
    number: int
    state: str
    permissions: Mapping[str, str]
    at: datetime


def find(tx: Connection, host: str, org: str) -> Installation | None:
    found = tx.execute(select(installations).where(installations.c.host == host, installations.c.org == org)).one_or_none()
    return None if found is None else _installation(found)


def record(tx: Connection, change: InstallationChanged) -> bool:
    """Take in what the host tells; False, and nothing done, where something newer is known."""
    known = find(tx, change.host, change.org)
    if known is not None and _is_newer(known, change):
        return False
    row = {
        "number": change.number,
        "state": STATES.get(change.what, known.state if known else "active"),
        "permissions": json.dumps(dict(change.permissions)),
        "at": change.at,
    }
    fresh = upsert(tx, installations).values(host=change.host, org=change.org, **row)
    tx.execute(fresh.on_conflict_do_update(index_elements=["host", "org"], set_=row))
    return True


def _is_newer(known: Installation, change: InstallationChanged) -> bool:
    """Numbers grow, and a deleted installation never comes back: the next one has another number."""
    if known.number != change.number:
        return known.number > change.number
    return known.state == "deleted" or known.at > change.at


def _installation(row: Row[tuple[Any, ...]]) -> Installation:
    return Installation(row.host, row.org, row.number, row.state, json.loads(row.permissions), row.at)
