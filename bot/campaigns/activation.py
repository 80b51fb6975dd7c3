"""From a plan to a campaign: at most one active campaign an org and policy; a second start joins it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection

from bot.domain.money import MicroUsd, decimal_usd, micro_usd, month_of
from bot.domain.org_policies import OrgPolicy
from bot.domain.policies import CampaignPolicy
from bot.domain.states import CampaignState
from bot.errors import QuotaRefused, UsageError
from bot.services import Services
from bot.store import audit, campaigns, ledger, publications, refreshes, runs, tellings, waves
from bot.store.campaigns import Campaign, Plan
from bot.store.publications import Change


@dataclass(frozen=True, slots=True)
class Activation:
    """The campaign that now works on the plan; `joined` tells that it was active already."""

    campaign_id: str
    joined: bool


def activate(
    services: Services,
    plan: Plan,
    policy: CampaignPolicy,
    org: OrgPolicy,
    *,
    actor: str,
    max_usd: Decimal | None = None,
    preview: bool = False,
    by_hand: bool = False,
    alone: bool = False,
) -> Activation:
    """Start a campaign of the plan, or join the active one of the same revision.

    An active campaign of another revision gives way: its runs that have not begun end as skipped. What a person asks for
    `by_hand`, by the names of repositories, goes before scheduled work. What is to act on its own targets `alone` does so too,
    with the wave that is open; it is refused where another revision is at work, takes up no campaign that was interrupted, and
    gives none another budget. Raises UsageError, and QuotaRefused when the policy asks a model and the org's month is used up.
    """
    with services.database.transaction() as tx:
        return activate_within(
            tx, services, plan, policy, org, actor=actor, max_usd=max_usd, preview=preview, by_hand=by_hand, alone=alone
        )


def activate_within(
    tx: Connection,
    services: Services,
    plan: Plan,
    policy: CampaignPolicy,
    org: OrgPolicy,
    *,
    actor: str,
    max_usd: Decimal | None = None,
    preview: bool = False,
    by_hand: bool = False,
    alone: bool = False,
) -> Activation:
    """The same, in the transaction that notes for what it is done: together they are done once, or not at all."""
    now = services.clock.now()
    _require_quota(tx, services, org, policy, plan)
    active = None if preview else campaigns.active(tx, org.org, policy.name)
    if active is not None:
        _require_going(active, plan)
    if active is not None and alone:
        _require_undisturbed(active, plan)
    if active is not None and active.revision == plan.revision:
        _join(tx, active, plan, policy, org, services)
        campaign_id = active.id
    else:
        if active is not None:
            campaigns.supersede(tx, active.id, "the policy has changed: a newer campaign took over", now)
        campaign_id = campaigns.start(tx, plan, policy, org, actor=actor, preview=preview, now=now)
    cap = policy.budget.campaign if max_usd is None else min(policy.budget.campaign, micro_usd(max_usd))
    account = ledger.open_account if alone else ledger.ensure_account
    account(tx, "campaign", campaign_id, "", cap)
    if not preview:
        _mark_done(tx, plan, now)
        _give_waves(tx, services, plan, campaign_id, actor, by_hand=by_hand or alone, at_once=alone)
        if org.control_repository and plan.targets:
            tellings.intend_control(tx, org.org, campaign_id, org.control_repository, now)
    joined = active is not None and active.id == campaign_id
    _record(tx, services, plan, campaign_id, actor, cap, joined=joined, preview=preview)
    return Activation(campaign_id, joined)


def _mark_done(tx: Connection, plan: Plan, now: datetime) -> None:
    """What is open for a base that needs it no more is to be closed; what was to be, and is needed again, is not."""
    opened = {each.change for each in publications.of_policy(tx, plan.org, plan.policy) if each.state == "open"}
    for entry in plan.entries:
        change = Change(plan.org, plan.policy, entry.target.repository, entry.target.base, entry.target.path)
        if change in opened and entry.done:
            refreshes.needed_no_more(tx, change, entry.done, now)
        elif change in opened and not entry.done:
            refreshes.needed_again(tx, change)


def hold(services: Services, campaign_id: str, *, actor: str) -> None:
    """Nothing more of the campaign begins until it is started again."""
    with services.database.transaction() as tx:
        campaign = campaigns.get(tx, campaign_id)
        if campaign.state is CampaignState.RUNNING:
            campaigns.set_state(tx, campaign_id, CampaignState.INTERRUPTED)
            runs.recall(tx, campaign_id)
            audit.append(
                tx, services.audit_key, services.clock, org=campaign.org, actor=actor, action="campaign.interrupted",
                subject=campaign_id, reason="interrupted; the next start of the policy takes it up again",
            )  # fmt: skip


def complete_finished(services: Services) -> list[Campaign]:
    """Complete each campaign whose every run has ended, once."""
    with services.database.transaction() as tx:
        finished = campaigns.complete_finished(tx, services.clock.now())
        for campaign in finished:
            audit.append(
                tx, services.audit_key, services.clock, org=campaign.org, actor="whimbrel", action="campaign.completed",
                subject=campaign.id,
            )  # fmt: skip
    return finished


def _require_quota(tx: Connection, services: Services, org: OrgPolicy, policy: CampaignPolicy, plan: Plan) -> None:
    """The org's account of this month, with the operator's present cap; refused when there is nothing left of it."""
    period = month_of(services.clock.now(), org.timezone)
    ledger.ensure_account(tx, "org", org.org, period, org.quota.month)
    account = ledger.account(tx, "org", org.org, period)
    if policy.uses_model and plan.targets and account is not None and account.left == 0:
        raise QuotaRefused(account.refusal(MicroUsd(policy.budget.attempt)), scope="org")


def _require_going(active: Campaign, plan: Plan) -> None:
    """Raises UsageError where a person has the campaign stand still; a new revision may be what a halted one waits for."""
    if active.state is CampaignState.PAUSED or (active.state is CampaignState.HALTED and active.revision == plan.revision):
        raise UsageError(f"campaign {active.id} of this policy is {active.state}", mend=f"whimbrel resume {active.id}")


def _require_undisturbed(active: Campaign, plan: Plan) -> None:
    """Raises UsageError where joining would change what other targets of the campaign come to."""
    again = f"whimbrel run {plan.policy} --org {plan.org}"
    if active.revision != plan.revision:
        raise UsageError(
            f"campaign {active.id} is at work on an earlier revision of {plan.policy}, {active.revision}",
            mend=f"when it has ended; or {again}, for the whole org",
        )
    if active.state is not CampaignState.RUNNING:
        raise UsageError(f"campaign {active.id} of {plan.policy} is {active.state}", mend=f"{again} takes it up again")


def _join(tx: Connection, active: Campaign, plan: Plan, policy: CampaignPolicy, org: OrgPolicy, services: Services) -> None:
    campaigns.set_state(tx, active.id, CampaignState.RUNNING)  # first, so that nobody completes it meanwhile
    campaigns.take_org_policy(tx, active.id, org)
    campaigns.take_rollout(tx, active.id, policy.rollout)
    known = campaigns.targets_of(tx, active.id)
    missing = [e for e in plan.entries if (e.target.repository, e.target.base, e.target.path) not in known]
    campaigns.add_runs(tx, active.id, missing, services.clock.now())


def _give_waves(
    tx: Connection, services: Services, plan: Plan, campaign_id: str, actor: str, *, by_hand: bool, at_once: bool
) -> None:
    targets = {(entry.target.repository, entry.target.base, entry.target.path) for entry in plan.targets}
    if by_hand:
        waves.ask_for(tx, campaign_id, targets)
    waves.distribute(tx, campaigns.get(tx, campaign_id), services.clock.now(), actor=actor)
    if at_once:
        waves.bring_forward(tx, campaigns.get(tx, campaign_id), targets)


def _record(
    tx: Connection,
    services: Services,
    plan: Plan,
    campaign_id: str,
    actor: str,
    cap: MicroUsd,
    *,
    joined: bool,
    preview: bool,
) -> None:
    action = "campaign.previewed" if preview else "campaign.joined" if joined else "campaign.started"
    details = {
        "policy": plan.policy,
        "revision": plan.revision,
        "plan": plan.id,
        "targets": len(plan.targets),
        "skipped": len(plan.entries) - len(plan.targets),
        "usd_per_campaign": decimal_usd(cap),
        "estimate": dict(plan.estimate),
        **({"source": plan.source} if plan.source else {}),
    }
    audit.append(
        tx, services.audit_key, services.clock, org=plan.org, actor=actor, action=action, subject=campaign_id, details=details
    )  # fmt: skip
