"""What starts campaigns by itself, and the repositories that policies are read from."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from bot.store.schema.base import Instant, Words, metadata

# Up to which slot each schedule is decided. Another cron expression or time zone begins anew.
schedules = Table(
    "schedules",
    metadata,
    Column("org", String(100), primary_key=True),
    Column("policy", String(63), primary_key=True),
    Column("cron", String(200), nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("decided", Instant, nullable=False),
)

# What nobody asked for by hand: a slot of a schedule, a changed template. The primary key is what makes it exactly one.
starts = Table(
    "starts",
    metadata,
    Column("org", String(100), primary_key=True),
    Column("policy", String(63), primary_key=True),
    Column("cause", String(32), primary_key=True),
    Column("slot", Instant, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("reason", Words, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("not_before", Instant, nullable=False),
    Column("late_at", Instant, nullable=False),
    Column("campaign_id", String(32), ForeignKey("campaigns.id")),
    Column("at", Instant, nullable=False),
    Index(None, "state", "not_before"),
)

# An org's own repository of policies and templates, as it was when it was last read without a mistake.
policy_sources = Table(
    "policy_sources",
    metadata,
    Column("org", String(100), primary_key=True),
    Column("repository", String(1000), nullable=False),
    Column("folder", String(1024), nullable=False),
    Column("ref", String(255), nullable=False),
    # What is in use, and the files of it; empty as long as nothing was read.
    Column("commit", String(64), nullable=False),
    Column("files", Text, nullable=False),
    # What was read last, what is wrong with it, and whether that is shown beside the commit.
    Column("seen", String(64), nullable=False),
    Column("problem", Words, nullable=False),
    Column("told", Boolean, nullable=False),
    Column("look_at", Instant, nullable=False),
)
