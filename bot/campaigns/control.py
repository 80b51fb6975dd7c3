"""What a person may tell a campaign: pause, resume, cancel, retry. Each acts on the runs under way too."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from bot.domain.states import CampaignState, Outcome
from bot.errors import FenceLost, UsageError
from bot.services import Services
from bot.store import audit, campaigns, ledger, runs
from bot.store.campaigns import Campaign
from bot.store.runs import Dispatch, Run
from bot.tracking.leases import reclaim


def pause(services: Services, campaign_id: str, *, actor: str) -> list[Dispatch]:
    """Nothing more begins, and what is under way is handed back. Returns the attempts to be stopped in the queue."""
    with services.database.transaction() as tx:
        campaign = _active(tx, campaign_id)
        campaigns.set_state(tx, campaign_id, CampaignState.PAUSED)
        _record(tx, services, campaign, actor, "campaign.paused")
        busy = runs.busy_of(tx, campaign_id)
    for run in busy:
        reclaim(services, run, f"the campaign was paused by {actor}", counts=False)
    return [Dispatch(run.id, run.fence) for run in busy]


def resume(services: Services, campaign_id: str, *, actor: str) -> None:
    """A paused or interrupted campaign goes on."""
    with services.database.transaction() as tx:
        campaign = _active(tx, campaign_id)
        campaigns.set_state(tx, campaign_id, CampaignState.RUNNING)
        _record(tx, services, campaign, actor, "campaign.resumed")


def cancel(services: Services, campaign_id: str, *, actor: str) -> list[Dispatch]:
    """Every run that has not ended ends as skipped; what they spent stays spent. Returns the attempts to be stopped."""
    reason = f"the campaign was cancelled by {actor}"
    with services.database.transaction() as tx:
        campaign = _active(tx, campaign_id)
        campaigns.cancel(tx, campaign_id, reason, services.clock.now())
        _record(tx, services, campaign, actor, "campaign.cancelled")
        busy = runs.busy_of(tx, campaign_id)
    for run in busy:
        _end(services, run, reason)
    return [Dispatch(run.id, run.fence) for run in busy]


def retry(services: Services, campaign_id: str, run_ids: Sequence[str], *, actor: str) -> int:
    """Attempt ended runs once more, all failed ones when `run_ids` is empty; return how many.

    Raises UsageError for a run that has not ended, and where another campaign of the policy is active.
    """
    with services.database.transaction() as tx:
        campaign = campaigns.get(tx, campaign_id)
        other = campaigns.active(tx, campaign.org, campaign.policy.name)
        if other is not None and other.id != campaign_id:
            raise UsageError(f"{other.id} is the active campaign of {campaign.policy.name}", mend=f"whimbrel cancel {other.id}")
        again = runs.reopen(tx, campaign_id, run_ids)
        if again:
            campaigns.reactivate(tx, campaign)
            _record(tx, services, campaign, actor, "campaign.retried", runs=again)
    return len(again)


def _end(services: Services, run: Run, reason: str) -> None:
    """End a run that an attempt is working on: its money is settled, and whatever it still writes is fenced off."""
    try:
        with services.database.transaction() as tx:
            runs.end(tx, run, Outcome.SKIPPED, reason, now=services.clock.now())
            cost, tokens = ledger.close_attempt(tx, run.attempt_key, clock=services.clock)
            runs.add_cost(tx, run, cost, tokens)
    except FenceLost:
        return


def _active(tx: Connection, campaign_id: str) -> Campaign:
    campaign = campaigns.get(tx, campaign_id)
    if campaign.state in campaigns.ENDED:
        raise UsageError(f"campaign {campaign_id} is {campaign.state} already")
    return campaign


def _record(tx: Connection, services: Services, campaign: Campaign, actor: str, action: str, **details: object) -> None:
    audit.append(
        tx, services.audit_key, services.clock, org=campaign.org, actor=actor, action=action, subject=campaign.id,
        details=details,
    )  # fmt: skip
