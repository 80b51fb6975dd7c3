"""People, organizations, apps, installations, labels, reactions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from tests.fakes.github.records import JSON, Account, AccountType, App, Installation, Label, Reaction, Repository, Team
from tests.fakes.github.state import State

REACTIONS = ("+1", "-1", "laugh", "confused", "heart", "hooray", "eyes", "rocket")


def when(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def user(state: State, account: Account) -> JSON:
    """A person, bot or organization as it stands in other objects (simple-user)."""
    url = f"{state.api_url}/users/{account.login}"
    return {
        "login": account.login,
        "id": account.id,
        "node_id": account.node_id,
        "avatar_url": f"{state.url}/avatars/{account.id}",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{state.url}/{account.login}",
        "followers_url": f"{url}/followers",
        "following_url": f"{url}/following{{/other_user}}",
        "gists_url": f"{url}/gists{{/gist_id}}",
        "starred_url": f"{url}/starred{{/owner}}{{/repo}}",
        "subscriptions_url": f"{url}/subscriptions",
        "organizations_url": f"{url}/orgs",
        "repos_url": f"{url}/repos",
        "events_url": f"{url}/events{{/privacy}}",
        "received_events_url": f"{url}/received_events",
        "type": account.type.value,
        "user_view_type": "public",
        "site_admin": False,
    }


def public_user(state: State, account: Account) -> JSON:
    moment = when(account.created_at)
    nothing = dict.fromkeys(("bio", "blog", "company", "email", "hireable", "location"))
    counts = dict.fromkeys(("followers", "following", "public_gists", "public_repos"), 0)
    return {**user(state, account), **nothing, **counts, "name": account.login, "created_at": moment, "updated_at": moment}


def organization(state: State, account: Account) -> JSON:
    """As it stands in webhooks (organization-simple)."""
    url = f"{state.api_url}/orgs/{account.login}"
    return {
        "login": account.login,
        "id": account.id,
        "node_id": account.node_id,
        "url": url,
        "repos_url": f"{url}/repos",
        "events_url": f"{url}/events",
        "hooks_url": f"{url}/hooks",
        "issues_url": f"{url}/issues",
        "members_url": f"{url}/members{{/member}}",
        "public_members_url": f"{url}/public_members{{/member}}",
        "avatar_url": f"{state.url}/avatars/{account.id}",
        "description": "",
    }


def organization_full(state: State, account: Account) -> JSON:
    counts = dict.fromkeys(("followers", "following", "public_gists", "public_repos"), 0)
    return {
        **organization(state, account),
        **counts,
        "html_url": f"{state.url}/{account.login}",
        "type": "Organization",
        "has_organization_projects": True,
        "has_repository_projects": True,
        "created_at": when(account.created_at),
        "updated_at": when(account.created_at),
        "archived_at": None,
    }


def team(state: State, org: Account, found: Team) -> JSON:
    url = f"{state.api_url}/organizations/{org.id}/team/{found.id}"
    return {
        "id": found.id,
        "node_id": found.node_id,
        "name": found.slug,
        "slug": found.slug,
        "description": None,
        "privacy": "closed",
        "notification_setting": "notifications_enabled",
        "permission": "pull",
        "url": url,
        "html_url": f"{state.url}/orgs/{org.login}/teams/{found.slug}",
        "members_url": f"{url}/members{{/member}}",
        "repositories_url": f"{url}/repos",
        "type": "organization",
        "organization_id": org.id,
        "parent": None,
    }


def app(state: State, found: App) -> JSON:
    return {
        "id": found.id,
        "client_id": found.client_id,
        "slug": found.slug,
        "node_id": found.node_id,
        "owner": user(state, found.owner),
        "name": found.name,
        "description": found.description,
        "external_url": found.external_url,
        "html_url": f"{state.url}/apps/{found.slug}",
        "created_at": when(found.created_at),
        "updated_at": when(found.created_at),
        "permissions": found.permissions,
        "events": found.events,
    }


def app_with_count(state: State, found: App) -> JSON:
    count = sum(installation.app is found for installation in state.installations.values())
    return {**app(state, found), "installations_count": count}


def installation(state: State, found: Installation) -> JSON:
    return {
        "id": found.id,
        "client_id": found.app.client_id,
        "account": user(state, found.account),
        "repository_selection": "all" if found.repository_ids is None else "selected",
        "access_tokens_url": f"{state.api_url}/app/installations/{found.id}/access_tokens",
        "repositories_url": f"{state.api_url}/installation/repositories",
        "html_url": f"{state.url}/organizations/{found.account.login}/settings/installations/{found.id}",
        "app_id": found.app.id,
        "app_slug": found.app.slug,
        "target_id": found.account.id,
        "target_type": found.account.type.value,
        "permissions": found.permissions,
        "events": found.events,
        "created_at": when(found.created_at),
        "updated_at": when(found.created_at),
        "single_file_name": None,
        "has_multiple_single_files": False,
        "single_file_paths": [],
        "suspended_by": found.suspended_by and user(state, found.suspended_by),
        "suspended_at": when(found.suspended_at),
    }


def label(state: State, repository: Repository, found: Label) -> JSON:
    return {
        "id": found.id,
        "node_id": found.node_id,
        "url": f"{state.api_url}/repos/{repository.full_name}/labels/{found.name}",
        "name": found.name,
        "color": found.color,
        "default": False,
        "description": found.description,
    }


def reaction(state: State, found: Reaction) -> JSON:
    return {
        "id": found.id,
        "node_id": f"REA_{found.id}",
        "user": user(state, found.user),
        "content": found.content,
        "created_at": when(found.created_at),
    }


def reactions(url: str, found: Iterable[Reaction]) -> JSON:
    """The summary that stands in a comment or issue whose address is `url`."""
    counts = Counter(each.content for each in found)
    return {"url": f"{url}/reactions", "total_count": counts.total(), **{name: counts[name] for name in REACTIONS}}


def association(repository: Repository, account: Account) -> str:
    if repository.owner is account:
        return "OWNER"
    if account.login.lower() in repository.owner.members:
        return "MEMBER"
    if account.login.lower() in repository.roles:
        return "COLLABORATOR"
    return "CONTRIBUTOR" if account.type is AccountType.BOT else "NONE"


def named(**values: Any) -> JSON:
    """The values that are not None."""
    return {name: value for name, value in values.items() if value is not None}
