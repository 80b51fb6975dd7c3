"""What hosts told, and what is done on them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text

from bot.store.schema.base import Identity, Instant, Words, metadata

# Webhooks as they came, until they are handled; the body is emptied then.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(200), primary_key=True),
    Column("host", String(16), nullable=False),
    # The instances whose secret it is signed with, by blanks: it may speak of these alone.
    Column("signers", Text, nullable=False, server_default=""),
    Column("event", String(64), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("not_before", Instant),
    Column("reason", Words, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("handled_at", Instant),
    Index(None, "state", "received_at"),
)

# What is done on a host, or begun, at most once each: the intent is written first.
effects = Table(
    "effects",
    metadata,
    Column("org", String(100), primary_key=True),
    Column("key", String(300), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("result", Words, nullable=False),
    Column("at", Instant, nullable=False),
)

# Writes that create content on a host, by whom its limits count: a wiped Redis does not forget the hour's.
host_writes = Table(
    "host_writes",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("governor", String(500), nullable=False),
    Column("at", Instant, nullable=False),
    Index(None, "governor", "at"),
)

# Where the bot is installed, as the host told: no secret is here.
installations = Table(
    "installations",
    metadata,
    Column("host", String(300), primary_key=True),
    Column("org", String(100), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("permissions", Text, nullable=False),
    Column("at", Instant, nullable=False),
)
