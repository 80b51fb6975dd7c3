"""What a person may tell a campaign: pause, resume, approve, cancel, retry. Each acts on the runs under way too."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from bot.domain.states import CampaignState
from bot.errors import UsageError
from bot.services import Services
from bot.store import audit, campaigns, publications, runs, waves
from bot.store.campaigns import Campaign
from bot.store.publications import Change
from bot.store.runs import Dispatch, Run
from bot.tracking.leases import reclaim
from bot.tracking.stopping import end_run
from bot.tracking.waves import begin_next, standing


def pause(services: Services, campaign_id: str, *, actor: str) -> list[Dispatch]:
    """Nothing more begins, and what is under way is handed back. Returns the attempts to be stopped in the queue."""
    with services.database.transaction() as tx:
        campaign = _active(tx, campaign_id)
        if campaign.state is not CampaignState.PAUSED:
            campaigns.set_state(tx, campaign_id, CampaignState.PAUSED)
            _record(tx, services, campaign, actor, "campaign.paused")
    reason = f"the campaign was paused by {actor}"
    return _stop(services, campaign_id, lambda run: reclaim(services, run, reason, counts=False))


def resume(services: Services, campaign_id: str, *, actor: str) -> None:
    """A paused or interrupted campaign goes on; so does a halted one, and the shares of its open wave are judged no more."""
    with services.database.transaction() as tx:
        waves.lock(tx, campaign_id)
        campaign = _active(tx, campaign_id)
        halted = waves.current(tx, campaign) if campaign.state is CampaignState.HALTED else None
        if halted is not None:
            waves.waive(tx, campaign)
        campaigns.set_state(tx, campaign_id, CampaignState.RUNNING)
        past = {"wave": halted.number, "past": halted.reason} if halted is not None else {}
        _record(tx, services, campaign, actor, "campaign.resumed", **past)


def approve(services: Services, campaign_id: str, wave: int | None = None, *, actor: str) -> int:
    """The next wave begins, whatever the gate says; return its number. One that has begun already, by its number, stays so.

    Raises UsageError where there is none, where it is not the next one, and for a halted campaign.
    """
    with services.database.transaction() as tx:
        waves.lock(tx, campaign_id)
        campaign = _active(tx, campaign_id)
        found = standing(tx, campaign, services.clock.now())
        if found is None:
            raise UsageError(f"campaign {campaign_id} has no waves: all of it has begun")
        if wave is not None and wave <= found.wave.number:
            return wave
        if campaign.state is CampaignState.HALTED:
            raise UsageError(f"wave {found.wave.number} is halted: {found.wave.reason}", mend=f"whimbrel resume {campaign_id}")
        if found.upcoming is None:
            raise UsageError(f"wave {found.wave.number} has begun, and is the last one")
        if wave not in (None, found.upcoming):
            raise UsageError(f"wave {found.upcoming} comes first", mend=f"whimbrel approve {campaign_id}")
        begin_next(tx, services, campaign, found, actor=actor, reason=f"approved by {actor}; {found.verdict.reason}")
    return found.upcoming


def cancel(services: Services, campaign_id: str, *, actor: str) -> list[Dispatch]:
    """Every run that has not ended ends as skipped; what they spent stays spent. Returns the attempts to be stopped."""
    reason = f"the campaign was cancelled by {actor}"
    with services.database.transaction() as tx:
        campaign = _active(tx, campaign_id)
        campaigns.cancel(tx, campaign_id, reason, services.clock.now())
        _record(tx, services, campaign, actor, "campaign.cancelled")
    stopped = _stop(services, campaign_id, lambda run: end_run(services, run, reason))
    with services.database.transaction() as tx:
        campaigns.cancel(tx, campaign_id, reason, services.clock.now())  # and what was handed back meanwhile
    return stopped


def retry(services: Services, campaign_id: str, run_ids: Sequence[str], *, actor: str) -> int:
    """Attempt ended runs once more, all failed ones when `run_ids` is empty; return how many.

    Raises UsageError for a run that has not ended, and where another campaign of the policy is active.
    """
    with services.database.transaction() as tx:
        again = _reopen(tx, services, campaigns.get(tx, campaign_id), run_ids, actor=actor)
    return len(again)


def retry_failed(tx: Connection, services: Services, campaign_id: str, *, actor: str) -> int:
    """As `retry` of all failed ones, within the caller's transaction."""
    return len(_reopen(tx, services, campaigns.get(tx, campaign_id), (), actor=actor))


def retry_alone(tx: Connection, services: Services, run: Run, *, actor: str, words: str = "") -> None:
    """Attempt one ended run once more, told `words`, and disturb no other one.

    Raises UsageError as `retry` does, and for a run of a campaign that is held or was cancelled.
    """
    _reopen(tx, services, _under_way(tx, run), [run.id], actor=actor, words=words)


def rebase_alone(tx: Connection, services: Services, run: Run, *, actor: str) -> None:
    """Bring what one ended run has published to its base as it is now; a model is asked only where that does not apply there.

    Raises UsageError as `retry_alone` does.
    """
    _reopen(tx, services, _under_way(tx, run), [run.id], actor=actor, rebase=True)


def _under_way(tx: Connection, run: Run) -> Campaign:
    campaign = campaigns.get(tx, run.campaign_id)
    if campaign.state not in (CampaignState.RUNNING, CampaignState.COMPLETED):
        raise UsageError(f"campaign {campaign.id} of {campaign.policy.name} is {campaign.state}")
    return campaign


def _reopen(
    tx: Connection,
    services: Services,
    campaign: Campaign,
    run_ids: Sequence[str],
    *,
    actor: str,
    words: str = "",
    rebase: bool = False,
) -> list[str]:
    other = campaigns.active(tx, campaign.org, campaign.policy.name)
    if campaign.state is CampaignState.HALTED:
        raise UsageError(f"campaign {campaign.id} is halted", mend=f"whimbrel resume {campaign.id}")
    if other is not None and other.id != campaign.id:
        raise UsageError(f"{other.id} is the active campaign of {campaign.policy.name}", mend=f"whimbrel cancel {other.id}")
    by_hand = bool(run_ids) and actor != waves.OWN
    again = runs.reopen(tx, campaign.id, run_ids, words=words, rebase=rebase, by_hand=by_hand)
    if again:
        campaigns.reactivate(tx, campaign)
        if by_hand:
            _forgive(tx, campaign, again)
        action = "campaign.rebased" if rebase else "campaign.retried"
        _record(tx, services, campaign, actor, action, runs=again, words=bool(words))
    return again


def _forgive(tx: Connection, campaign: Campaign, run_ids: Sequence[str]) -> None:
    """Whoever names a run wants it in spite of who closed its pull request."""
    for run_id in run_ids:
        run = runs.get(tx, run_id)
        change = Change(campaign.org, campaign.policy.name, run.repository.name, run.base, run.path)
        publications.forgive(tx, change)


def _stop(services: Services, campaign_id: str, stop: Callable[[Run], bool]) -> list[Dispatch]:
    """Stop what is under way, until nothing is: a run may be claimed or handed back while it is looked at."""
    stopped: list[Dispatch] = []
    while True:
        with services.database.reading() as tx:
            busy = runs.busy_of(tx, campaign_id)
        if not busy:
            return stopped
        stopped += [Dispatch(run.id, run.fence) for run in busy if stop(run)]


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
