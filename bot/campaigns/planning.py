"""The plan: an immutable list of targets and skips, and what they may cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection

from bot.campaigns.discovery import NOTHING, Earlier, discover
from bot.domain.money import MicroUsd, decimal_usd
from bot.domain.policies import CampaignPolicy, OrgPolicy
from bot.domain.repositories import Repository
from bot.services import Services
from bot.store import campaigns, publications, records, reports
from bot.store.campaigns import Plan, PlanEntry
from bot.tracking.pull_requests import refresh_publications


def make_plan(
    services: Services,
    org: OrgPolicy,
    policy: CampaignPolicy,
    templates: Mapping[str, str],
    revision: str,
    *,
    only: Sequence[str] = (),
    anew: bool = False,
    seen: Callable[[Repository], None] = lambda _: None,
) -> Plan:
    """Discover, estimate, and store. Nothing is changed anywhere but in the database.

    With `anew` a repository is a target whatever became of earlier attempts (for a preview).
    """
    host = services.host(org)
    refresh_publications(services, host, org.org, policy.name)
    earlier = NOTHING if anew else _earlier(services, org.org, policy.name, revision)
    entries = discover(host, org, policy, revision=revision, only=only, earlier=earlier, seen=seen)
    with services.database.transaction() as tx:
        plan = Plan(campaigns.new_id("p"), org.org, policy.name, revision, tuple(entries), _estimate(tx, org, policy, entries))
        campaigns.save_revision(tx, revision, policy, templates, services.clock.now())
        campaigns.save_plan(tx, plan, services.clock.now())
    return plan


def _earlier(services: Services, org: str, policy: str, revision: str) -> Earlier:
    with services.database.reading() as tx:
        published = {publication.change: publication for publication in publications.of_policy(tx, org, policy)}
        return Earlier(published, records.rejections(tx, org, policy, revision))


def _estimate(tx: Connection, org: OrgPolicy, policy: CampaignPolicy, entries: Sequence[PlanEntry]) -> dict[str, str]:
    """From what attempts of this policy have cost on this org; without any, from the attempt's budget."""
    targets = sum(entry.skip_reason is None for entry in entries)
    if not policy.uses_model:
        return {
            "usd_expected": decimal_usd(MicroUsd(0)),
            "usd_at_most": decimal_usd(MicroUsd(0)),
            "basis": "no step asks a model",
        }
    at_most = min(targets * policy.budget.attempt, policy.budget.campaign)
    history = reports.cost_history(tx, org.org, policy.name)
    if history.runs == 0:
        expected, basis = at_most, "the attempt budget: this policy has no history here"
    else:
        expected = min(at_most, targets * history.cost // history.runs)
        basis = f"the average of {history.runs} earlier run{'s' if history.runs > 1 else ''}"
    return {"usd_expected": decimal_usd(MicroUsd(expected)), "usd_at_most": decimal_usd(MicroUsd(at_most)), "basis": basis}
