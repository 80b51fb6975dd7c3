"""/orgs."""

from __future__ import annotations

from typing import Any

from tests.fakes.forge.refusals import Refused, not_found
from tests.fakes.github import access
from tests.fakes.github.changes import repositories as changes
from tests.fakes.github.payloads import basics as shapes
from tests.fakes.github.payloads.repositories import full_repository, repository
from tests.fakes.github.records import JSON, Account, Repository, Team
from tests.fakes.github.rest.routing import Call, Reply, on


def _require_member(call: Call, org: Account, permission: str) -> None:
    """An app has to have the organization's permission; a person has to be a member."""
    installation, token = call.actor.installation, call.actor.token
    if installation is not None and token is not None:
        if installation.account is not org or token.permissions.get(permission, "none") == "none":
            raise Refused(403, access.BEYOND)
    elif call.by.login.lower() not in org.members:
        raise Refused(403, "You must be a member of the organization.")


@on("GET", "/orgs/<org>")
def get_org(call: Call, org: str) -> Reply:
    return Reply(200, shapes.organization_full(call.state, call.state.organization(org)))


@on("GET", "/orgs/<org>/repos")
def list_repositories(call: Call, org: str) -> Reply:
    found = call.state.repositories_of(call.state.organization(org))
    seen = [each for each in found if access.sees(call.actor, each)]
    return call.page(seen, lambda each: repository(call.state, each))


@on("POST", "/orgs/<org>/repos")
def create_repository(call: Call, org: str) -> Reply:
    owner = call.state.organization(org)
    _require_member(call, owner, "administration")
    visibility = "private" if call.body.get("private") else "public"
    files = {"README.md": call.required("name")} if call.body.get("auto_init") else None
    made = changes.create(call.state, owner, call.required("name"), by=call.by, files=files, visibility=visibility)
    return Reply(201, full_repository(call.state, made, role="admin"))


@on("GET", "/orgs/<org>/properties/values")
def list_properties(call: Call, org: str) -> Reply:
    owner = call.state.organization(org)
    _require_member(call, owner, "organization_custom_properties")

    def build(found: Repository) -> JSON:
        values = owner.properties.get(found.id, {})
        return {
            "repository_id": found.id,
            "repository_name": found.name,
            "repository_full_name": found.full_name,
            "properties": [{"property_name": name, "value": value} for name, value in values.items()],
        }

    return call.page(call.state.repositories_of(owner), build)


@on("GET", "/repos/<owner>/<repo>/properties/values", "metadata:read")
def repository_properties(call: Call, found: Repository) -> Reply:
    values = found.owner.properties.get(found.id, {})
    return Reply(200, [{"property_name": name, "value": value} for name, value in values.items()])


@on("GET", "/orgs/<org>/memberships/<login>")
def get_membership(call: Call, org: str, login: str) -> Reply:
    owner = call.state.organization(org)
    _require_member(call, owner, "members")
    return Reply(200, _membership(call, owner, login))


def _membership(call: Call, owner: Account, login: str) -> JSON:
    role = owner.members.get(login.lower())
    if role is None:
        raise not_found()
    url = f"{call.state.api_url}/orgs/{owner.login}"
    return {
        "url": f"{url}/memberships/{login}",
        "state": "active",
        "role": role,
        "organization_url": url,
        "organization": shapes.organization(call.state, owner),
        "user": shapes.user(call.state, call.state.account(login)),
    }


@on("GET", "/orgs/<org>/members")
def list_members(call: Call, org: str) -> Reply:
    owner = call.state.organization(org)
    _require_member(call, owner, "members")
    wanted = call.query.get("role", "all")
    chosen = [login for login, role in owner.members.items() if wanted in ("all", role)]
    return call.page(chosen, lambda login: shapes.user(call.state, call.state.account(login)))


@on("GET", "/orgs/<org>/members/<login>")
def is_member(call: Call, org: str, login: str) -> Reply:
    owner = call.state.organization(org)
    _require_member(call, owner, "members")
    if login.lower() not in owner.members:
        raise not_found()
    return Reply(204)


def _team(owner: Account, slug: str) -> Team:
    if slug not in owner.teams:
        raise not_found()
    return owner.teams[slug]


@on("GET", "/orgs/<org>/teams")
def list_teams(call: Call, org: str) -> Reply:
    owner = call.state.organization(org)
    _require_member(call, owner, "members")
    return call.page(list(owner.teams.values()), lambda each: shapes.team(call.state, owner, each))


@on("GET", "/orgs/<org>/teams/<slug>")
def get_team(call: Call, org: str, slug: str) -> Reply:
    owner = call.state.organization(org)
    _require_member(call, owner, "members")
    found, moment = _team(owner, slug), shapes.when(owner.created_at)
    figures = {"members_count": len(found.members), "repos_count": 0, "created_at": moment, "updated_at": moment}
    about = {**figures, "organization": shapes.organization_full(call.state, owner)}
    return Reply(200, {**shapes.team(call.state, owner, found), **about})


@on("GET", "/orgs/<org>/teams/<slug>/members")
def list_team_members(call: Call, org: str, slug: str) -> Reply:
    owner = call.state.organization(org)
    _require_member(call, owner, "members")
    members: list[Any] = sorted(_team(owner, slug).members)
    return call.page(members, lambda login: shapes.user(call.state, call.state.account(login)))


@on("GET", "/orgs/<org>/teams/<slug>/memberships/<login>")
def get_team_membership(call: Call, org: str, slug: str, login: str) -> Reply:
    owner = call.state.organization(org)
    _require_member(call, owner, "members")
    found = _team(owner, slug)
    if login.lower() not in found.members:
        raise not_found()
    url = f"{call.state.api_url}/organizations/{owner.id}/team/{found.id}/memberships/{login}"
    return Reply(200, {"url": url, "role": "member", "state": "active"})
