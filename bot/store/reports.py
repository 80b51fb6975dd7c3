"""The JSON contract: `status`, `runs` and `quota`, as every client sees them. Money is decimal strings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from bot.domain.money import MicroUsd, decimal_usd
from bot.domain.states import Outcome, RunState
from bot.store import ledger, targets
from bot.store.campaigns import Campaign
from bot.store.publications import events_of, same_change
from bot.store.schema import accounts, campaigns, ledger_entries, publications, runs

FINE = (Outcome.PUBLISHED, Outcome.REPORTED, Outcome.NO_CHANGE, Outcome.REJECTED, Outcome.SKIPPED)


def campaign_status(tx: Connection, campaign: Campaign) -> dict[str, Any]:
    """One campaign: its state, outcomes by name, cost and times.

    `success_rate` is the share, from 0 to 1, of the ended runs that were attempted and neither failed nor ran out of budget
    (None before the first); `avg_duration_ms` is over the attempted ones. It is completed when every run has ended, and
    `finished` when every target has an end: no pull request is open any more.
    """
    found = tx.execute(
        select(
            runs.c.state,
            runs.c.outcome,
            func.count().label("n"),
            func.sum(runs.c.cost_micro).label("cost"),
            func.sum(runs.c.tokens).label("tokens"),
            func.sum(runs.c.duration_ms).label("duration"),
        )
        .where(runs.c.campaign_id == campaign.id)
        .group_by(runs.c.state, runs.c.outcome)
    ).all()
    outcomes = {row.outcome: row.n for row in found if row.state == RunState.ENDED}
    attempted = sum(n for outcome, n in outcomes.items() if outcome != Outcome.SKIPPED)
    failed = outcomes.get(Outcome.FAILED, 0) + outcomes.get(Outcome.BUDGET_EXHAUSTED, 0)
    return {
        "id": campaign.id,
        "policy": campaign.policy.name,
        "org": campaign.org,
        "state": campaign.state.value,
        "targets": sum(row.n for row in found),
        "outcomes": dict(sorted(outcomes.items())),
        "cost_usd": decimal_usd(MicroUsd(int(sum(row.cost for row in found)))),
        "tokens": int(sum(row.tokens for row in found)),
        "success_rate": round((attempted - failed) / attempted, 4) if attempted else None,
        "avg_duration_ms": int(sum(row.duration for row in found)) // attempted if attempted else None,
        "revision": campaign.revision,
        "source": campaign.source,
        "started_at": campaign.created_at.isoformat(),
        "finished_at": campaign.finished_at.isoformat() if campaign.finished_at else None,
        "pull_requests": targets.counts(tx, campaign.id),
        "finished": targets.is_finished(tx, campaign.id),
    }


def campaign_runs(tx: Connection, campaign_id: str) -> list[dict[str, Any]]:
    """Every run of a campaign, in the plan's order."""
    return [_run(row) for row in tx.execute(_runs().where(runs.c.campaign_id == campaign_id).order_by(runs.c.position))]


def run(tx: Connection, run_id: str) -> dict[str, Any] | None:
    found = tx.execute(_runs().where(runs.c.id == run_id)).one_or_none()
    return None if found is None else _run(found)


@dataclass(frozen=True, slots=True)
class RunNow:
    """How a run stands. `number` is its pull request's; `campaign_state` that of its campaign, such as `running`."""

    id: str
    policy: str
    state: RunState
    stage: str
    outcome: str | None
    reason: str
    cost: MicroUsd
    tokens: int
    number: int | None
    campaign_id: str
    campaign_state: str


def runs_now(tx: Connection, run_ids: Iterable[str]) -> list[RunNow]:
    """How the given runs stand, in their order."""
    wanted = list(run_ids)
    found = {row.id: _run_now(row) for row in tx.execute(_now().where(runs.c.id.in_(wanted)))}
    return [found[run_id] for run_id in wanted]


def newest_runs_of(tx: Connection, org: str, repository: str, limit: int) -> list[RunNow]:
    """The newest runs on a repository, the newest last; previews do not count."""
    own = _now().where(runs.c.org == org, runs.c.repository == repository, campaigns.c.preview.is_(False))
    found = tx.execute(own.order_by(campaigns.c.created_at.desc(), runs.c.id.desc()).limit(limit)).all()
    return [_run_now(row) for row in reversed(found)]


def quotas(tx: Connection, org: str | None = None) -> list[dict[str, str]]:
    """An org's months, newest last."""
    return [
        {
            "org": account.key,
            "period": account.period,
            "cap_usd": decimal_usd(account.cap),
            "spent_usd": decimal_usd(account.spent),
            "reserved_usd": decimal_usd(account.reserved),
        }
        for account in ledger.accounts_of(tx, "org")
        if org is None or account.key == org
    ]


def run_costs(tx: Connection, org: str, policy: str) -> list[MicroUsd]:
    """What each run of a policy on an org has cost that has ended and asked a model, previews too."""
    found = tx.execute(
        select(runs.c.cost_micro)
        .join(campaigns, campaigns.c.id == runs.c.campaign_id)
        .where(campaigns.c.org == org, campaigns.c.policy == policy, runs.c.state == RunState.ENDED, runs.c.cost_micro > 0)
    )
    return [MicroUsd(cost) for cost in found.scalars()]


@dataclass(frozen=True, slots=True)
class Request:
    """One settled request to a model."""

    model: str
    tokens: int
    cost: MicroUsd
    estimated: bool
    latency_ms: int


def requests_of_run(tx: Connection, run_id: str) -> list[Request]:
    """Every settled request of all attempts of a run, in their order."""
    entry = ledger_entries.c
    tokens = entry.input_tokens + entry.output_tokens + entry.cache_read_tokens + entry.cache_write_tokens
    found = tx.execute(
        select(entry.model, tokens.label("tokens"), entry.amount, entry.estimated, entry.latency_ms)
        .join(accounts, accounts.c.id == entry.attempt_account)
        .where(accounts.c.scope == "attempt", accounts.c.key.like(f"{run_id}.%"), entry.kind == "settle")
        .order_by(entry.id)
    )
    return [Request(row.model, row.tokens, MicroUsd(row.amount), row.estimated, row.latency_ms) for row in found]


def unfinished(tx: Connection, campaign_id: str) -> dict[str, int]:
    """How many runs are pending, dispatched or running, by state."""
    found = tx.execute(
        select(runs.c.state, func.count().label("n"))
        .where(runs.c.campaign_id == campaign_id, runs.c.state != RunState.ENDED)
        .group_by(runs.c.state)
    )
    return {row.state: row.n for row in found}


def pending_up_to(tx: Connection, campaign_id: str, wave: int) -> int:
    """How many runs of the waves that have begun are pending."""
    begun = (runs.c.campaign_id == campaign_id, runs.c.state == RunState.PENDING, runs.c.wave <= wave)
    return int(tx.execute(select(func.count()).select_from(runs).where(*begun)).scalar_one())


def next_retry(tx: Connection, campaign_id: str) -> datetime | None:
    """When the first of the runs that wait for another attempt may go on."""
    found: datetime | None = tx.execute(
        select(func.min(runs.c.not_before)).where(runs.c.campaign_id == campaign_id, runs.c.state == RunState.PENDING)
    ).scalar_one()
    return found


def held_back(tx: Connection, campaign_id: str, now: datetime) -> tuple[int, datetime, str] | None:
    """How many runs wait for another attempt, when the first of them may go on, and why it waits; None where none does."""
    waiting = (runs.c.campaign_id == campaign_id, runs.c.state == RunState.PENDING, runs.c.not_before > now)
    first = tx.execute(
        select(runs.c.not_before, runs.c.reason).where(*waiting).order_by(runs.c.not_before).limit(1)
    ).one_or_none()
    if first is None:
        return None
    count = tx.execute(select(func.count()).select_from(runs).where(*waiting)).scalar_one()
    return count, first.not_before, first.reason


def _now() -> Select[Any]:
    return (
        select(runs, campaigns.c.policy, campaigns.c.state.label("campaign_state"), publications.c.number)
        .join(campaigns, campaigns.c.id == runs.c.campaign_id)
        .outerjoin(publications, publications.c.id == runs.c.publication_id)
    )


def _run_now(row: Row[tuple[Any, ...]]) -> RunNow:
    return RunNow(
        id=row.id,
        policy=row.policy,
        state=RunState(row.state),
        stage=row.stage,
        outcome=row.outcome,
        reason=row.reason,
        cost=MicroUsd(row.cost_micro),
        tokens=row.tokens,
        number=row.number,
        campaign_id=row.campaign_id,
        campaign_state=row.campaign_state,
    )


_FOLLOWED = {
    "checks": "ci",
    "review": "review",
    "conflicts": "conflicts",
    "draft": "draft",
    "edited": "edited",
    "frozen": "frozen",
    "adopted": "adopted",
    "closed_by": "closed_by",
    "closed_reason": "closed_reason",
}
"""What is told of a pull request, by the column that has it."""


def pull_request_timeline(tx: Connection, run_id: str) -> list[dict[str, str]]:
    """What happened to the pull request of a run's target, oldest first."""
    change = publications.join(campaigns, publications.c.policy == campaigns.c.policy).join(runs, same_change())
    of_run = select(publications.c.id).select_from(change).where(runs.c.id == run_id, runs.c.campaign_id == campaigns.c.id)
    found = tx.execute(of_run.where(campaigns.c.preview.is_(False))).scalar_one_or_none()
    events = events_of(tx, found) if found is not None else []
    return [{"at": each.at.isoformat(), "kind": each.kind, "actor": each.actor, "words": each.words} for each in events]


def _runs() -> Any:
    found = select(
        runs,
        publications.c.number,
        publications.c.url,
        publications.c.branch,
        publications.c.state.label("publication_state"),
        *(publications.c[name] for name in _FOLLOWED.values()),
        campaigns.c.open_wave,
    )
    joined = found.join(campaigns, campaigns.c.id == runs.c.campaign_id)
    return joined.outerjoin(publications, publications.c.id == runs.c.publication_id)


def _run(row: Row[tuple[Any, ...]]) -> dict[str, Any]:
    pull_request = None
    if row.number is not None:
        pull_request = {"number": row.number, "url": row.url, "state": row.publication_state, "branch": row.branch}
        pull_request |= {name: row._mapping[column] for name, column in _FOLLOWED.items()}
    return {
        "id": row.id,
        "target": f"{row.repository}/{row.path}" if row.path else row.repository,
        "outcome": row.outcome,
        "reason": row.reason or _why_not_begun(row),
        "attempts": row.attempts,
        "pull_request": pull_request,
        "cost_usd": decimal_usd(MicroUsd(row.cost_micro)),
        "tokens": row.tokens,
        "duration_ms": row.duration_ms,
        "files_changed": row.files_changed,
        "state": row.state,
        "stage": row.stage,
        "wave": row.wave,
        "by_hand": row.by_hand,
    }


def _why_not_begun(row: Row[tuple[Any, ...]]) -> str:
    return f"begins with wave {row.wave}; wave {row.open_wave} is open" if row.wave > row.open_wave else ""
