"""What doctor checks of GitLab, for the groups that the org policies name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import urlsplit

from bot.config import Settings
from bot.domain.org_policies import OrgPolicy
from bot.errors import ConfigurationError, HostError
from bot.hosts.gitlab_credentials import GITLAB, GitLabAccess, load, webhook_signers
from bot.hosts.gitlab_hooks import SIGNS_SINCE, GroupHooks, Hook, NotAllowed
from bot.hosts.gitlab_setup import DEVELOPER, SCOPES, account, full_path, role, role_name, version
from bot.hosts.gitlab_transport import Client
from bot.hosts.gitlab_upkeep import GitLabDeliveries
from bot.hosts.webhooks import SIGNING_TOKEN

Check = Callable[[], str]
"""What it found, in words; raises WhimbrelError, with the mend, for what is wrong."""

RECENT = timedelta(hours=24)
ENDS_SOON = "whimbrel setup gitlab --group {group} --token-file FILE takes a new one; so does WHIMBREL_GITLAB_TOKEN"


def checks(settings: Settings, org: OrgPolicy) -> Iterator[tuple[str, Check]]:
    """Each check of a group with its subject. Raises ConfigurationError where there is no way to ask anything."""
    name, access = urlsplit(org.host_url).netloc, load(settings.home, org.host_url, org.org, os.environ)
    if access is None:
        url = "" if org.host_url == GITLAB else f" --url {org.host_url}"
        raise ConfigurationError(
            f"there is no token for {org.org}", mend=f"whimbrel setup gitlab --group {org.org}{url}, or WHIMBREL_GITLAB_TOKEN"
        )
    client = Client(org.host_url, access.token)
    group = access.group or org.org
    heard = any(each.instance == urlsplit(org.host_url).hostname for each in webhook_signers(settings.home, os.environ))
    yield f"{name} {org.org} token", partial(_token, client, group)
    yield f"{name} {org.org} group", partial(_group, client, org.org)
    yield f"{name} {org.org} webhook", partial(_webhook, client, group, access, heard)
    if access.webhook_url:
        yield f"{name} {org.org} deliveries", partial(_deliveries, client, GroupHooks(client, group, access.webhook_url))


def _token(client: Client, group: str) -> str:
    now = datetime.now(UTC)
    who = account(client, now)
    if lacking := who.missing():
        why = ", ".join(f"{scope}, {SCOPES[scope]}" for scope in lacking)
        raise HostError(f"the token {who.token} lacks the scope {why}", mend="make another one that has it")
    said = f"{who.token}, of {who.login}"
    if who.state.expires_at is None:
        return f"{said}, without an end"
    if who.state.ends_soon(now):
        raise HostError(f"{said}, ends on {who.state.expires_at:%Y-%m-%d}", mend=ENDS_SOON.format(group=group))
    return f"{said}, until {who.state.expires_at:%Y-%m-%d}"


def _group(client: Client, group: str) -> str:
    path, level = full_path(client, group), role(client, group, account(client, datetime.now(UTC)))
    if level < DEVELOPER:
        mend = "make it Developer to propose changes, Maintainer to have them merge, Owner to keep the group's webhook"
        raise HostError(f"the bot is {role_name(level)} in {path}", mend=mend)
    return f"{path}, where the bot is {role_name(level)}"


def _webhook(client: Client, group: str, access: GitLabAccess, heard: bool) -> str:
    """One a group, or one a project: each has to be there, as it has to be, and at work."""
    mend = f"whimbrel setup gitlab --group {group} --public-url URL"
    if not access.webhook_url:
        raise HostError("its URL is not known: labels and comments are not heard", mend=mend)
    if not access.webhook_secrets or not heard:
        mend = f"{mend} makes one, or WHIMBREL_GITLAB_WEBHOOK_SECRET with WHIMBREL_GITLAB_URL names it"
        raise ConfigurationError("its secret is not known here: every delivery is refused", mend=mend)
    try:
        found = list(GroupHooks(client, group, access.webhook_url).find())
    except NotAllowed:
        return f"to {access.webhook_url}; the bot's role lets it see nothing of it"
    for place, hook in found:
        if problem := _problem(hook):
            mend = f"whimbrel setup gitlab --group {group} --webhook-url {access.webhook_url}"
            raise HostError(f"{place.name}: {problem}", mend=f"{mend} makes and mends it, and so does the scheduler")
    signed = access.webhook_secrets[0].startswith(SIGNING_TOKEN)
    if not signed and version(client) >= SIGNS_SINCE:
        mend = f"whimbrel setup gitlab --group {group} --rotate-secret"
        raise HostError("it sends its secret along, and this server can sign instead", mend=mend)
    where = f"each of {len(found)} projects" if len(found) != 1 else found[0][0].name
    return f"of {where}, {'signed' if signed else 'with a secret token'}, to {access.webhook_url}"


def _problem(hook: Hook | None) -> str:
    if hook is None:
        return "there is none"
    return ", ".join((*hook.problems, *(() if hook.works else ("GitLab has disabled it, since its deliveries failed",))))


def _deliveries(client: Client, hooks: GroupHooks) -> str:
    """Does what GitLab sends arrive? The newest one says how it is now."""
    recent = GitLabDeliveries(client, hooks, "").attempts(datetime.now(UTC) - RECENT)
    if not recent:
        return "none to be seen within a day"
    failed = [each for each in recent if not each.succeeded]
    words = f"{len(failed)} of the last {len(recent)} failed"
    if not max(recent, key=lambda each: each.at).succeeded:
        raise HostError(f"{words}, and so did the newest", mend="is `whimbrel web` running, and reached at the webhook's URL?")
    return words
