"""Waves go on by themselves: the gate of each open one is judged by what is known of its pull requests.

All that a decision changes, and the audit event that tells of it, is one transaction: a kill leaves it done or not begun.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from bot.domain.rollout import Gate
from bot.domain.states import CampaignState
from bot.domain.verdicts import Verdict
from bot.domain.waves import WaveFacts, WaveState, after, judge, why_closed
from bot.services import Services
from bot.store import audit, campaigns, waves
from bot.store.campaigns import Campaign
from bot.store.waves import Wave

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """How the open wave of a campaign stands. `upcoming` is the next one's number, None after the last; `turns_into` is what
    its gate makes of it now."""

    wave: Wave
    facts: WaveFacts
    verdict: Verdict
    upcoming: int | None
    turns_into: WaveState


def advance(services: Services) -> int:
    """Judge the open wave of every running campaign that has waves; return how many have begun or were halted."""
    with services.database.reading() as tx:
        due = [campaign_id for campaign_id in waves.in_waves(tx) if _is_due(tx, services, campaign_id)]
    return sum(_advance(services, campaign_id) for campaign_id in due)


def standing(tx: Connection, campaign: Campaign, now: datetime) -> Standing | None:
    """None for a campaign without waves."""
    wave = waves.current(tx, campaign)
    if wave is None:
        return None
    rollout = campaign.policy.rollout
    gate = Gate(after=rollout.gate.after) if wave.waived else rollout.gate
    facts, upcoming = waves.facts(tx, campaign, wave), waves.next_number(tx, campaign)
    verdict = judge(gate, facts, now)
    return Standing(wave, facts, verdict, upcoming, after(rollout, verdict, last=upcoming is None))


def begin_next(tx: Connection, services: Services, campaign: Campaign, found: Standing, *, actor: str, reason: str) -> None:
    """The next wave begins, by its gate or by a person's word."""
    assert found.upcoming is not None
    waves.begin(tx, campaign, found.upcoming, actor=actor, reason=reason, verdict=found.verdict, now=services.clock.now())
    audit.append(
        tx, services.audit_key, services.clock, org=campaign.org, actor=actor, action="wave.begun", subject=campaign.id,
        reason=reason,
        details={"policy": campaign.policy.name, "wave": found.upcoming, "after": found.wave.number, **_told(found)},
    )  # fmt: skip


def _is_due(tx: Connection, services: Services, campaign_id: str) -> bool:
    found = standing(tx, campaigns.get(tx, campaign_id), services.clock.now())
    return found is not None and found.turns_into is not WaveState.OPEN


def _advance(services: Services, campaign_id: str) -> bool:
    """Judge it once more, while nobody else does; False where there is nothing to be done any more."""
    with services.database.transaction() as tx:
        waves.lock(tx, campaign_id)
        campaign = campaigns.get(tx, campaign_id)
        found = standing(tx, campaign, services.clock.now())
        if found is None or found.turns_into is WaveState.OPEN or campaign.state is not CampaignState.RUNNING:
            return False
        if found.turns_into is WaveState.PASSED:
            begin_next(tx, services, campaign, found, actor=waves.OWN, reason=found.verdict.reason)
        else:
            _halt(tx, services, campaign, found)
    return True


def _halt(tx: Connection, services: Services, campaign: Campaign, found: Standing) -> None:
    """Nothing more begins. Two events: what was done, and the alert that somebody should look."""
    reason = f"wave {found.wave.number} is halted: {found.verdict.reason}"
    waves.halt(tx, campaign, reason=found.verdict.reason, verdict=found.verdict, now=services.clock.now())
    details = {"policy": campaign.policy.name, "wave": found.wave.number, **_told(found)}
    for action in ("campaign.halted", "rollout.alert"):
        audit.append(
            tx, services.audit_key, services.clock, org=campaign.org, actor=waves.OWN, action=action, subject=campaign.id,
            reason=reason, details=details,
        )  # fmt: skip
    log.info("campaign %s of %s on %s: %s", campaign.id, campaign.policy.name, campaign.org, reason)


def _told(found: Standing) -> dict[str, object]:
    return {"gate": found.verdict.to_json(), "objections": why_closed(found.facts).splitlines()}
