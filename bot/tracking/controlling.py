"""Control issues: one a campaign, in the repository that the org policy names, with how it goes and the boxes that direct it.

The issue is an intent in SQL until the campaign has come to its end, and its text is made of what SQL says at that moment. What
a tick asks for is done by `bot.campaigns.ticking`; here, the box is open again, and what came of it is told.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from bot.domain.boxes import Act, Box, control_marker
from bot.domain.markdown import neutral
from bot.domain.org_policies import OrgPolicy
from bot.domain.repositories import Repository
from bot.domain.states import CampaignState, Outcome
from bot.errors import HostError
from bot.ports import KeepsIssues
from bot.services import Services
from bot.store import campaigns, reports, runs, tellings
from bot.store.campaigns import Campaign
from bot.store.tellings import Telling
from bot.tracking import waiting
from bot.tracking.renames import followed
from bot.tracking.waves import standing

EVERY = timedelta(seconds=30)
"""A host is written to no more often for what happens by itself; what came of a tick is told at once."""
SKIPS_SHOWN = 30
FAILED = (Outcome.FAILED, Outcome.BUDGET_EXHAUSTED)

log = logging.getLogger(__name__)


def tell_control(services: Services, orgs: Sequence[OrgPolicy]) -> int:
    """Open what is missing and write what has changed; return how many issues were written."""
    directed = {org.org: org for org in orgs if org.control_repository}
    for org in directed.values():
        _intend(services, org)
    with services.database.reading() as tx:
        due = tellings.waiting(tx, "control", directed, services.clock.now())
    return sum(_tell(services, directed[telling.org], telling) for telling in due)


def _intend(services: Services, org: OrgPolicy) -> None:
    """Those that were started without one, or are taken up again, have one from now on."""
    with services.database.reading() as tx:
        fresh = [each.id for each in campaigns.under_way(tx, org.org) if not tellings.is_told(tx, org.org, each.id)]
    for campaign_id in fresh:
        with services.database.transaction() as tx:
            tellings.intend_control(tx, org.org, campaign_id, org.control_repository, services.clock.now())


def _tell(services: Services, org: OrgPolicy, telling: Telling) -> bool:
    """Take it, write it, note it as written. False where another process has it, nothing has changed, or the host is away."""
    with services.database.transaction() as tx:
        if not tellings.take(tx, telling, services.clock.now() + EVERY):
            return False
    try:
        return _write(services, org, telling)
    except HostError as failure:
        error = followed(services, org.org, failure)
        log.warning("the control issue of %s on %s is not written: %s", telling.data["campaign"], org.org, error.explanation)
        return False


def _write(services: Services, org: OrgPolicy, telling: Telling) -> bool:
    keeper = services.conversation(org)
    if not isinstance(keeper, KeepsIssues):
        return False
    place = services.host(org).repository(org.org, telling.data["repository"])
    with services.database.reading() as tx:
        campaign = campaigns.get(tx, telling.data["campaign"])
        facts = _facts(tx, services, campaign, named=place.visibility != "public")
    about = facts | {"answers": list(telling.data["answers"].values()), "boxes": list(_boxes(facts))}
    marker = control_marker(campaign.id)
    body = f"{services.replies().render('comments/control.md.j2', about)}\n{marker}\n"
    digest, finished = hashlib.sha256(body.encode()).hexdigest(), bool(facts["finished"])
    if digest == telling.data["told"] and not finished:
        return False
    number = telling.data["number"] or _open(keeper, place, campaign, body, marker)
    keeper.write_issue(place, number, body, closing=finished)
    with services.database.transaction() as tx:
        tellings.told(tx, telling, services.clock.now() + EVERY, done=finished, number=number, told=digest)
    return True


def _open(keeper: KeepsIssues, place: Repository, campaign: Campaign, body: str, marker: str) -> int:
    """A day more, for clocks that differ."""
    title = f"Whimbrel: {campaign.policy.name} ({campaign.id})"
    return keeper.open_issue(place, title, body, marker=marker, since=campaign.created_at - timedelta(days=1))


def _facts(tx: Connection, services: Services, campaign: Campaign, *, named: bool) -> dict[str, Any]:
    """What the template sees, and the boxes are made of. Other repositories are named only where everybody may know of them."""
    now, status = services.clock.now(), reports.campaign_status(tx, campaign)
    wave = standing(tx, campaign, now)
    pending = runs.waiting_repositories(tx, campaign.id, SKIPS_SHOWN + 1) if named else []
    return {
        **status,
        "description": neutral(campaign.policy.description),
        "failed": sum(status["outcomes"].get(outcome, 0) for outcome in FAILED),
        "ended": sum(status["outcomes"].values()),
        "waiting": neutral(waiting.why_waiting(tx, campaign, now)) if named else "",
        "waves": waiting.describe(tx, campaign, now),
        "upcoming": wave.upcoming if wave is not None else None,
        "pending": pending[:SKIPS_SHOWN],
        "more": len(pending) > SKIPS_SHOWN,
        "named": named,
    }


def _boxes(facts: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Those that can have an effect as the campaign stands, each with what ticking it does."""
    state, opened = facts["state"], facts["pull_requests"]["open"]
    ended = state in (CampaignState.COMPLETED, CampaignState.CANCELLED)
    if state == CampaignState.RUNNING and facts["upcoming"] is not None:
        yield _shown(Box(Act.APPROVE, str(facts["upcoming"])), f"begin wave {facts['upcoming']} now, whatever its gate says")
    if state == CampaignState.RUNNING:
        yield _shown(Box(Act.PAUSE), "pause: nothing more begins, and what is under way is handed back")
    elif not ended:
        yield _shown(Box(Act.RESUME), "go on" + (", past the gate that halted it" if state == CampaignState.HALTED else ""))
    if facts["failed"] and state not in (CampaignState.HALTED, CampaignState.CANCELLED):
        yield _shown(Box(Act.RETRY), f"retry what failed ({facts['failed']})")
    for name in [] if ended else facts["pending"]:
        yield _shown(Box(Act.SKIP, name), f"skip {neutral(name)}")
    if opened or not ended:
        pull_requests = f"close the bot's open pull requests ({opened})"
        yield _shown(Box(Act.CLOSE), pull_requests if ended else f"cancel the campaign, and {pull_requests}")


def _shown(box: Box, words: str) -> dict[str, str]:
    return {"words": words, "marker": box.marker}
