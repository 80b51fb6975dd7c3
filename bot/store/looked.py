"""What each target came to when it was looked at last, and of what: one that is unchanged since is not looked at again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from bot.domain.states import Outcome
from bot.store.database import upsert
from bot.store.publications import Change
from bot.store.runs import Run
from bot.store.schema import attempts, looked


@dataclass(frozen=True, slots=True)
class Looked:
    """`head` is the commit of the base; `inputs` a digest of what templates see besides, the policy's `revision` aside."""

    revision: str
    head: str
    inputs: str
    outcome: Outcome
    reason: str
    run_id: str


def record(
    tx: Connection, change: Change, run: Run, *, revision: str, inputs: str, outcome: Outcome, reason: str, now: datetime
) -> None:
    """Keep what the attempt that has the run came to, in the place of what was kept of the target before."""
    this = select(attempts.c.base_head).where(attempts.c.run_id == run.id, attempts.c.fence == run.fence)
    head = tx.execute(this).scalar_one()
    values = {"revision": revision, "head": head, "inputs": inputs, "outcome": outcome, "reason": reason}
    fresh = values | {"run_id": run.id, "at": now}
    statement = upsert(tx, looked).values(asdict(change) | fresh)
    tx.execute(statement.on_conflict_do_update(index_elements=looked.primary_key.columns, set_=fresh))


def of_policy(tx: Connection, org: str, policy: str) -> dict[Change, Looked]:
    found = tx.execute(select(looked).where(looked.c.org == org, looked.c.policy == policy))
    return {
        Change(row.org, row.policy, row.repository, row.base, row.path): Looked(
            row.revision, row.head, row.inputs, Outcome(row.outcome), row.reason, row.run_id
        )
        for row in found
    }
