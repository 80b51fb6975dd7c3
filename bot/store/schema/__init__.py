"""The tables, by area. Alembic makes them (`migrations/`); a test holds that both say the same.

They are imported from here: foreign keys name tables of other areas, so all are made before the first is used.

Money is integer micro-USD. Instants are UTC. JSON is text, written and read by the functions of `bot.store` alone.
"""

from __future__ import annotations

from bot.store.schema.audits import audit_events, audit_heads
from bot.store.schema.base import Identity, Instant, Words, metadata, storable
from bot.store.schema.campaigns import campaigns, plan_entries, plans, revisions, waves
from bot.store.schema.hosts import deliveries, effects, host_writes, installations
from bot.store.schema.money import accounts, ledger_entries
from bot.store.schema.publications import opt_outs, publication_events, publications, repository_names
from bot.store.schema.runs import artifacts, attempts, baselines, looked, renderings, runs, timeline
from bot.store.schema.schedules import policy_sources, schedules, starts

VERSION = "0011"
"""The migration that makes these tables; a test holds that it is the newest."""

__all__ = [
    "Identity",
    "Instant",
    "VERSION",
    "Words",
    "accounts",
    "artifacts",
    "attempts",
    "audit_events",
    "audit_heads",
    "baselines",
    "campaigns",
    "deliveries",
    "effects",
    "host_writes",
    "installations",
    "ledger_entries",
    "looked",
    "metadata",
    "opt_outs",
    "plan_entries",
    "plans",
    "policy_sources",
    "publication_events",
    "publications",
    "renderings",
    "repository_names",
    "revisions",
    "runs",
    "schedules",
    "starts",
    "storable",
    "timeline",
    "waves",
]
