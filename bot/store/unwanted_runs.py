"""Runs on a repository, or about one change, that nobody wants any more."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, select, update

from bot.domain.states import Outcome, RunState
from bot.store.admission import BUSY
from bot.store.publications import Change
from bot.store.runs import Run, get
from bot.store.schema import campaigns, runs


def skip_pending(
    tx: Connection, org: str, repository: str, reason: str, now: datetime, *, change: Change | None = None
) -> None:
    """End those that have not begun."""
    waiting = update(runs).where(*_on(org, repository, change), runs.c.state == RunState.PENDING)
    tx.execute(waiting.values(state=RunState.ENDED, outcome=Outcome.SKIPPED, reason=reason, ended_at=now))


def busy(tx: Connection, org: str, repository: str, *, change: Change | None = None) -> list[Run]:
    """The dispatched and running ones."""
    found = tx.execute(select(runs.c.id).where(*_on(org, repository, change), runs.c.state.in_(BUSY)))
    return [get(tx, run_id) for run_id in found.scalars().all()]


def _on(org: str, repository: str, change: Change | None) -> list[ColumnElement[bool]]:
    there = [runs.c.org == org, runs.c.repository == repository]
    if change is None:
        return there
    of_policy = select(campaigns.c.id).where(campaigns.c.policy == change.policy, campaigns.c.org == org)
    return [*there, runs.c.base == change.base, runs.c.path == change.path, runs.c.campaign_id.in_(of_policy)]
