"""Pull requests, and the repositories they are in."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint, false

from bot.store.schema.base import Identity, Instant, Words, metadata

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

# What a repository was called when it was last listed, by the host's own id of it.
repository_names = Table(
    "repository_names",
    metadata,
    Column("org", String(100), primary_key=True),
    Column("id", String(100), primary_key=True),
    Column("name", String(1000), nullable=False),
)
