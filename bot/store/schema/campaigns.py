"""Campaigns, and what each is made of: a policy's revision, a plan, waves."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Integer, String, Table, Text, false, true

from bot.store.schema.base import Instant, Words, metadata

revisions = Table(
    "revisions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("policy", Text, nullable=False),
    Column("templates", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)

plans = Table(
    "plans",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("org", String(100), nullable=False),
    Column("policy", String(63), nullable=False),
    Column("revision", String(64), ForeignKey("revisions.id"), nullable=False),
    # REPOSITORY@COMMIT, where the policy is from git; empty for one of the operator's disk.
    Column("source", String(1100), nullable=False, server_default=""),
    Column("estimate", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)

plan_entries = Table(
    "plan_entries",
    metadata,
    Column("plan_id", String(32), ForeignKey("plans.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("repository", String(1000), nullable=False),
    Column("base", String(255), nullable=False),
    Column("head", String(64), nullable=False),
    Column("path", String(1000), nullable=False),
    Column("skip_reason", Words),
    Column("facts", Text, nullable=False),
)

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("org", String(100), nullable=False),
    Column("policy", String(63), nullable=False),
    Column("revision", String(64), ForeignKey("revisions.id"), nullable=False),
    Column("plan_id", String(32), ForeignKey("plans.id"), nullable=False),
    Column("source", String(1100), nullable=False, server_default=""),
    Column("preview", Boolean, nullable=False),
    # Does it open pull requests? One that makes reports needs no place under their ceilings.
    Column("publishes", Boolean, nullable=False, server_default=true()),
    Column("org_policy", Text, nullable=False),
    Column("concurrent_runs", Integer, nullable=False),
    Column("open_ceiling", Integer, nullable=False),
    Column("hourly_ceiling", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("finished_at", Instant),
    # How it is rolled out; the wave that is open, where it has any; and what of it the pump asks for.
    Column("rollout", Text, nullable=False, server_default="{}"),
    Column("open_wave", Integer, nullable=False, server_default="0"),
    Column("max_open", Integer),
    Column("per_hour", Integer),
    Column("windowed", Boolean, nullable=False, server_default=false()),
    # At most one active campaign an org and policy: a second start joins it. NULL once it is completed, and for previews.
    Column("active_key", String(170), unique=True),
)

# The waves of a campaign that have begun. One that is `waived` was breached, and a person let it go on.
waves = Table(
    "waves",
    metadata,
    Column("campaign_id", String(32), ForeignKey("campaigns.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("opened_by", String(200), nullable=False),
    Column("decided_at", Instant),
    Column("decided_by", String(200), nullable=False),
    Column("reason", Words, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("waived", Boolean, nullable=False),
)
