"""Who may start a campaign: asked of the host, held against the org policy's `may_trigger`."""

from __future__ import annotations

from bot.domain.policies import OrgPolicy
from bot.errors import UsageError
from bot.ports import Host

RANKS = ("none", "read", "write", "admin")


def require_permission(host: Host, org: OrgPolicy, actor: str) -> None:
    """Raises UsageError, naming what is missing."""
    allowed = org.may_trigger
    if actor in allowed.users:
        return
    has = host.permission(org.org, actor)
    if RANKS.index(has) < RANKS.index(allowed.permission):
        raise UsageError(
            f"{actor} has the permission `{has}` on {org.org}, `{allowed.permission}` is needed to start a campaign",
            mend=f"may_trigger in policies/orgs/{org.org}.yaml says who may",
        )
