"""Runs: the queue in SQL. Every write of an attempt is fenced: it counts only while the run is still that attempt's.

pending --dispatch--> dispatched --claim--> running --end--> ended
   ^------------------- hand_back ------------'
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, insert, select, text, update

from bot.domain.money import MicroUsd
from bot.domain.repositories import Repository
from bot.domain.states import Outcome, RunState, Stage
from bot.errors import FenceLost, NotFound, UsageError
from bot.store.admission import BUSY, admitted
from bot.store.campaigns import facts_from
from bot.store.publications import Change
from bot.store.schema import attempts, campaigns, runs

ANEW = {"attempts": 0, "losses": 0, "setbacks": 0, "tries": 0}
PUMP_LOCK = 7711002


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One attempt to enqueue."""

    run_id: str
    fence: int


@dataclass(frozen=True, slots=True)
class Run:
    """A run as an attempt needs it.

    `attempts` counts those begun, this one too. Of those: `losses` whose worker died, `setbacks` that failed for what passes by
    itself, `tries` that used up one of the attempts that are allowed. `words` are what a person told the agent with a retry.
    `rebase` tells that what was made before is to be brought to the base as it is now.
    """

    id: str
    campaign_id: str
    org: str
    repository: Repository
    base: str
    path: str
    fence: int
    attempts: int
    losses: int
    setbacks: int
    tries: int
    state: RunState
    worker: str
    words: str
    rebase: bool

    @property
    def target(self) -> str:
        return f"{self.repository.name}/{self.path}" if self.path else self.repository.name

    @property
    def attempt_key(self) -> str:
        """The name of this attempt in the ledger."""
        return f"{self.id}.{self.fence}"


def dispatch(tx: Connection, *, slots: int, now: datetime, lease: timedelta) -> list[Dispatch]:
    """Take pending runs until `slots` are busy, fairly between orgs and their campaigns, within what both allow.

    One caller at a time. An attempt under way counts as a pull request that will be opened, so a ceiling is never passed by
    runs that finish together; a target whose pull request is open already needs no place of its own.
    """
    if tx.dialect.name == "postgresql":
        tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": PUMP_LOCK})
    room = max(0, slots - count_busy(tx))
    if not room:
        return []
    chosen: list[str] = list(tx.execute(admitted(tx, now).limit(room)).scalars())
    if not chosen:
        return []
    taken = tx.execute(
        update(runs)
        .where(runs.c.id.in_(chosen), runs.c.state == RunState.PENDING)
        .values(state=RunState.DISPATCHED, fence=runs.c.fence + 1, lease_until=now + lease, worker="", stage="")
        .returning(runs.c.id, runs.c.fence)
    )
    fences = {row.id: row.fence for row in taken}
    return [Dispatch(run_id, fences[run_id]) for run_id in chosen if run_id in fences]


def dispatch_preview(tx: Connection, campaign_id: str, *, now: datetime, lease: timedelta) -> list[Dispatch]:
    """Take a preview's pending runs: they are attempted by who asked, never through the queue."""
    taken = tx.execute(
        update(runs)
        .where(runs.c.campaign_id == campaign_id, runs.c.state == RunState.PENDING)
        .values(state=RunState.DISPATCHED, fence=runs.c.fence + 1, lease_until=now + lease, worker="", stage="")
        .returning(runs.c.id, runs.c.fence)
    )
    return [Dispatch(row.id, row.fence) for row in taken]


def any_admitted(tx: Connection, now: datetime) -> bool:
    """Could a run be dispatched at this moment?"""
    return tx.execute(admitted(tx, now).limit(1)).one_or_none() is not None


def claim(tx: Connection, run_id: str, fence: int, *, worker: str, now: datetime, lease: timedelta) -> Run | None:
    """Make a dispatched run this worker's; None when it is not (any more) to be run under this fence."""
    claimed = tx.execute(
        update(runs)
        .where(runs.c.id == run_id, runs.c.fence == fence, runs.c.state == RunState.DISPATCHED)
        .values(
            state=RunState.RUNNING,
            worker=worker,
            lease_until=now + lease,
            attempts=runs.c.attempts + 1,
            started_at=func.coalesce(runs.c.started_at, now),
            reason="",
        )
    )
    if claimed.rowcount == 0:
        return None
    row = {"run_id": run_id, "fence": fence, "worker": worker, "base_head": "", "commit": "", "verdict": "", "reason": ""}
    tx.execute(insert(attempts).values(row | {"started_at": now}))
    return get(tx, run_id)


def get(tx: Connection, run_id: str) -> Run:
    """Raises NotFound."""
    found = tx.execute(select(runs).where(runs.c.id == run_id)).one_or_none()
    if found is None:
        raise NotFound(f"there is no run {run_id}", mend="whimbrel runs CAMPAIGN lists them")
    return _run(found)


def renew(tx: Connection, run: Run, *, until: datetime) -> None:
    """Raises FenceLost when the run went on without this attempt."""
    _fenced(tx, run, lease_until=until)


def require(tx: Connection, run: Run) -> None:
    """Raises FenceLost unless the run is this attempt's, and keeps it so until the transaction ends."""
    _fenced(tx, run, fence=run.fence)


def enter_stage(tx: Connection, run: Run, stage: Stage) -> None:
    _fenced(tx, run, stage=stage)


def note_attempt(tx: Connection, run: Run, **values: Any) -> None:
    """Record `base_head`, `commit`, `head`, `made` or `verdict` of the attempt."""
    tx.execute(update(attempts).where(attempts.c.run_id == run.id, attempts.c.fence == run.fence).values(values))


def end(
    tx: Connection,
    run: Run,
    outcome: Outcome,
    reason: str,
    *,
    now: datetime,
    duration_ms: int = 0,
    files_changed: int = 0,
    publication_id: int | None = None,
) -> None:
    """The run's last word. Raises FenceLost."""
    _fenced(
        tx, run, state=RunState.ENDED, outcome=outcome, reason=reason, ended_at=now, lease_until=None, stage="",
        duration_ms=runs.c.duration_ms + duration_ms, files_changed=files_changed, publication_id=publication_id,
    )  # fmt: skip
    _end_attempt(tx, run, outcome, reason, now)


def hand_back(
    tx: Connection,
    run: Run,
    reason: str,
    *,
    now: datetime,
    not_before: datetime | None = None,
    count: Literal["losses", "setbacks", "tries"] | None = None,
) -> None:
    """Back to pending: another attempt will be made, at `not_before` at the earliest.

    `count` is what this one counts as; None for one that was given up on purpose. Raises FenceLost.
    """
    counted = {count: runs.c[count] + 1} if count else {}
    _fenced(
        tx, run, state=RunState.PENDING, reason=reason, not_before=not_before, lease_until=None, worker="", stage="", **counted
    )
    _end_attempt(tx, run, None, reason, now)


def recall(tx: Connection, campaign_id: str) -> None:
    """Take back what was dispatched and has not begun: no worker will find it its own any more."""
    tx.execute(
        update(runs)
        .where(runs.c.campaign_id == campaign_id, runs.c.state == RunState.DISPATCHED)
        .values(state=RunState.PENDING, lease_until=None)
    )


def add_cost(tx: Connection, run: Run, cost: MicroUsd, tokens: int) -> None:
    """Add an attempt's cost to its run, whoever has the run now: money spent is never forgotten."""
    tx.execute(
        update(runs).where(runs.c.id == run.id).values(cost_micro=runs.c.cost_micro + cost, tokens=runs.c.tokens + tokens)
    )


def cost_of(tx: Connection, run: Run) -> tuple[MicroUsd, int]:
    """What the run's earlier attempts have cost, and their tokens."""
    found = tx.execute(select(runs.c.cost_micro, runs.c.tokens).where(runs.c.id == run.id)).one()
    return MicroUsd(found.cost_micro), found.tokens


def expired(tx: Connection, now: datetime) -> list[Run]:
    """Runs whose lease has run out: nobody is working on them any more."""
    return [_run(row) for row in tx.execute(select(runs).where(runs.c.state.in_(BUSY), runs.c.lease_until < now))]


def held_by(tx: Connection, worker: str) -> list[Run]:
    return [_run(row) for row in tx.execute(select(runs).where(runs.c.state == RunState.RUNNING, runs.c.worker == worker))]


def count_busy(tx: Connection) -> int:
    return int(tx.execute(select(func.count()).select_from(runs).where(runs.c.state.in_(BUSY))).scalar_one())


def busy_of(tx: Connection, campaign_id: str) -> list[Run]:
    """The campaign's runs that are dispatched or running."""
    return [_run(row) for row in tx.execute(select(runs).where(runs.c.campaign_id == campaign_id, runs.c.state.in_(BUSY)))]


def waiting_repositories(tx: Connection, campaign_id: str, limit: int) -> list[str]:
    """Where something of the campaign has not begun, by name."""
    waiting = select(runs.c.repository).where(runs.c.campaign_id == campaign_id, runs.c.state == RunState.PENDING)
    return list(tx.execute(waiting.distinct().order_by(runs.c.repository).limit(limit)).scalars())


def unfinished_on(tx: Connection, campaign_id: str, repository: str) -> list[Run]:
    """The campaign's runs on a repository that have not ended."""
    own = (runs.c.campaign_id == campaign_id, runs.c.repository == repository, runs.c.state != RunState.ENDED)
    return [_run(row) for row in tx.execute(select(runs).where(*own))]


def reopen(
    tx: Connection,
    campaign_id: str,
    run_ids: Sequence[str],
    *,
    words: str = "",
    rebase: bool = False,
    by_hand: bool = False,
) -> list[str]:
    """Make ended runs pending again, with all their attempts before them: those named, or every failed one.

    `words` are told to the agent, in the place of what it was told before; with `rebase` it is asked only where what it made
    does not apply to the base as it is now. What is asked for `by_hand` goes before scheduled
    work. Raises UsageError for a named one that is not the campaign's, or has not ended.
    """
    wanted = runs.c.id.in_(run_ids) if run_ids else runs.c.outcome.in_((Outcome.FAILED, Outcome.BUDGET_EXHAUSTED))
    again = list(
        tx.execute(
            update(runs)
            .where(runs.c.campaign_id == campaign_id, runs.c.state == RunState.ENDED, wanted)
            .values(state=RunState.PENDING, outcome=None, reason="", not_before=None, ended_at=None, **ANEW)
            .values(words=words, rebase=rebase, by_hand=by_hand)
            .returning(runs.c.id)
        ).scalars()
    )
    if missing := sorted(set(run_ids) - set(again)):
        raise UsageError(f"not to be retried, because they have not ended: {', '.join(missing)}")
    return sorted(again)


def newest(tx: Connection, change: Change) -> Run | None:
    """The run that worked on this change last, or works on it now; previews do not count."""
    found = tx.execute(
        select(runs)
        .join(campaigns, campaigns.c.id == runs.c.campaign_id)
        .where(
            runs.c.org == change.org,
            campaigns.c.policy == change.policy,
            runs.c.repository == change.repository,
            runs.c.base == change.base,
            runs.c.path == change.path,
            campaigns.c.preview.is_(False),
        )
        .order_by(campaigns.c.created_at.desc(), runs.c.position.desc())
        .limit(1)
    ).one_or_none()
    return None if found is None else _run(found)


def dispatched(tx: Connection) -> list[Dispatch]:
    """What should be in the queue, or just being taken out of it."""
    found = tx.execute(select(runs.c.id, runs.c.fence).where(runs.c.state == RunState.DISPATCHED))
    return [Dispatch(row.id, row.fence) for row in found]


def _fenced(tx: Connection, run: Run, **values: Any) -> None:
    written = tx.execute(
        update(runs)
        .where(runs.c.id == run.id, runs.c.fence == run.fence, runs.c.state.in_(BUSY), runs.c.worker == run.worker)
        .values(values)
    )
    if written.rowcount == 0:
        raise FenceLost(f"run {run.id} is no longer attempt {run.fence}'s")


def _end_attempt(tx: Connection, run: Run, outcome: Outcome | None, reason: str, now: datetime) -> None:
    note_attempt(tx, run, outcome=outcome, reason=reason, ended_at=now)


def _run(row: Row[tuple[Any, ...]]) -> Run:
    return Run(
        id=row.id,
        campaign_id=row.campaign_id,
        org=row.org,
        repository=facts_from(row.facts),
        base=row.base,
        path=row.path,
        fence=row.fence,
        attempts=row.attempts,
        losses=row.losses,
        setbacks=row.setbacks,
        tries=row.tries,
        state=RunState(row.state),
        worker=row.worker,
        words=row.words,
        rebase=row.rebase,
    )
