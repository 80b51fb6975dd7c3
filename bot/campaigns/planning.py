"""The plan: an immutable list of targets and skips, and what they may cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from bot.campaigns.discovery import Earlier, discover, listing
from bot.campaigns.estimating import estimate
from bot.domain.org_policies import OrgPolicy
from bot.domain.policies import CampaignPolicy
from bot.domain.repositories import Repository
from bot.domain.rollout import Rollout, arrange
from bot.services import Services
from bot.store import campaigns, looked, opt_outs, publications, records
from bot.store.campaigns import Plan, PlanEntry
from bot.store.quarantine import quarantined
from bot.tracking.pull_requests import refresh_publications
from bot.tracking.renames import follow_listed

Counts = Literal["all", "published", "nothing"]
"""What counts of earlier attempts: all that they came to; only the pull requests that they opened; nothing, for a preview."""


def make_plan(
    services: Services,
    org: OrgPolicy,
    policy: CampaignPolicy,
    templates: Mapping[str, str],
    revision: str,
    *,
    only: Sequence[str] = (),
    earlier: Counts = "all",
    source: str = "",
    seen: Callable[[Repository], None] = lambda _: None,
) -> Plan:
    """Discover, estimate, and store. Nothing is changed anywhere but in the database."""
    host = services.host(org)
    listed = list(listing(host, org.org, only))
    follow_listed(services, org.org, listed)
    refresh_publications(services, host, org.org, policy.name, only)
    known = _earlier(services, org, policy.name, revision, earlier)
    found = discover(host, org, policy, listed, revision=revision, earlier=known, seen=seen)
    entries = _in_order(found, policy.rollout)
    with services.database.transaction() as tx:
        expected = estimate(tx, org, policy, sum(entry.skip_reason is None for entry in entries))
        plan = Plan(campaigns.new_id("p"), org.org, policy.name, revision, tuple(entries), expected.to_json(), source)
        campaigns.save_revision(tx, revision, policy, templates, services.clock.now())
        campaigns.save_plan(tx, plan, services.clock.now())
    return plan


def foresee(services: Services, org: OrgPolicy, policy: CampaignPolicy, revision: str, listed: Sequence[Repository]) -> Plan:
    """The plan of what is only proposed: nothing of it is kept, and nothing of it is run."""
    known = _earlier(services, org, policy.name, revision, "all")
    entries = discover(services.host(org), org, policy, listed, revision=revision, earlier=known)
    with services.database.reading() as tx:
        expected = estimate(tx, org, policy, sum(entry.skip_reason is None for entry in entries))
    return Plan("", org.org, policy.name, revision, tuple(entries), expected.to_json())


def _in_order(entries: Sequence[PlanEntry], rollout: Rollout) -> list[PlanEntry]:
    """As the rollout has them begun."""
    sizes = {entry.target.repository: entry.repository.size_kb for entry in entries}
    place = {name: number for number, name in enumerate(arrange(list(sizes), sizes, rollout))}
    return sorted(entries, key=lambda entry: place[entry.target.repository])


def _earlier(services: Services, org: OrgPolicy, policy: str, revision: str, counts: Counts) -> Earlier:
    """That people have the bot leave a repository alone counts in any case."""
    with services.database.reading() as tx:
        left_alone = opt_outs.of_org(tx, org.org)
        if counts == "nothing":
            return Earlier(left_alone=left_alone)
        published = {publication.change: publication for publication in publications.of_policy(tx, org.org, policy)}
        if counts == "published":
            return Earlier(published, left_alone=left_alone)
        return Earlier(
            published=published,
            rejected=records.rejections(tx, org.org, policy, revision),
            looked=looked.of_policy(tx, org.org, policy),
            quarantined=quarantined(tx, org.org, policy, revision, allowed=org.ceilings.failures_in_a_row),
            left_alone=left_alone,
        )
