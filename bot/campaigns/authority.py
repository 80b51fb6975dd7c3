"""Who may start a campaign, or direct its pull requests: asked of the host, held against the org policy's `may_trigger`."""

from __future__ import annotations

from bot.domain.org_policies import OrgPolicy
from bot.domain.repositories import Repository
from bot.errors import UsageError
from bot.ports import Conversation, Host

RANKS = ("none", "read", "write", "admin")


def require_permission(host: Host, org: OrgPolicy, actor: str) -> None:
    """May they start a campaign on the whole org? Raises UsageError, naming what is missing."""
    if not _is_named(org, actor):
        _require(org, actor, host.permission(org.org, actor), org.org)


def require_permission_on(conversation: Conversation, org: OrgPolicy, repository: Repository, actor: str) -> None:
    """May they have the bot work on this one repository? Raises UsageError, naming what is missing."""
    if not _is_named(org, actor):
        _require(org, actor, conversation.permission_on(repository, actor), repository.full_name)


def _is_named(org: OrgPolicy, actor: str) -> bool:
    """Hosts tell no logins apart by their case."""
    return actor.casefold() in (user.casefold() for user in org.may_trigger.users)


def _require(org: OrgPolicy, actor: str, has: str, place: str) -> None:
    needed = org.may_trigger.permission
    if RANKS.index(has) < RANKS.index(needed):
        raise UsageError(
            f"{actor} has the permission `{has}` on {place}, `{needed}` is needed to start a campaign",
            mend=f"may_trigger in policies/orgs/{org.org}.yaml says who may",
        )
