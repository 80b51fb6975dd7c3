"""Who may start a campaign, or direct its pull requests: asked of the host, held against the org policy's `may_trigger`."""

from __future__ import annotations

import logging

from bot.domain.org_policies import OrgPolicy
from bot.domain.repositories import Repository
from bot.errors import NotFound, UsageError
from bot.ports import Conversation, Host, KnowsTeams

log = logging.getLogger(__name__)

RANKS = ("none", "read", "write", "admin")


def require_permission(host: Host, org: OrgPolicy, actor: str) -> None:
    """May they start a campaign on the whole org? Raises UsageError, naming what is missing."""
    if not _is_named(org, actor):
        _require(host, org, actor, host.permission(org.org, actor), org.org)


def require_permission_on(conversation: Conversation, org: OrgPolicy, repository: Repository, actor: str) -> None:
    """May they have the bot work on this one repository? Raises UsageError, naming what is missing."""
    if not _is_named(org, actor):
        _require(conversation, org, actor, conversation.permission_on(repository, actor), repository.full_name)


def require_write_on(conversation: Conversation, repository: Repository, actor: str) -> None:
    """May they have the bot leave this repository alone, or take it up again? Whoever may write to it may."""
    has = conversation.permission_on(repository, actor)
    if RANKS.index(has) < RANKS.index("write"):
        raise UsageError(
            f"{actor} has the permission `{has}` on {repository.full_name}, `write` is needed to turn the bot off or on"
        )


def _is_named(org: OrgPolicy, actor: str) -> bool:
    """Hosts tell no logins apart by their case."""
    return actor.casefold() in (user.casefold() for user in org.may_trigger.users)


def _require(host: object, org: OrgPolicy, actor: str, has: str, place: str) -> None:
    needed, teams = org.may_trigger.permission, org.may_trigger.teams
    if RANKS.index(has) >= RANKS.index(needed) or any(_is_in(host, org, team, actor) for team in teams):
        return
    neither = f", and {actor} is in no team of {', '.join(teams)}" if teams else ""
    raise UsageError(
        f"{actor} has the permission `{has}` on {place}, `{needed}` is needed to start a campaign{neither}",
        mend=f"may_trigger in policies/orgs/{org.org}.yaml says who may",
    )


def _is_in(host: object, org: OrgPolicy, team: str, actor: str) -> bool:
    """A team that is not there (any more) admits nobody, and keeps nobody out."""
    if not isinstance(host, KnowsTeams):
        return False
    try:
        return host.is_in_team(org.org, team, actor)
    except NotFound as error:
        log.warning("may_trigger of %s: %s", org.org, error.explanation)
        return False
