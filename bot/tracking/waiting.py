"""Why nothing more of a campaign begins at this moment, in words: whoever asks is told, and nothing is decided here."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bot.domain.redaction import one_line, redact
from bot.domain.states import CampaignState, RunState
from bot.domain.waves import WaveState, why_closed
from bot.store import publications, reports, waves
from bot.store.admission import outside_windows, until
from bot.store.campaigns import Campaign
from bot.store.waves import Wave
from bot.tracking.waves import Standing, standing

REASON_LIMIT = 300


def why_waiting(tx: Connection, campaign: Campaign, now: datetime) -> str:
    """Empty where nothing waits, or only for its turn."""
    return why_stuck(tx, campaign, now) or (_held_back(tx, campaign, now) if _all_come_later(tx, campaign, now) else "")


def why_stuck(tx: Connection, campaign: Campaign, now: datetime) -> str:
    """As `why_waiting`, but for what only takes a while: another attempt after a pause, a host's limits."""
    if RunState.PENDING not in reports.unfinished(tx, campaign.id):
        return ""
    wave = standing(tx, campaign, now)
    if campaign.state is not CampaignState.RUNNING:
        return _stopped(campaign, wave)
    if wave is not None and not reports.pending_up_to(tx, campaign.id, campaign.open_wave):
        return _next_wave(campaign, wave)
    closed = outside_windows(tx, now)
    if campaign.id in closed:
        return until(closed[campaign.id], campaign.org_policy.timezone)
    return "" if _all_come_later(tx, campaign, now) else _ceilings(tx, campaign, now)


def _all_come_later(tx: Connection, campaign: Campaign, now: datetime) -> bool:
    retry = reports.next_retry(tx, campaign.id)
    return retry is not None and retry > now


def describe(tx: Connection, campaign: Campaign, now: datetime) -> list[dict[str, Any]]:
    """The waves of a campaign, JSON-ready, those that somebody is in: `ended` is how many of the wave's `targets` have.

    `gate` is the explained decision, as it was made, or of the open wave as it is now.
    """
    begun = {wave.number: wave for wave in waves.of_campaign(tx, campaign.id)}
    if not begun:
        return []
    now_open = standing(tx, campaign, now)
    sizes = waves.sizes(tx, campaign.id)
    numbers = sorted({*begun, *(number for number in sizes if number)})
    return [_described(number, sizes.get(number, (0, 0)), begun.get(number), now_open) for number in numbers]


def _described(number: int, size: tuple[int, int], wave: Wave | None, now_open: Standing | None) -> dict[str, Any]:
    targets, ended = size
    facts: dict[str, Any] = {"number": number, "targets": targets, "ended": ended}
    if wave is None:
        return facts | {"state": WaveState.WAITING.value, "opened_at": None, "reason": "", "gate": None, "objections": []}
    facts |= {"state": wave.state.value, "opened_at": wave.opened_at.isoformat(), "opened_by": wave.opened_by}
    facts |= {"decided_at": wave.decided_at.isoformat() if wave.decided_at else None, "decided_by": wave.decided_by}
    if now_open is None or now_open.wave.number != number:
        return facts | {"reason": wave.reason, "gate": wave.verdict, "objections": []}
    gate = wave.verdict if wave.state is WaveState.HALTED else now_open.verdict.to_json()
    reason = wave.reason if wave.state is WaveState.HALTED else now_open.verdict.reason
    return facts | {"reason": reason, "gate": gate, "objections": why_closed(now_open.facts).splitlines()}


def _stopped(campaign: Campaign, wave: Standing | None) -> str:
    if campaign.state is not CampaignState.HALTED or wave is None:
        return f"the campaign is {campaign.state}"
    said = f": {told}" if (told := "; ".join(why_closed(wave.facts).splitlines())) else ""
    return f"wave {wave.wave.number} is halted: {wave.wave.reason}{said} (whimbrel resume {campaign.id} goes on past it)"


def _held_back(tx: Connection, campaign: Campaign, now: datetime) -> str:
    """Such as by the host's limits: it goes on by itself."""
    held = reports.held_back(tx, campaign.id, now)
    if held is None:
        return ""
    count, when, reason = held
    told = one_line(redact(reason), REASON_LIMIT)
    return f"{count} run{'s' if count != 1 else ''} wait{'' if count != 1 else 's'} until {when:%Y-%m-%d %H:%M:%S} UTC: {told}"


def _next_wave(campaign: Campaign, wave: Standing) -> str:
    if wave.turns_into is not WaveState.OPEN or wave.upcoming is None:
        return ""
    if wave.verdict.passed:
        return f"wave {wave.upcoming} waits for approval: whimbrel approve {campaign.id}"
    return f"wave {wave.upcoming} begins after wave {wave.wave.number}: {wave.verdict.reason}"


def _ceilings(tx: Connection, campaign: Campaign, now: datetime) -> str:
    if campaign.policy.output is not None:
        return ""
    own = publications.room_of_policy(tx, campaign.org, campaign.policy.name, campaign.policy.rollout, now)
    return publications.room(tx, campaign.org, campaign.org_policy.ceilings, now).reason or own
