"""Quotas and budgets, and the ledger."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, ForeignKey, Index, String, Table, UniqueConstraint, false

from bot.store.schema.base import Identity, Instant, metadata

accounts = Table(
    "accounts",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("scope", String(16), nullable=False),
    Column("key", String(200), nullable=False),
    Column("period", String(16), nullable=False),
    Column("cap", BigInteger, nullable=False),
    Column("spent", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    # Was it told that the account is nearly used up?
    Column("alerted", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("scope", "key", "period"),
    CheckConstraint("cap >= 0 AND spent >= 0 AND reserved >= 0", name="amounts_are_not_negative"),
)

# Append-only. A reserve row is open until one row closes it: `closes` is unique, so a settlement happens once.
ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("closes", Identity, ForeignKey("ledger_entries.id"), unique=True),
    Column("amount", BigInteger, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("org_account", Identity, ForeignKey("accounts.id"), nullable=False),
    Column("campaign_account", Identity, ForeignKey("accounts.id"), nullable=False),
    Column("attempt_account", Identity, ForeignKey("accounts.id"), nullable=False),
    Column("model", String(100), nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cache_read_tokens", BigInteger, nullable=False),
    Column("cache_write_tokens", BigInteger, nullable=False),
    Column("latency_ms", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
    Index(None, "attempt_account"),
)
