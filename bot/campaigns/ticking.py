"""A box that somebody has ticked in a control issue: whether they may, what is done, and what the issue says of it.

A campaign is the whole org's: who ticks needs what starting one on the org needs, and for a single repository, what that needs.
Repeated after a kill, a tick has one effect: it is noted as done with its answer, and what it does is the same when it is done
again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from bot.campaigns import bulk, control
from bot.campaigns.authority import require_permission, require_permission_on
from bot.campaigns.bulk import Action
from bot.domain.boxes import Act, Box, campaign_of, ticked
from bot.domain.events import IssueEdited
from bot.domain.markdown import neutral
from bot.domain.org_policies import OrgPolicy
from bot.domain.repositories import Repository
from bot.domain.states import CampaignState
from bot.errors import NotFound, QuotaRefused, UsageError
from bot.services import Services
from bot.store import audit, campaigns, effects, runs, tellings
from bot.store.campaigns import Campaign
from bot.store.publications import Change
from bot.tracking.stopping import stop_runs

NO_TICK = "no box was ticked"


@dataclass(frozen=True, slots=True)
class Tick:
    """`key` is the same for the same box in the same edit."""

    services: Services
    org: OrgPolicy
    campaign_id: str
    box: Box
    login: str
    key: str

    @property
    def actor(self) -> str:
        """Such as `github:mia`, as of one who comments."""
        return f"{self.org.host_kind}:{self.login}"

    def campaign(self) -> Campaign:
        with self.services.database.reading() as tx:
            return campaigns.get(tx, self.campaign_id)


def has_ticks(event: IssueEdited) -> bool:
    """Whether it is one at all: most edits in an org have nothing to do with the bot."""
    return not event.actor_is_bot and bool(campaign_of(event.before)) and bool(ticked(event.before, event.after))


def handle(services: Services, event: IssueEdited) -> str:
    """Do what was ticked; return why nothing was done, or an empty text. Raises HostError or StoreError: it may be repeated."""
    org = services.catalogue().policies.org_on(event.repository.host, event.repository.org)
    if org is None or not org.control_repository:
        return f"{event.repository.org} on {event.repository.host} has no control issues"
    campaign_id = campaign_of(event.before)
    if not _is_its_issue(services, org, campaign_id, event):
        return f"{org.reference(event.number, 'issue')} of {event.repository} is no control issue of the bot's"
    if event.actor.casefold() == services.conversation(org).own_login.casefold():
        return "the bot does not answer itself"
    boxes = ticked(event.before, event.after)
    refusals = [_once(Tick(services, org, campaign_id, box, event.actor, _key(campaign_id, box, event))) for box in boxes]
    return "; ".join(filter(None, refusals))


def _is_its_issue(services: Services, org: OrgPolicy, campaign_id: str, event: IssueEdited) -> bool:
    """What the text says of itself anybody can write."""
    with services.database.reading() as tx:
        known = tellings.control_of(tx, org.org, campaign_id)
    return known is not None and (known.data["repository"], known.data["number"]) == (event.repository.name, event.number)


def _once(tick: Tick) -> str:
    """Do it and note it as done; return why not, or an empty text."""
    services, org = tick.services, tick.org.org
    with services.database.reading() as tx:
        if effects.is_done(tx, org, tick.key):
            return ""
    refusal = ""
    try:
        _require_that_they_may(tick)
        words = _ACTS[tick.box.act](tick)
    except (UsageError, QuotaRefused, NotFound) as error:
        refusal, words = f"refused: {error}", neutral(f"refused: {error.explanation}")
    with services.database.transaction() as tx:
        now = services.clock.now()
        if effects.do_once(tx, org, tick.key, now):
            asked = f"{tick.box.act} {tick.box.subject}".strip()
            told = f"{now:%Y-%m-%d %H:%M} UTC, {neutral(tick.login)}, `{asked}`: {words}"
            tellings.answer_tick(tx, org, tick.campaign_id, tick.key, told, now)
            if refusal:
                _record(tx, tick, "trigger.refused", reason=refusal)
    return refusal


def _require_that_they_may(tick: Tick) -> None:
    services, org = tick.services, tick.org
    if tick.box.act is Act.SKIP:
        there = Repository(org.org, tick.box.subject, "", None)
        require_permission_on(services.conversation(org), org, there, tick.login)
    else:
        require_permission(services.host(org), org, tick.login)


def _approve(tick: Tick) -> str:
    if not tick.box.subject.isdigit():
        raise UsageError("a wave has a number")
    begun = control.approve(tick.services, tick.campaign_id, int(tick.box.subject), actor=tick.actor)
    return f"wave {begun} has begun"


def _pause(tick: Tick) -> str:
    stopped = control.pause(tick.services, tick.campaign_id, actor=tick.actor)
    return f"it is paused, and {len(stopped)} attempts were handed back"


def _resume(tick: Tick) -> str:
    if tick.campaign().state is not CampaignState.RUNNING:
        control.resume(tick.services, tick.campaign_id, actor=tick.actor)
    return "it goes on"


def _retry(tick: Tick) -> str:
    """The one act that is not the same when it is repeated: what was retried may have failed once more."""
    services = tick.services
    with services.database.transaction() as tx:
        if effects.do_once(tx, tick.org.org, f"{tick.key}:retried", services.clock.now()):
            control.retry_failed(tx, services, tick.campaign_id, actor=tick.actor)
    return "what failed is attempted again"


def _skip(tick: Tick) -> str:
    """In this campaign alone; to be left alone by all, a repository has `/whimbrel off`."""
    services, name, campaign = tick.services, tick.box.subject, tick.campaign()
    with services.database.transaction() as tx:
        found = runs.unfinished_on(tx, campaign.id, name)
        if found and effects.do_once(tx, campaign.org, f"{tick.key}:asked", services.clock.now()):
            _record(tx, tick, "campaign.skipped", repository=name)
    reason = f"{tick.actor} has it skipped in this campaign"
    for run in found:
        change = Change(campaign.org, campaign.policy.name, name, run.base, run.path)
        stop_runs(services, campaign.org, name, reason, change=change)
    return f"{neutral(name)} is skipped"


def _close(tick: Tick) -> str:
    services, campaign = tick.services, tick.campaign()
    if campaign.state not in campaigns.ENDED:
        control.cancel(services, campaign.id, actor=tick.actor)
    wanted = bulk.preview(Action.CLOSE, bulk.chosen(services, campaign, ["open"], ()))
    if not wanted.touched:
        return "it has ended, and no pull request of the bot's is open"
    results = list(bulk.carry_out(services, campaign, wanted, actor=tick.actor, words="in the control issue"))
    left = sum(1 for each in results if each.error)
    rest = f"; {left} could not be: whimbrel prs {campaign.id} close" if left else ""
    return f"it has ended, and {len(results) - left} pull requests are closed{rest}"


_ACTS: Mapping[Act, Callable[[Tick], str]] = {
    Act.APPROVE: _approve,
    Act.PAUSE: _pause,
    Act.RESUME: _resume,
    Act.RETRY: _retry,
    Act.SKIP: _skip,
    Act.CLOSE: _close,
}


def _key(campaign_id: str, box: Box, event: IssueEdited) -> str:
    parts = (campaign_id, box.act, box.subject, event.key)
    return f"tick:{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()}"


def _record(tx: Connection, tick: Tick, action: str, *, reason: str = "", **details: str) -> None:
    audit.append(
        tx, tick.services.audit_key, tick.services.clock, org=tick.org.org, actor=tick.actor, action=action,
        subject=tick.campaign_id, reason=reason, details=details,
    )  # fmt: skip
