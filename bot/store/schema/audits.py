"""The audit trail: one chain an org."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table, Text

from bot.store.schema.base import Instant, metadata

audit_events = Table(
    "audit_events",
    metadata,
    Column("org", String(100), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("audit_id", String(32), nullable=False, unique=True),
    Column("at", Instant, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(1100), nullable=False),
    Column("reason", Text, nullable=False),
    Column("details", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("mac", String(64), nullable=False),
)

# The last link of each org's chain: locked while the next one is written.
audit_heads = Table(
    "audit_heads",
    metadata,
    Column("org", String(100), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("mac", String(64), nullable=False),
)
