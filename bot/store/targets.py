"""The pull requests of a campaign's targets: those that its runs opened, and those that were open, or adopted, before."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from bot.domain.pull_requests import ChecksState, ReviewState
from bot.domain.states import RunState
from bot.store.publications import Publication, publication_of, same_change
from bot.store.schema import campaigns, publications, runs


def pull_requests_of(tx: Connection, campaign_id: str) -> list[Publication]:
    """In the plan's order; intents are none."""
    found = tx.execute(
        select(publications, runs.c.position)
        .select_from(_of(campaign_id))
        .where(publications.c.number.is_not(None), publications.c.state != "intent")
        .order_by(runs.c.position)
    )
    return [publication_of(row) for row in found]


def counts(tx: Connection, campaign_id: str) -> dict[str, int]:
    """How many are open, merged, closed; and of the open ones, what stands in their way."""
    state, is_open = publications.c.state, publications.c.state == "open"
    wanted: dict[str, ColumnElement[bool]] = {
        "open": is_open,
        "merged": state == "merged",
        "closed": and_(state == "closed", publications.c.number.is_not(None)),
        "checks_failed": and_(is_open, publications.c.ci == ChecksState.FAILED),
        "changes_requested": and_(is_open, publications.c.review == ReviewState.CHANGES_REQUESTED),
        "approved": and_(is_open, publications.c.review == ReviewState.APPROVED),
        "conflicts": and_(is_open, publications.c.conflicts.is_(True)),
        "edited": publications.c.edited > 0,
        "frozen": and_(is_open, publications.c.frozen != ""),
        "adopted": publications.c.adopted.is_(True),
    }
    columns = [func.sum(case((condition, 1), else_=0)).label(name) for name, condition in wanted.items()]
    found = tx.execute(select(*columns).select_from(_of(campaign_id))).one()
    return {name: int(found._mapping[name] or 0) for name in wanted}


def is_finished(tx: Connection, campaign_id: str) -> bool:
    """Has every target its end: is no run left, and no pull request open?"""
    unfinished = select(runs.c.id).where(runs.c.campaign_id == campaign_id, runs.c.state != RunState.ENDED)
    waiting = select(publications.c.id).select_from(_of(campaign_id)).where(publications.c.state.in_(("open", "intent")))
    return not any(tx.execute(left.limit(1)).first() for left in (unfinished, waiting))


def _of(campaign_id: str) -> Any:
    """Each change is a target of a campaign once. A preview's targets have none: it publishes nothing."""
    of_it = and_(runs.c.campaign_id == campaign_id, campaigns.c.preview.is_(False))
    return runs.join(campaigns, campaigns.c.id == runs.c.campaign_id).join(publications, and_(same_change(), of_it))
