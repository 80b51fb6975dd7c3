"""The audit trail: append-only, one HMAC-keyed hash chain an org.

Each event's MAC covers its own fields and the MAC before it; the key is not in the database. `append` belongs in the very
transaction that changes the state it tells of. A cut tail is found by comparing with a head that was logged earlier.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from bot.errors import ConfigurationError
from bot.ports import Clock
from bot.store.database import upsert
from bot.store.schema import audit_events, audit_heads, storable

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class AuditKey:
    """The operator's secret. Losing it loses the proof, not the trail. Raises ConfigurationError for an empty one."""

    secret: bytes

    def __post_init__(self) -> None:
        if not self.secret:
            raise ConfigurationError("the audit key is empty", mend="set WHIMBREL_AUDIT_KEY to a long random text")

    def __repr__(self) -> str:
        return "AuditKey(…)"


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends: kept elsewhere, it proves that no tail was cut. Written as `SEQ:MAC`."""

    seq: int
    mac: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.mac}"


@dataclass(frozen=True, slots=True)
class Broken:
    """The first place where a chain does not hold, and what is wrong with it."""

    seq: int
    problem: str


def append(
    tx: Connection,
    key: AuditKey,
    clock: Clock,
    *,
    org: str,
    actor: str,
    action: str,
    subject: str,
    reason: str = "",
    details: Mapping[str, Any] | None = None,
) -> str:
    """Add an event to the org's chain; return its audit_id. `details` is JSON; payloads and prompts go in by their hash."""
    previous = _lock_head(tx, org)
    event = {
        "org": org,
        "seq": previous.seq + 1,
        "audit_id": secrets.token_hex(16),
        "at": clock.now(),
        "actor": storable(actor),
        "action": action,
        "subject": storable(subject),
        "reason": storable(reason),
        "details": json.dumps(details or {}, sort_keys=True),
        "previous": previous.mac,
    }
    mac = _mac(key, event)
    tx.execute(insert(audit_events).values(event | {"mac": mac}))
    tx.execute(update(audit_heads).where(audit_heads.c.org == org).values(seq=event["seq"], mac=mac))
    return str(event["audit_id"])


def head(tx: Connection, org: str) -> Head:
    found = tx.execute(select(audit_heads).where(audit_heads.c.org == org)).one_or_none()
    return Head(0, GENESIS) if found is None else Head(found.seq, found.mac)


def orgs(tx: Connection) -> list[str]:
    """Every org that has a chain or events."""
    heads = select(audit_heads.c.org).union(select(audit_events.c.org))
    return sorted(row.org for row in tx.execute(heads))


def verify(tx: Connection, key: AuditKey, org: str, *, known: Head | None = None) -> Broken | None:
    """Walk the org's chain from its start; None when it holds, and reaches `known`, a head that was logged earlier.

    `tx` is a `Database.reading`: one snapshot, so that what is appended meanwhile does not look like a break.
    """
    last = Head(0, GENESIS)
    try:
        for row in _rows(tx, org):
            problem = _problem(key, row, last, known)
            if problem:
                return Broken(last.seq + 1, problem)
            last = Head(row.seq, row.mac)
    except (TypeError, ValueError):
        return Broken(last.seq + 1, f"an event after event {last.seq} was altered: it holds what was never written")
    problem = _end_problem(last, head(tx, org), known)
    return Broken(last.seq + 1, problem) if problem else None


def events(tx: Connection, org: str) -> Iterator[dict[str, Any]]:
    """Every event of the org, oldest first, as JSON-ready values."""
    for row in _rows(tx, org):
        event = dict(row._mapping)
        yield event | {"at": row.at.isoformat(), "details": json.loads(row.details)}


def _rows(tx: Connection, org: str) -> Iterator[Row[tuple[Any, ...]]]:
    ordered = select(audit_events).where(audit_events.c.org == org).order_by(audit_events.c.seq)
    yield from tx.execute(ordered.execution_options(yield_per=1000))


def _problem(key: AuditKey, row: Row[tuple[Any, ...]], last: Head, known: Head | None) -> str | None:
    """Why the event of `row` cannot be the one that follows `last`, or cannot be the one that `known` names."""
    due = last.seq + 1
    if row.seq != due:
        return f"event {due} is missing: the next one is {row.seq}"
    if row.previous != last.mac:
        return f"event {due} does not follow event {last.seq}: one of them was moved, altered or replaced"
    if not hmac.compare_digest(_mac(key, row._mapping), row.mac):
        return f"event {due} was altered, or another key was used"
    if known is not None and known.seq == due and known.mac != row.mac:
        return f"event {due} is not the one that the given head names: the chain was rewritten"
    return None


def _end_problem(last: Head, stored: Head, known: Head | None) -> str | None:
    if stored.seq > last.seq:
        return f"the chain ends at event {last.seq}, its stored head says {stored.seq}: the tail was cut"
    if stored != last:
        return f"the chain ends at event {last.seq}, its stored head is another one: the head was altered"
    if known is not None and known.seq > last.seq:
        return f"the chain ends at event {last.seq}, the given head is {known.seq}: the tail was cut"
    return None


def _lock_head(tx: Connection, org: str) -> Head:
    tx.execute(upsert(tx, audit_heads).values(org=org, seq=0, mac=GENESIS).on_conflict_do_nothing())
    found = tx.execute(select(audit_heads).where(audit_heads.c.org == org).with_for_update()).one()
    return Head(found.seq, found.mac)


def _mac(key: AuditKey, event: Mapping[Any, Any]) -> str:
    fields = [
        event["org"], event["seq"], event["audit_id"], event["at"].astimezone(UTC).isoformat(), event["actor"],
        event["action"], event["subject"], event["reason"], event["details"], event["previous"],
    ]  # fmt: skip
    # A JSON list, not a joined string: no two different events share the bytes that are signed.
    return hmac.new(key.secret, json.dumps(fields).encode(), hashlib.sha256).hexdigest()
