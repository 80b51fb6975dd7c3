"""Runs, their attempts, what these left behind; and what each target came to when it was looked at last."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from bot.store.schema.base import Identity, Instant, Words, metadata

runs = Table(
    "runs",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("campaign_id", String(32), ForeignKey("campaigns.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("org", String(100), nullable=False),
    Column("repository", String(1000), nullable=False),
    Column("base", String(255), nullable=False),
    Column("path", String(1000), nullable=False),
    Column("facts", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("outcome", String(24)),
    Column("reason", Words, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("losses", Integer, nullable=False),
    # Of the attempts: those that used up one of `attempts_per_run`, and those that failed for what passes by itself.
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("setbacks", Integer, nullable=False, server_default="0"),
    Column("worker", String(200), nullable=False),
    Column("lease_until", Instant),
    Column("not_before", Instant),
    Column("stage", String(16), nullable=False),
    Column("cost_micro", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("files_changed", Integer, nullable=False),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    Column("duration_ms", BigInteger, nullable=False),
    Column("publication_id", Identity, ForeignKey("publications.id")),
    # What a person who may told the agent with a retry.
    Column("words", Words, nullable=False, server_default=""),
    # Is what was made before to be brought to the base as it is now, rather than thought of anew?
    Column("rebase", Boolean, nullable=False, server_default=false()),
    # It begins with this wave of its campaign; 0: with the campaign.
    Column("wave", Integer, nullable=False, server_default="0"),
    # Did a person ask for this very target? Then it goes before scheduled work.
    Column("by_hand", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("campaign_id", "position"),
    Index(None, "campaign_id", "wave"),
    Index(None, "state", "org"),
    Index(None, "org", "repository"),
    Index(None, "campaign_id", "state"),
    Index(None, "publication_id"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("run_id", String(48), ForeignKey("runs.id"), primary_key=True),
    Column("fence", Integer, primary_key=True),
    Column("worker", String(200), nullable=False),
    Column("base_head", String(64), nullable=False),
    Column("commit", String(64), nullable=False, index=True),
    Column("verdict", Text, nullable=False),
    Column("outcome", String(24)),
    Column("reason", Words, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    # The commit that the branch was moved to, where that is another than the change's own: one that joins it with people's.
    Column("head", String(64), nullable=False, server_default="", index=True),
    # What its steps told besides the commit, once that is collected: another attempt takes both up, and pays for nothing.
    Column("made", Text),
)

timeline = Table(
    "timeline",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("run_id", String(48), ForeignKey("runs.id"), nullable=False),
    Column("fence", Integer, nullable=False),
    Column("at", Instant, nullable=False),
    Column("stage", String(16), nullable=False),
    Column("message", Words, nullable=False),
    Column("data", Text, nullable=False),
    Index(None, "run_id", "id"),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("run_id", String(48), ForeignKey("runs.id"), nullable=False),
    Column("fence", Integer, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("file", String(500), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("at", Instant, nullable=False),
    Index(None, "run_id", "id"),
)

renderings = Table(
    "renderings",
    metadata,
    Column("org", String(100), primary_key=True),
    Column("policy", String(63), primary_key=True),
    Column("repository", String(1000), primary_key=True),
    Column("file", String(1000), primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
)

# What each target came to when it was looked at last, and what of: unchanged, it is not looked at again.
looked = Table(
    "looked",
    metadata,
    Column("org", String(100), primary_key=True),
    Column("policy", String(63), primary_key=True),
    Column("repository", String(1000), primary_key=True),
    Column("base", String(255), primary_key=True),
    Column("path", String(1000), primary_key=True),
    Column("revision", String(64), nullable=False),
    Column("head", String(64), nullable=False),
    Column("inputs", String(64), nullable=False),
    Column("outcome", String(24), nullable=False),
    Column("reason", Words, nullable=False),
    Column("run_id", String(48), nullable=False),
    Column("at", Instant, nullable=False),
)

# What a check came to on an untouched base. Kept only where it told something, and only for the repository itself.
baselines = Table(
    "baselines",
    metadata,
    Column("org", String(100), primary_key=True),
    Column("repository", String(1000), primary_key=True),
    Column("commit", String(64), primary_key=True),
    # Of the check, its limits, and of what is installed where it ran.
    Column("digest", String(64), primary_key=True),
    Column("result", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Index(None, "at"),
)
