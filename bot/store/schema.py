"""The tables. Alembic makes them (`migrations/`); a test holds that both say the same.

Money is integer micro-USD. Instants are UTC. JSON is text, written and read by the functions of this package alone.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    true,
)

VERSION = "0010"
"""The migration that makes these tables; a test holds that it is the newest."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only for a column that is exactly INTEGER.
Identity = BigInteger().with_variant(Integer, "sqlite")


class Instant(TypeDecorator[datetime]):
    """A timezone-aware UTC instant, kept without its zone so that SQLite and Postgres compare alike."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is not None and value.tzinfo is None:
            raise ValueError("an instant needs its time zone")
        return value and value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.replace(tzinfo=UTC)


class Words(TypeDecorator[str]):
    """Text from anywhere, such as a command's output, made `storable`."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else storable(value)


def storable(text: str) -> str:
    """Postgres takes neither NUL nor half a surrogate pair, and a file's name or a command's output may have both."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


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

publications = Table(
    "publications",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("org", String(100), nullable=False),
    Column("policy", String(63), nullable=False),
    Column("repository", String(1000), nullable=False),
    Column("base", String(255), nullable=False),
    Column("path", String(1000), nullable=False),
    Column("branch", String(255), nullable=False),
    Column("state", String(16), nullable=False),
    Column("number", Integer),
    Column("url", Text, nullable=False),
    # The commit this bot last moved the branch to, and the base and revision that it was made from.
    Column("head", String(64), nullable=False),
    Column("base_head", String(64), nullable=False),
    Column("revision", String(64), nullable=False),
    Column("intended_at", Instant, nullable=False),
    Column("opened_at", Instant),
    # What the host told of the pull request when it was last looked at. NULL conflicts: it does not know.
    Column("ci", String(16), nullable=False, server_default=""),
    Column("review", String(24), nullable=False, server_default=""),
    Column("conflicts", Boolean),
    Column("draft", Boolean, nullable=False, server_default=false()),
    Column("seen_head", String(64), nullable=False, server_default=""),
    # Commits on it that are not the bot's.
    Column("edited", Integer, nullable=False, server_default="0"),
    # Why the bot pushes nothing to it; empty while it may.
    Column("frozen", Words, nullable=False, server_default=""),
    # Was it opened by a person, or by another tool?
    Column("adopted", Boolean, nullable=False, server_default=false()),
    # Who merged or closed it; the last words of who closed it, or of who asked for changes.
    Column("closed_by", String(200), nullable=False, server_default=""),
    Column("closed_reason", Words, nullable=False, server_default=""),
    Column("settled_at", Instant),
    # NULL: there is news of it, so it is the first to be looked at.
    Column("looked_at", Instant),
    # The head that a person gave to the bot, with all that is below it.
    Column("taken_over", String(64), nullable=False, server_default=""),
    # When the bot last brought it up to date by itself, and the head that it had then.
    Column("refreshed_at", Instant),
    Column("refreshed_head", String(64), nullable=False, server_default=""),
    # Why its base needs the change no more: the pull request is to be closed, with these words.
    Column("done", Words, nullable=False, server_default=""),
    UniqueConstraint("org", "policy", "repository", "base", "path"),
    Index(None, "org", "state"),
    Index(None, "state", "looked_at"),
    Index(None, "org", "repository", "number"),
)

# The timeline of a pull request, from its opening on.
publication_events = Table(
    "publication_events",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("publication_id", Identity, ForeignKey("publications.id"), nullable=False),
    Column("at", Instant, nullable=False),
    Column("kind", String(24), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("words", Words, nullable=False),
    Index(None, "publication_id", "id"),
)

# Repositories that people have the bot leave alone, with who said so and where.
opt_outs = Table(
    "opt_outs",
    metadata,
    Column("org", String(100), primary_key=True),
    Column("repository", String(1000), primary_key=True),
    Column("actor", String(200), nullable=False),
    Column("place", Words, nullable=False),
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

# What a repository was called when it was last listed, by the host's own id of it.
repository_names = Table(
    "repository_names",
    metadata,
    Column("org", String(100), primary_key=True),
    Column("id", String(100), primary_key=True),
    Column("name", String(1000), nullable=False),
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
