"""Runs whose worker is gone: their money is settled, their place is given back, and they are tried again."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection

from bot.domain.states import Outcome, RunState
from bot.errors import FenceLost
from bot.services import Services
from bot.store import audit, ledger, records, runs
from bot.store.quarantine import LOSSES_ALLOWED
from bot.store.runs import Run
from bot.tracking.presence import gone

BACKOFF = timedelta(seconds=2)


def reclaim_lost(services: Services) -> list[Run]:
    """Hand back every run whose worker is gone, or has not renewed its lease."""
    return [*reclaim_orphans(services), *reclaim_expired(services)]


def reclaim_orphans(services: Services) -> list[Run]:
    """Hand back what workers of this home had when they died: nobody need wait until the lease runs out."""
    with gone(services.home) as workers:
        with services.database.reading() as tx:
            held = [run for worker in workers for run in runs.held_by(tx, worker)]
        return [run for run in held if reclaim(services, run, "its worker died")]


def reclaim_expired(services: Services) -> list[Run]:
    """Hand back every run whose lease has run out."""
    with services.database.reading() as tx:
        found = runs.expired(tx, services.clock.now())
    return [run for run in found if _reclaim_expired(services, run)]


def _reclaim_expired(services: Services, run: Run) -> bool:
    if run.state is RunState.DISPATCHED:
        return reclaim(services, run, "no worker came for it", counts=False)
    return reclaim(services, run, "its worker stopped answering")


def reclaim(services: Services, run: Run, reason: str, *, counts: bool = True) -> bool:
    """Hand one run back; False when it went on meanwhile. A run that was handed back too often ends as failed.

    `counts` is False for a run that was given up on purpose, or that nobody has begun.
    """
    try:
        with services.database.transaction() as tx:
            action, reason = _give_back(tx, services, run, reason, counts=counts)
            cost, tokens = ledger.close_attempt(tx, run.attempt_key, clock=services.clock)
            runs.add_cost(tx, run, cost, tokens)
            audit.append(
                tx, services.audit_key, services.clock, org=run.org, actor="whimbrel", action=action,
                subject=run.attempt_key, reason=reason,
            )  # fmt: skip
    except FenceLost:
        return False
    return True


def _give_back(tx: Connection, services: Services, run: Run, reason: str, *, counts: bool) -> tuple[str, str]:
    """End the run or make it pending; return the audit event's action and reason."""
    now = services.clock.now()
    if counts and run.losses >= LOSSES_ALLOWED:
        reason = f"given up after {run.losses + 1} attempts that were lost: {reason}"
        runs.end(tx, run, Outcome.FAILED, reason, now=now)
        records.add_entry(tx, run.id, run.fence, at=now, stage="", message=reason, data={"outcome": Outcome.FAILED.value})
        return "attempt.failed", reason
    not_before = now + BACKOFF * 2**run.losses if counts else None
    runs.hand_back(tx, run, reason, now=now, not_before=not_before, count="losses" if counts else None)
    records.add_entry(tx, run.id, run.fence, at=now, stage="", message=f"handed back: {reason}", data={})
    return "attempt.lost" if counts else "attempt.handed_back", reason
