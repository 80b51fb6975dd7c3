"""Which pending runs may begin: one query, that holds every cap at once.

A campaign's own rules come first (its state, wave, windows and limits), then its org's: what a campaign holds back takes the
place of nobody else's.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import CTE, ColumnElement, Connection, Select, and_, func, or_, select

from bot.domain.rollout import Rollout
from bot.domain.states import CampaignState, RunState
from bot.domain.windows import is_open, next_opening
from bot.errors import HeldBack
from bot.store.publications import HOUR, same_change, takes_a_place
from bot.store.schema import campaigns, publications, runs

BUSY = (RunState.DISPATCHED, RunState.RUNNING)


def admitted(tx: Connection, now: datetime) -> Select[Any]:
    """Pending run ids that every cap admits, a run an org in turn, and within an org a run a campaign in turn."""
    pending = _of_campaigns(now, list(outside_windows(tx, now)))
    busy, opened, recent = _taken(now)
    under_way = pending.c.place + func.coalesce(busy.c.n, 0)
    room_for_one_more = and_(
        under_way + func.coalesce(opened.c.n, 0) <= campaigns.c.open_ceiling,
        under_way + func.coalesce(recent.c.n, 0) <= campaigns.c.hourly_ceiling,
    )
    return (
        select(pending.c.id)
        .join(campaigns, campaigns.c.id == pending.c.campaign_id)
        .outerjoin(busy, busy.c.org == pending.c.org)
        .outerjoin(opened, opened.c.org == pending.c.org)
        .outerjoin(recent, recent.c.org == pending.c.org)
        .where(under_way <= campaigns.c.concurrent_runs, or_(~pending.c.needs_place, room_for_one_more))
        # Equals draw lots: in any fixed order, one org could wait for ever.
        .order_by(under_way, func.random())
    )


def outside_windows(tx: Connection, now: datetime) -> dict[str, datetime]:
    """The running campaigns that may publish nothing now, and until when."""
    found = tx.execute(
        select(campaigns.c.id, campaigns.c.rollout, campaigns.c.org_policy).where(
            campaigns.c.state == CampaignState.RUNNING, campaigns.c.windowed
        )
    )
    closed = {}
    for row in found:
        windows, zone = Rollout.model_validate_json(row.rollout).openings, json.loads(row.org_policy)["timezone"]
        if not is_open(windows, now, zone):
            closed[row.id] = next_opening(windows, now, zone)
    return closed


def require_admitted(tx: Connection, run_id: str, now: datetime) -> Rollout:
    """What the pump has asked, once more before something is published: the campaign may have been halted meanwhile, or its
    window be over. Returns its rollout as it is now. Raises HeldBack, with the reason and until when."""
    row = tx.execute(
        select(campaigns.c.state, campaigns.c.rollout, campaigns.c.org_policy, campaigns.c.open_wave, runs.c.wave)
        .join(campaigns, campaigns.c.id == runs.c.campaign_id)
        .where(runs.c.id == run_id)
    ).one()
    rollout = Rollout.model_validate_json(row.rollout)
    if row.state == CampaignState.HALTED:
        raise HeldBack("the campaign was halted meanwhile", retry_after=60)
    if row.wave > row.open_wave:
        raise HeldBack(f"it begins with wave {row.wave}, and wave {row.open_wave} is open", retry_after=60)
    zone = json.loads(row.org_policy)["timezone"]
    opening = next_opening(rollout.openings, now, zone)
    if opening > now:
        raise HeldBack(until(opening, zone), retry_after=(opening - now).total_seconds())
    return rollout


def until(opening: datetime, zone: str) -> str:
    """Why nothing is published outside the windows."""
    return f"outside the windows of its rollout: waiting until {opening.astimezone(ZoneInfo(zone)):%a %Y-%m-%d %H:%M} {zone}"


def _of_campaigns(now: datetime, closed: list[str]) -> CTE:
    """What each campaign admits, with its `place` in its org: those that a person asked for first, then a campaign in turn."""
    own = _of_one_campaign(now, closed)
    busy, opened, recent = _taken(now, by_policy=True)
    under_way = own.c.turn + func.coalesce(busy.c.n, 0)
    within = and_(
        or_(own.c.max_open.is_(None), under_way + func.coalesce(opened.c.n, 0) <= own.c.max_open),
        or_(own.c.per_hour.is_(None), under_way + func.coalesce(recent.c.n, 0) <= own.c.per_hour),
    )
    order = (own.c.by_hand.desc(), own.c.needs_place, under_way, own.c.created_at, own.c.turn)
    return (
        select(
            own.c.id, own.c.org, own.c.campaign_id, own.c.needs_place,
            func.row_number().over(partition_by=own.c.org, order_by=order).label("place"),
        )
        .outerjoin(busy, and_(busy.c.org == own.c.org, busy.c.policy == own.c.policy))
        .outerjoin(opened, and_(opened.c.org == own.c.org, opened.c.policy == own.c.policy))
        .outerjoin(recent, and_(recent.c.org == own.c.org, recent.c.policy == own.c.policy))
        .where(or_(~own.c.needs_place, within))
        .cte("pending")
    )  # fmt: skip


def _of_one_campaign(now: datetime, closed: list[str]) -> CTE:
    """What may begin by its campaign's state, wave and windows, with its `turn`.

    Those that need no place of their own come first: else they would wait behind what a ceiling holds back. Those that have
    failed come after those that have not: they hold up nobody.
    """
    needs_place = and_(publications.c.id.is_(None), campaigns.c.publishes)
    failures = runs.c.losses + runs.c.setbacks + runs.c.tries
    order = (runs.c.by_hand.desc(), needs_place, failures, runs.c.position)
    return (
        select(
            runs.c.id, runs.c.org, runs.c.by_hand, runs.c.campaign_id, needs_place.label("needs_place"),
            campaigns.c.policy, campaigns.c.created_at, campaigns.c.max_open, campaigns.c.per_hour,
            func.row_number().over(partition_by=runs.c.campaign_id, order_by=order).label("turn"),
        )
        .join(campaigns, campaigns.c.id == runs.c.campaign_id)
        .outerjoin(publications, and_(same_change(), takes_a_place()))
        .where(
            runs.c.state == RunState.PENDING,
            campaigns.c.state == CampaignState.RUNNING,
            campaigns.c.preview.is_(False),
            campaigns.c.id.not_in(closed),
            runs.c.wave <= campaigns.c.open_wave,
            or_(runs.c.not_before.is_(None), runs.c.not_before <= now),
        )
        .cte("own")
    )  # fmt: skip


def _taken(now: datetime, *, by_policy: bool = False) -> tuple[CTE, CTE, CTE]:
    """How many places are taken in each org: runs under way, pull requests that are open, and those of the last hour."""
    suffix = "_of_policy" if by_policy else ""
    return (
        _runs_under_way(by_policy=by_policy).cte(f"busy{suffix}"),
        _pull_requests(takes_a_place(), by_policy=by_policy).cte(f"opened{suffix}"),
        _pull_requests(publications.c.opened_at > now - HOUR, by_policy=by_policy).cte(f"recent{suffix}"),
    )


def _runs_under_way(*, by_policy: bool) -> Select[Any]:
    names = [runs.c.org.label("org"), *([campaigns.c.policy.label("policy")] if by_policy else [])]
    counted = select(*names, func.count().label("n")).where(runs.c.state.in_(BUSY)).group_by(*names)
    return counted.join_from(runs, campaigns, campaigns.c.id == runs.c.campaign_id) if by_policy else counted


def _pull_requests(condition: ColumnElement[bool], *, by_policy: bool) -> Select[Any]:
    names = [publications.c.org.label("org"), *([publications.c.policy.label("policy")] if by_policy else [])]
    return select(*names, func.count().label("n")).where(condition).group_by(*names)
