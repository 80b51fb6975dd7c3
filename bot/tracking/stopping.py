"""Runs that nobody wants any more are ended, wherever they stand."""

from __future__ import annotations

from bot.domain.states import Outcome
from bot.errors import FenceLost
from bot.services import Services
from bot.store import ledger, runs, unwanted_runs
from bot.store.publications import Change
from bot.store.runs import Run


def stop_runs(services: Services, org: str, repository: str, reason: str, *, change: Change | None = None) -> None:
    """End every run on a repository that has not ended, or those that are about one change: as skipped, for that reason."""
    while True:
        with services.database.transaction() as tx:
            unwanted_runs.skip_pending(tx, org, repository, reason, services.clock.now(), change=change)
            busy = unwanted_runs.busy(tx, org, repository, change=change)
        if not busy:
            return
        for run in busy:
            end_run(services, run, reason)


def end_run(services: Services, run: Run, reason: str) -> bool:
    """End a run that an attempt is working on: its money is settled, and whatever it still writes is fenced off.

    False when it went on meanwhile.
    """
    try:
        with services.database.transaction() as tx:
            runs.end(tx, run, Outcome.SKIPPED, reason, now=services.clock.now())
            cost, tokens = ledger.close_attempt(tx, run.attempt_key, clock=services.clock)
            runs.add_cost(tx, run, cost, tokens)
    except FenceLost:
        return False
    return True
