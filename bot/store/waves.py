"""The waves of campaigns: which run begins with which, what became of each, and what holds a campaign back.

A run is dispatched when its wave is at most the campaign's `open_wave`: every other rule only moves that number, or the
campaign's state, in the transaction that writes down why.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, case, func, insert, or_, select, update

from bot.domain.pull_requests import ChecksState
from bot.domain.states import CampaignState, Outcome, RunState
from bot.domain.verdicts import Verdict
from bot.domain.waves import WaveFacts, WaveState, assign
from bot.store.campaigns import Campaign
from bot.store.publications import NOBODY
from bot.store.runs import recall
from bot.store.schema import campaigns, publications, runs, waves

AT_ONCE = 500
OWN = "whimbrel"
"""By whom a pull request is closed that the bot itself took back: nobody has rejected that."""


@dataclass(frozen=True, slots=True)
class Wave:
    """One that has begun. `reason` says why it was decided as it was, or what it waits for; `waived`: a person let it go on
    past a breach, and its shares are judged no more."""

    campaign_id: str
    number: int
    state: WaveState
    opened_at: datetime
    opened_by: str
    decided_at: datetime | None
    decided_by: str
    reason: str
    verdict: Mapping[str, Any] | None
    waived: bool


def distribute(tx: Connection, campaign: Campaign, now: datetime, *, actor: str) -> None:
    """Give each target that has not begun its wave, by what the rollout says of all of them; what a person asked for is first.

    The first wave of a campaign is opened so. Where targets join later, the waves grow, and one that is open may fill up.
    """
    rollout = campaign.policy.rollout
    # Never lowered: what has begun with a wave may be attempted again, also when the policy has fewer waves by then.
    open_wave = max(campaign.open_wave, 1) if rollout.waves else campaign.open_wave
    ours = and_(runs.c.campaign_id == campaign.id, _is_target())
    waiting = and_(ours, runs.c.state == RunState.PENDING, runs.c.attempts == 0, _not_begun(campaign.open_wave))
    ordered = select(runs.c.id).where(waiting).order_by(runs.c.by_hand.desc(), runs.c.position)
    ids = list(tx.execute(ordered).scalars())
    all_targets: int = tx.execute(select(func.count()).select_from(runs).where(ours)).scalar_one()
    numbers = assign(rollout, begun=all_targets - len(ids), waiting=len(ids), open_wave=open_wave)
    for number in sorted(set(numbers)):
        _move(tx, [run_id for run_id, given in zip(ids, numbers, strict=True) if given == number], wave=number)
    if open_wave != campaign.open_wave:
        tx.execute(update(campaigns).where(campaigns.c.id == campaign.id).values(open_wave=open_wave))
        _open(tx, campaign.id, open_wave, actor, now)


def ask_for(tx: Connection, campaign_id: str, targets: Collection[tuple[str, str, str]]) -> None:
    """A person asks for these (repository, base, path): they go before scheduled work."""
    _move(tx, _pending_among(tx, campaign_id, targets), by_hand=True)


def bring_forward(tx: Connection, campaign: Campaign, targets: Collection[tuple[str, str, str]]) -> None:
    """They begin with the wave that is open, and are judged with it."""
    _move(tx, _pending_among(tx, campaign.id, targets), wave=campaign.open_wave)


def in_waves(tx: Connection) -> list[str]:
    """The running campaigns that have waves."""
    running = (campaigns.c.state == CampaignState.RUNNING, campaigns.c.open_wave > 0, campaigns.c.preview.is_(False))
    return list(tx.execute(select(campaigns.c.id).where(*running).order_by(campaigns.c.id)).scalars())


def lock(tx: Connection, campaign_id: str) -> None:
    """Nobody else decides on the campaign's waves until the transaction ends."""
    tx.execute(select(campaigns.c.id).where(campaigns.c.id == campaign_id).with_for_update())


def of_campaign(tx: Connection, campaign_id: str) -> list[Wave]:
    """Those that have begun, in their order."""
    found = tx.execute(select(waves).where(waves.c.campaign_id == campaign_id).order_by(waves.c.number))
    return [_wave(row) for row in found]


def current(tx: Connection, campaign: Campaign) -> Wave | None:
    """The one that is open, or was halted."""
    found = tx.execute(select(waves).where(_is(campaign.id, campaign.open_wave))).one_or_none()
    return None if found is None else _wave(found)


def next_number(tx: Connection, campaign: Campaign) -> int | None:
    """The next wave that somebody is in; None after the last."""
    later = and_(runs.c.campaign_id == campaign.id, runs.c.state == RunState.PENDING, runs.c.wave > campaign.open_wave)
    found: int | None = tx.execute(select(func.min(runs.c.wave)).where(later)).scalar_one()
    return found


def begin(tx: Connection, campaign: Campaign, number: int, *, actor: str, reason: str, verdict: Verdict, now: datetime) -> None:
    """The open wave has passed, and the wave `number` begins."""
    _decide(tx, campaign, WaveState.PASSED, actor, reason, verdict, now)
    tx.execute(update(campaigns).where(campaigns.c.id == campaign.id).values(open_wave=number))
    _open(tx, campaign.id, number, actor, now)


def halt(tx: Connection, campaign: Campaign, *, reason: str, verdict: Verdict, now: datetime) -> None:
    """The open wave is breached: nothing more of the campaign begins."""
    _decide(tx, campaign, WaveState.HALTED, OWN, reason, verdict, now)
    tx.execute(update(campaigns).where(campaigns.c.id == campaign.id).values(state=CampaignState.HALTED))
    recall(tx, campaign.id)


def waive(tx: Connection, campaign: Campaign) -> None:
    """The halted wave is open again, and its shares are judged no more."""
    open_again = {"state": WaveState.OPEN, "waived": True, "decided_at": None, "decided_by": ""}
    tx.execute(update(waves).where(_is(campaign.id, campaign.open_wave)).values(open_again))


def sizes(tx: Connection, campaign_id: str) -> dict[int, tuple[int, int]]:
    """By wave: its targets, and how many of them have ended."""
    ended = func.sum(case((runs.c.state == RunState.ENDED, 1), else_=0))
    found = tx.execute(
        select(runs.c.wave, func.count().label("n"), ended.label("ended"))
        .where(runs.c.campaign_id == campaign_id, _is_target())
        .group_by(runs.c.wave)
    )
    return {row.wave: (row.n, int(row.ended)) for row in found}


def facts(tx: Connection, campaign: Campaign, wave: Wave) -> WaveFacts:
    """What became of a wave so far, by what the host was last seen to say of its pull requests."""
    of_wave = and_(runs.c.campaign_id == campaign.id, runs.c.wave == wave.number)
    row = tx.execute(select(func.count().label("runs"), *_run_counts()).where(of_wave)).one()
    published = and_(of_wave, _proposed_by(campaign), ~_not_rejected())
    told = tx.execute(select(func.count().label("published"), *_publication_counts()).where(published)).one()
    counted = {key: int(value or 0) for key, value in {**row._mapping, **told._mapping}.items()}
    return WaveFacts(opened_at=wave.opened_at, **counted, objections=(*_closed(tx, published), *_came_to_nothing(tx, of_wave)))


def _pending_among(tx: Connection, campaign_id: str, targets: Collection[tuple[str, str, str]]) -> list[str]:
    found = tx.execute(
        select(runs.c.id, runs.c.repository, runs.c.base, runs.c.path).where(
            runs.c.campaign_id == campaign_id, runs.c.state == RunState.PENDING
        )
    )
    return [row.id for row in found if (row.repository, row.base, row.path) in targets]


def _run_counts() -> Sequence[ColumnElement[Any]]:
    conditions: dict[str, ColumnElement[bool]] = {
        "unfinished": runs.c.state != RunState.ENDED,
        "refused": runs.c.outcome == Outcome.REJECTED,
        "failed": runs.c.outcome.in_((Outcome.FAILED, Outcome.BUDGET_EXHAUSTED)),
    }
    return [_sum(condition).label(name) for name, condition in conditions.items()]


def _publication_counts() -> Sequence[ColumnElement[Any]]:
    unsettled = publications.c.state.in_(("intent", "open"))
    not_known = or_(
        publications.c.ci == ChecksState.PENDING,
        and_(publications.c.ci == ChecksState.NONE, publications.c.looked_at.is_(None)),
    )
    conditions: dict[str, ColumnElement[bool]] = {
        "merged": publications.c.state == "merged",
        "closed": publications.c.state == "closed",
        "edited": publications.c.edited > 0,
        "ci_passed": publications.c.ci == ChecksState.PASSED,
        "ci_failed": publications.c.ci == ChecksState.FAILED,
        "ci_unknown": and_(unsettled, not_known),
    }
    return [_sum(condition).label(name) for name, condition in conditions.items()]


def _closed(tx: Connection, published: ColumnElement[bool]) -> list[str]:
    found = tx.execute(
        select(publications.c.repository, publications.c.number, publications.c.closed_by, publications.c.closed_reason)
        .where(published, publications.c.state == "closed")
        .order_by(publications.c.settled_at, publications.c.id)
    )
    return [f"{row.repository}#{row.number} closed by {row.closed_by or 'unknown'}{_said(row.closed_reason)}" for row in found]


def _came_to_nothing(tx: Connection, of_wave: ColumnElement[bool]) -> list[str]:
    wanted = (Outcome.REJECTED, Outcome.FAILED, Outcome.BUDGET_EXHAUSTED)
    found = select(runs.c.repository, runs.c.outcome, runs.c.reason).where(of_wave, runs.c.outcome.in_(wanted))
    return [
        f"{row.repository} {row.outcome.replace('_', ' ')}{_said(row.reason)}"
        for row in tx.execute(found.order_by(runs.c.position))
    ]


def _said(words: str) -> str:
    return f": {' '.join(words.split())}" if words else ""


def _proposed_by(campaign: Campaign) -> ColumnElement[bool]:
    """What joins the campaign's runs with their pull requests: also where a later attempt, to rebase one, came to nothing."""
    return and_(
        publications.c.org == campaign.org,
        publications.c.policy == campaign.policy.name,
        publications.c.repository == runs.c.repository,
        publications.c.base == runs.c.base,
        publications.c.path == runs.c.path,
        publications.c.revision == campaign.revision,
        publications.c.number.is_not(None),
        or_(runs.c.outcome == Outcome.PUBLISHED, publications.c.opened_at >= campaign.created_at),
    )


def _not_rejected() -> ColumnElement[bool]:
    """Closed, and not because people would not have it: the bot took it back, its base is done, or its repository is lost."""
    by_no_person = or_(publications.c.closed_by.in_((OWN, NOBODY)), publications.c.done != "")
    return and_(publications.c.state == "closed", by_no_person)


def _is_target() -> ColumnElement[bool]:
    """Not one that the plan skipped."""
    return or_(runs.c.state != RunState.ENDED, runs.c.outcome != Outcome.SKIPPED, runs.c.attempts > 0)


def _not_begun(open_wave: int) -> ColumnElement[bool]:
    return or_(runs.c.wave == 0, runs.c.wave > open_wave)


def _sum(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.sum(case((condition, 1), else_=0))


def _is(campaign_id: str, number: int) -> ColumnElement[bool]:
    return and_(waves.c.campaign_id == campaign_id, waves.c.number == number)


def _move(tx: Connection, ids: Sequence[str], **values: Any) -> None:
    for start in range(0, len(ids), AT_ONCE):
        tx.execute(update(runs).where(runs.c.id.in_(ids[start : start + AT_ONCE])).values(values))


def _open(tx: Connection, campaign_id: str, number: int, actor: str, now: datetime) -> None:
    undecided = {"decided_at": None, "decided_by": "", "reason": "", "verdict": "", "waived": False}
    row = {"campaign_id": campaign_id, "number": number, "state": WaveState.OPEN, "opened_at": now, "opened_by": actor}
    tx.execute(insert(waves).values(row | undecided))


def _decide(
    tx: Connection, campaign: Campaign, state: WaveState, actor: str, reason: str, verdict: Verdict, now: datetime
) -> None:
    values = {
        "state": state,
        "decided_at": now,
        "decided_by": actor,
        "reason": reason,
        "verdict": json.dumps(verdict.to_json()),
    }
    tx.execute(update(waves).where(_is(campaign.id, campaign.open_wave)).values(values))


def _wave(row: Row[tuple[Any, ...]]) -> Wave:
    return Wave(
        campaign_id=row.campaign_id,
        number=row.number,
        state=WaveState(row.state),
        opened_at=row.opened_at,
        opened_by=row.opened_by,
        decided_at=row.decided_at,
        decided_by=row.decided_by,
        reason=row.reason,
        verdict=json.loads(row.verdict) if row.verdict else None,
        waived=row.waived,
    )
