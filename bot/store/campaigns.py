"""Revisions, plans and campaigns."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, insert, select, update

from bot.domain.org_policies import OrgPolicy
from bot.domain.policies import CampaignPolicy
from bot.domain.repositories import Repository, Target
from bot.domain.rollout import Rollout
from bot.domain.states import CampaignState, Outcome, RunState
from bot.errors import NotFound
from bot.store.database import upsert
from bot.store.schema import campaigns, plan_entries, plans, revisions, runs

ENDED = (CampaignState.COMPLETED, CampaignState.CANCELLED)


@dataclass(frozen=True, slots=True)
class PlanEntry:
    """One repository of a plan: a target, or a skip with its reason.

    `done` is why the base needs the change no more, by `detect:` of the policy, as it was seen just now: it is not stored.
    """

    target: Target
    repository: Repository
    skip_reason: str | None = None
    done: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Immutable once stored. `estimate` is an `Estimate` as JSON: amounts are decimal strings.

    `source` is the REPOSITORY@COMMIT that the policy was read from, empty where that is the operator's disk.
    """

    id: str
    org: str
    policy: str
    revision: str
    entries: tuple[PlanEntry, ...]
    estimate: Mapping[str, str]
    source: str = ""

    @property
    def targets(self) -> tuple[PlanEntry, ...]:
        return tuple(entry for entry in self.entries if entry.skip_reason is None)


@dataclass(frozen=True, slots=True)
class Campaign:
    """One activation of a campaign policy's revision on an org, with both policies as they were when it was started last.

    `open_wave` is 0 where it has no waves.
    """

    id: str
    org: str
    policy: CampaignPolicy
    org_policy: OrgPolicy
    revision: str
    preview: bool
    state: CampaignState
    actor: str
    created_at: datetime
    finished_at: datetime | None
    source: str = ""
    open_wave: int = 0


def new_id(prefix: str) -> str:
    """A short id that people can type: 40 random bits."""
    return f"{prefix}{secrets.token_hex(5)}"


def save_revision(tx: Connection, revision: str, policy: CampaignPolicy, templates: Mapping[str, str], now: datetime) -> None:
    """Keep the policy and the templates that a campaign was started with; the same revision is kept once."""
    row = {
        "id": revision,
        "policy": policy.model_dump_json(by_alias=True),
        "templates": json.dumps(dict(templates), sort_keys=True),
        "created_at": now,
    }
    tx.execute(upsert(tx, revisions).values(row).on_conflict_do_nothing())


def templates_of(tx: Connection, revision: str) -> dict[str, str]:
    """Template texts by path, as they were when the revision was saved."""
    found: str = tx.execute(select(revisions.c.templates).where(revisions.c.id == revision)).scalar_one()
    texts: dict[str, str] = json.loads(found)
    return texts


def save_plan(tx: Connection, plan: Plan, now: datetime) -> None:
    tx.execute(
        insert(plans).values(
            id=plan.id,
            org=plan.org,
            policy=plan.policy,
            revision=plan.revision,
            source=plan.source,
            estimate=json.dumps(dict(plan.estimate)),
            created_at=now,
        )
    )
    if plan.entries:
        tx.execute(insert(plan_entries), [_entry_row(plan.id, *numbered) for numbered in enumerate(plan.entries)])


def start(
    tx: Connection, plan: Plan, policy: CampaignPolicy, org_policy: OrgPolicy, *, actor: str, preview: bool, now: datetime
) -> str:
    """Make a campaign of a plan, with a run for each of its entries; skips are ended at once. Returns its id."""
    campaign_id = new_id("c")
    tx.execute(
        insert(campaigns).values(
            id=campaign_id,
            org=plan.org,
            policy=plan.policy,
            revision=plan.revision,
            plan_id=plan.id,
            source=plan.source,
            preview=preview,
            publishes=policy.output is None,
            state=CampaignState.RUNNING,
            actor=actor,
            created_at=now,
            active_key=None if preview else _active_key(plan.org, policy.name),
            **_rollout_columns(policy.rollout),
            **_org_columns(org_policy),
        )
    )
    add_runs(tx, campaign_id, plan.entries, now)
    return campaign_id


def add_runs(tx: Connection, campaign_id: str, entries: Sequence[PlanEntry], now: datetime) -> None:
    """A run for each entry, numbered after those that the campaign has; `store.waves` says with which wave it begins."""
    first = tx.execute(select(func.count()).where(runs.c.campaign_id == campaign_id)).scalar_one()
    rows = [_run_row(campaign_id, first + number, entry, now) for number, entry in enumerate(entries)]
    if rows:
        tx.execute(insert(runs), rows)


def targets_of(tx: Connection, campaign_id: str) -> set[tuple[str, str, str]]:
    """(repository, base, path) of every run of the campaign."""
    found = tx.execute(select(runs.c.repository, runs.c.base, runs.c.path).where(runs.c.campaign_id == campaign_id))
    return {(row.repository, row.base, row.path) for row in found}


def active(tx: Connection, org: str, policy: str) -> Campaign | None:
    """The campaign of this policy that is not completed, if there is one."""
    found = tx.execute(_campaigns().where(campaigns.c.active_key == _active_key(org, policy))).one_or_none()
    return None if found is None else _campaign(found)


def get(tx: Connection, campaign_id: str) -> Campaign:
    """Raises NotFound."""
    found = tx.execute(_campaigns().where(campaigns.c.id == campaign_id)).one_or_none()
    if found is None:
        raise NotFound(f"there is no campaign {campaign_id}", mend="whimbrel status lists them")
    return _campaign(found)


def recent(tx: Connection, limit: int = 50) -> list[Campaign]:
    """The newest campaigns first, previews left out."""
    newest = _campaigns().where(campaigns.c.preview.is_(False)).order_by(campaigns.c.created_at.desc(), campaigns.c.id)
    return [_campaign(row) for row in tx.execute(newest.limit(limit))]


def under_way(tx: Connection, org: str) -> list[Campaign]:
    """Those that have not ended, previews left out."""
    found = _campaigns().where(campaigns.c.org == org, campaigns.c.preview.is_(False), campaigns.c.state.not_in(ENDED))
    return [_campaign(row) for row in tx.execute(found.order_by(campaigns.c.id))]


def take_org_policy(tx: Connection, campaign_id: str, org_policy: OrgPolicy) -> None:
    """From now on the campaign is held to the org policy as the operator has it today."""
    tx.execute(update(campaigns).where(campaigns.c.id == campaign_id).values(_org_columns(org_policy)))


def take_rollout(tx: Connection, campaign_id: str, rollout: Rollout) -> None:
    """From now on the campaign is rolled out as the policy has it today."""
    tx.execute(update(campaigns).where(campaigns.c.id == campaign_id).values(_rollout_columns(rollout)))


def set_state(tx: Connection, campaign_id: str, state: CampaignState) -> None:
    tx.execute(update(campaigns).where(campaigns.c.id == campaign_id).values(state=state))


def cancel(tx: Connection, campaign_id: str, reason: str, now: datetime) -> None:
    """End it, and the runs that have not begun."""
    supersede(tx, campaign_id, reason, now)
    tx.execute(update(campaigns).where(campaigns.c.id == campaign_id).values(state=CampaignState.CANCELLED, finished_at=now))


def reactivate(tx: Connection, campaign: Campaign) -> None:
    """A campaign that was completed has runs to make again."""
    tx.execute(
        update(campaigns)
        .where(campaigns.c.id == campaign.id)
        .values(state=CampaignState.RUNNING, finished_at=None, active_key=_active_key(campaign.org, campaign.policy.name))
    )


def supersede(tx: Connection, campaign_id: str, reason: str, now: datetime) -> int:
    """End the runs that have not begun, and give up the active place; return how many were ended."""
    ended = tx.execute(
        update(runs)
        .where(runs.c.campaign_id == campaign_id, runs.c.state == RunState.PENDING)
        .values(state=RunState.ENDED, outcome=Outcome.SKIPPED, reason=reason, ended_at=now)
    )
    tx.execute(update(campaigns).where(campaigns.c.id == campaign_id).values(active_key=None))
    return int(ended.rowcount)


def complete_finished(tx: Connection, now: datetime) -> list[Campaign]:
    """Mark the running campaigns whose every run has ended as completed, and return them. Each is returned once."""
    unfinished = select(runs.c.id).where(runs.c.campaign_id == campaigns.c.id, runs.c.state != RunState.ENDED)
    finished = and_(campaigns.c.state.not_in(ENDED), ~unfinished.exists())
    # On Postgres, more runs may join while the lock is waited for; the next statement sees them.
    if not tx.execute(select(campaigns.c.id).where(finished).with_for_update()).all():
        return []
    completed = tx.execute(
        update(campaigns)
        .where(finished)
        .values(state=CampaignState.COMPLETED, finished_at=now, active_key=None)
        .returning(campaigns.c.id)
    )
    return [get(tx, campaign_id) for campaign_id in completed.scalars().all()]


def _org_columns(org_policy: OrgPolicy) -> dict[str, object]:
    return {
        "org_policy": org_policy.model_dump_json(),
        "concurrent_runs": org_policy.quota.concurrent_runs,
        "open_ceiling": org_policy.ceilings.open_pull_requests,
        "hourly_ceiling": org_policy.ceilings.pull_requests_per_hour,
    }


def _rollout_columns(rollout: Rollout) -> dict[str, object]:
    return {
        "rollout": rollout.model_dump_json(),
        "max_open": rollout.max_open,
        "per_hour": rollout.per_hour,
        "windowed": bool(rollout.windows),
    }


def _active_key(org: str, policy: str) -> str:
    return f"{org}/{policy}"


def _campaigns() -> Select[Any]:
    return select(campaigns, revisions.c.policy.label("policy_json")).join(revisions)


def _campaign(row: Row[tuple[object, ...]]) -> Campaign:
    policy = CampaignPolicy.model_validate_json(row.policy_json)
    return Campaign(
        id=row.id,
        org=row.org,
        policy=policy.model_copy(update={"rollout": Rollout.model_validate_json(row.rollout)}),
        org_policy=OrgPolicy.model_validate_json(row.org_policy),
        revision=row.revision,
        preview=row.preview,
        state=CampaignState(row.state),
        actor=row.actor,
        created_at=row.created_at,
        finished_at=row.finished_at,
        open_wave=row.open_wave,
        source=row.source,
    )


def _entry_row(plan_id: str, position: int, entry: PlanEntry) -> dict[str, object]:
    return {
        "plan_id": plan_id,
        "position": position,
        "repository": entry.target.repository,
        "base": entry.target.base,
        "head": entry.target.head,
        "path": entry.target.path,
        "skip_reason": entry.skip_reason,
        "facts": facts_json(entry.repository),
    }


def _run_row(campaign_id: str, position: int, entry: PlanEntry, now: datetime) -> dict[str, object]:
    skipped = entry.skip_reason is not None
    return {
        "id": f"{campaign_id}-{position + 1}",
        "campaign_id": campaign_id,
        "position": position,
        "org": entry.repository.org,
        "repository": entry.target.repository,
        "base": entry.target.base,
        "path": entry.target.path,
        "facts": facts_json(entry.repository),
        "state": RunState.ENDED if skipped else RunState.PENDING,
        "outcome": Outcome.SKIPPED if skipped else None,
        "reason": entry.skip_reason or "",
        "fence": 0,
        "attempts": 0,
        "losses": 0,
        "worker": "",
        "stage": "",
        "cost_micro": 0,
        "tokens": 0,
        "files_changed": 0,
        "duration_ms": 0,
        "ended_at": now if skipped else None,
    }


def facts_json(repository: Repository) -> str:
    facts = asdict(repository)
    return json.dumps(facts | {"languages": sorted(facts["languages"]), "topics": sorted(facts["topics"])})


def facts_from(text: str) -> Repository:
    facts = json.loads(text)
    return Repository(**facts | {"languages": frozenset(facts["languages"]), "topics": frozenset(facts["topics"])})
