"""A new repository of an org: the policies that say so are planned for it alone, and start or join a campaign."""

from __future__ import annotations

import glob
import hashlib

from bot.campaigns.activation import activate_within
from bot.campaigns.planning import make_plan
from bot.domain.events import Pushed, RepositoryChanged
from bot.domain.org_policies import OrgPolicy
from bot.errors import QuotaRefused, UsageError
from bot.policy_store import Chosen
from bot.services import Services
from bot.store import effects

ACTOR = "repository_created"
NOTHING = "0"
"""What a branch was before its first commit is nothing but these."""


def has_arrived(event: RepositoryChanged | Pushed) -> bool:
    """Is it about a new repository, or about the first commit of one? Many are made without any."""
    if isinstance(event, RepositoryChanged):
        return event.what == "created"
    return not event.before.strip(NOTHING)


def arrived(services: Services, org: OrgPolicy, name: str) -> str:
    """Start what a new repository starts; return why nothing was, or an empty text. It may be repeated.

    Raises HostError, and UsageError or QuotaRefused for the first policy that could not be started, once the others were.
    """
    catalogue = services.catalogue()
    now = catalogue.policies.orgs.get(org.org, org)
    wanted = [policy.name for policy in catalogue.listed(now) if policy.on.repository_created]
    reasons, refusals = [], []
    for policy in wanted:
        try:
            reasons.append(_start(services, catalogue.choose(policy, org.org), name))
        except (UsageError, QuotaRefused) as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]
    return "; ".join(filter(None, reasons)) if all(reasons) else ""


def _start(services: Services, chosen: Chosen, name: str) -> str:
    plan = make_plan(
        services, chosen.org, chosen.policy, chosen.templates, chosen.revision, only=[glob.escape(name)], source=chosen.source
    )
    if not plan.entries:
        return f"{chosen.policy.name}: {name} is not there any more"
    if not plan.targets:
        return f"{chosen.policy.name}: {plan.entries[0].skip_reason}"
    target = plan.targets[0].target
    seed = f"{chosen.policy.name}\0{target.repository}\0{target.head}"
    with services.database.transaction() as tx:
        # By its commit: a host may tell of the repository, and of its first push.
        key = f"arrived:{hashlib.sha256(seed.encode()).hexdigest()}"
        if effects.do_once(tx, chosen.org.org, key, services.clock.now()):
            activate_within(tx, services, plan, chosen.policy, chosen.org, actor=ACTOR, alone=True)
    return ""
