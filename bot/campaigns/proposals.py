"""Proposals: a pull request that changes an org's own policies is told what that would come to, before anybody merges it.

A proposed policy is parsed and planned. Nothing of it is kept, rendered or run: who can open a pull request can do no more by
it than have repositories listed and their files looked for.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bot.campaigns import sources
from bot.campaigns.discovery import listing
from bot.campaigns.planning import foresee
from bot.campaigns.sources import Fetched, report_of
from bot.domain.markdown import fenced
from bot.domain.org_policies import OrgPolicy
from bot.domain.policies import CampaignPolicy
from bot.domain.policy_sources import Sourced, changed
from bot.domain.pull_requests import Thread
from bot.domain.repositories import Repository
from bot.errors import HostError, PolicyError, WhimbrelError
from bot.git import merge_base
from bot.policy_store import Catalogue
from bot.services import Services
from bot.store import tellings
from bot.store.tellings import Telling

MARKER = "<!-- whimbrel policies -->"
LEASE = timedelta(minutes=15)
"""For so long nobody else plans what a process has taken."""
PLANNED_AT_MOST = 10
"""Policies of one proposal: each is a look through the whole org."""
NAMED_AT_MOST = 50

log = logging.getLogger(__name__)


def tell_proposals(services: Services) -> int:
    """Plan and tell what was proposed; return on how many pull requests."""
    catalogue = services.catalogue()
    orgs = {org.org: org for org in catalogue.policies.orgs.values() if org.policies_from}
    with services.database.reading() as tx:
        waiting = tellings.waiting(tx, "proposal", orgs, services.clock.now())
    return sum(_tell(services, catalogue, orgs[telling.org], telling) for telling in waiting)


def _tell(services: Services, catalogue: Catalogue, org: OrgPolicy, telling: Telling) -> bool:
    with services.database.transaction() as tx:
        if not tellings.take(tx, telling, services.clock.now() + LEASE):
            return False
    said = telling.data["said"]
    try:
        said = _Proposal(services, catalogue, org, telling).tell() or said
    except WhimbrelError as error:
        log.warning("the proposal #%s of %s is not told: %s", telling.data["number"], org.org, error.explanation)
        if not isinstance(error, HostError) or error.retryable:  # when the lease is over
            return False
    with services.database.transaction() as tx:
        tellings.told(tx, telling, services.clock.now(), done=True, said=said)
    return True


@dataclass(frozen=True, slots=True)
class _Proposal:
    services: Services
    catalogue: Catalogue
    org: OrgPolicy
    telling: Telling

    def tell(self) -> bool:
        """By one comment, edited with each push, and a check on the commit; False where there is nothing to tell."""
        fetched = sources.fetch(self.services, self.org, self.telling.data["branch"])
        head = fetched.heads[self.telling.data["branch"]]
        if head is None:
            return False
        problem, rows = "", []
        try:
            after, files = sources.read(self.catalogue, self.org, fetched.mirror, head)
        except PolicyError as error:
            problem = error.explanation
        else:
            before, old_files = self._before(fetched, head)
            if files == old_files and not self.telling.data["said"]:
                return False
            rows = list(self._rows(before, after))
        conversation, number = self.services.conversation(self.org), self.telling.data["number"]
        shown = {"problem": fenced(problem) if problem else "", "rows": rows, "head": head, "org": self.org.org}
        body = self.services.replies().render("comments/proposal.md.j2", shown)
        conversation.tell(fetched.repository, Thread(number, "pull_request"), body, marker=MARKER)
        report = report_of(problem, "It would be refused.", "They would be in use when this is merged.")
        conversation.report_check(fetched.repository, head, report)
        return True

    def _before(self, fetched: Fetched, head: str) -> tuple[Sourced, dict[str, str]]:
        """What the proposal started from; nothing, where that cannot be used."""
        base = merge_base(fetched.mirror, fetched.commit, head)
        try:
            return sources.read(self.catalogue, self.org, fetched.mirror, base) if base else (Sourced(""), {})
        except PolicyError:
            return Sourced(""), {}

    def _rows(self, before: Sourced, after: Sourced) -> Iterator[dict[str, Any]]:
        planned, listed = 0, self._listed() if changed(before, after) else []
        for name in changed(before, after):
            row: dict[str, Any] = {
                "name": name,
                "what": "changed" if name in before.campaigns else "new",
                "plan": None,
                "why": "",
            }
            if name not in self.org.campaigns:
                row["why"] = "the operator does not list it, so it would not run"
            elif planned >= PLANNED_AT_MOST:
                row["why"] = f"not planned: these are the first {PLANNED_AT_MOST}"
            else:
                planned += 1
                row["plan"] = self._plan(after.campaigns[name], after.revision(name), listed)
            yield row
        for name, policy in after.campaigns.items():
            if name in before.campaigns and policy.on != before.campaigns[name].on:
                yield {"name": name, "what": "started otherwise", "plan": None, "why": _triggers(policy)}
        for name in before.campaigns.keys() - after.campaigns.keys():
            yield {"name": name, "what": "removed", "plan": None, "why": "it would not run any more"}

    def _listed(self) -> list[Repository]:
        return list(listing(self.services.host(self.org), self.org.org, ()))

    def _plan(self, policy: CampaignPolicy, revision: str, listed: Sequence[Repository]) -> dict[str, Any]:
        """For the template: how many, and which, where everybody who reads it may know."""
        plan = foresee(self.services, self.org, policy, revision, listed)
        place = next((each for each in listed if each.name == self.org.policies_repository), None)
        private = place is not None and place.visibility != "public"
        skips = Counter(entry.skip_reason for entry in plan.entries if entry.skip_reason is not None)
        return {
            "targets": len(plan.targets),
            "skipped": len(plan.entries) - len(plan.targets),
            "names": [str(entry.target) for entry in plan.targets[:NAMED_AT_MOST]] if private else [],
            "skips": skips.most_common(NAMED_AT_MOST) if private else [],
            "estimate": plan.estimate,
            "uses_model": policy.uses_model,
        }


def _triggers(policy: CampaignPolicy) -> str:
    said = policy.on.model_dump(exclude_defaults=True)
    return ", ".join(f"{key}: {value}" for key, value in said.items()) or "by the operator alone"
