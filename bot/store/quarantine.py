"""Targets on which a policy has failed too often: they are left alone until something has changed, or a person asks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, and_, func, or_, select

from bot.domain.retries import SETBACKS_ALLOWED
from bot.domain.states import Outcome, RunState
from bot.store.campaigns import facts_from
from bot.store.schema import attempts, campaigns, runs

LOSSES_ALLOWED = 4
"""A worker dies with its run for other reasons than the run; after this many times, it is the run."""

Target = tuple[str, str, str]
"""(repository, base, path)"""


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The newest of the runs that failed, on the base commit `head`, and how many did in a row."""

    run_id: str
    head: str
    failures: int
    reason: str

    def why(self, head: str) -> str | None:
        """None where the base has changed since: another attempt may come to more."""
        if self.head != head:
            return None
        runs_failed = f"its last {self.failures} runs of this policy" if self.failures > 1 else "its last run of this policy"
        return f"quarantined: {runs_failed} failed, and nothing has changed since: {self.reason} (whimbrel retry {self.run_id})"


def quarantined(tx: Connection, org: str, policy: str, revision: str, *, allowed: int) -> dict[Target, Quarantine]:
    """The targets whose last `allowed` runs have failed, or whose last one lost its worker too often, by this very revision.

    Runs that were given up because a host or an API was out of reach say nothing of their target, and do not count.
    """
    target = (runs.c.repository, runs.c.base, runs.c.path)
    ranked = (
        select(
            *target, runs.c.id, runs.c.outcome, runs.c.losses, runs.c.facts, runs.c.reason, campaigns.c.revision, runs.c.fence,
            func.row_number().over(partition_by=target, order_by=(runs.c.ended_at.desc(), runs.c.id)).label("rank"),
        )
        .join(campaigns, campaigns.c.id == runs.c.campaign_id)
        .where(
            campaigns.c.org == org,
            campaigns.c.policy == policy,
            campaigns.c.preview.is_(False),
            runs.c.state == RunState.ENDED,
            runs.c.outcome != Outcome.SKIPPED,
            or_(runs.c.outcome != Outcome.FAILED, runs.c.setbacks < SETBACKS_ALLOWED),
        )
        .cte("ranked")
    )  # fmt: skip
    last_attempt = and_(attempts.c.run_id == ranked.c.id, attempts.c.fence == ranked.c.fence)
    found = tx.execute(
        select(ranked, attempts.c.base_head)
        .outerjoin(attempts, last_attempt)
        .where(ranked.c.rank <= allowed, ranked.c.outcome == Outcome.FAILED)
        .order_by(ranked.c.repository, ranked.c.base, ranked.c.path, ranked.c.rank)
    )
    by_target = groupby(found, key=lambda row: (row.repository, row.base, row.path))
    failed = {key: _in_a_row(list(rows)) for key, rows in by_target}
    return {
        key: _quarantine(rows)
        for key, rows in failed.items()
        if rows and rows[0].revision == revision and (len(rows) == allowed or rows[0].losses >= LOSSES_ALLOWED)
    }


def _in_a_row(rows: list[Row[Any]]) -> list[Row[Any]]:
    """From the newest one on, without a gap."""
    return [row for number, row in enumerate(rows, 1) if row.rank == number]


def _quarantine(rows: list[Row[Any]]) -> Quarantine:
    newest = rows[0]
    # A worker may have died before it had looked: then it is the commit that was planned.
    return Quarantine(newest.id, newest.base_head or facts_from(newest.facts).head or "", len(rows), newest.reason)
