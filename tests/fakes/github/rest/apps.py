"""/app, /installation, /app-manifests."""

from __future__ import annotations

from tests.fakes.forge.refusals import Refused, not_found
from tests.fakes.github.changes import apps
from tests.fakes.github.payloads import basics as shapes
from tests.fakes.github.payloads.repositories import full_repository, repository
from tests.fakes.github.records import JSON, Account, Installation, Repository
from tests.fakes.github.rest.routing import Call, Reply, on
from tests.fakes.github.state import State
from tests.fakes.github.webhooks import Delivery


@on("GET", "/app")
def get_app(call: Call) -> Reply:
    return Reply(200, shapes.app_with_count(call.state, call.app))


@on("GET", "/app/installations")
def list_installations(call: Call) -> Reply:
    mine = [each for each in call.state.installations.values() if each.app is call.app]
    return call.page(mine, lambda each: shapes.installation(call.state, each))


@on("GET", "/app/installations/<int:number>")
def get_installation(call: Call, number: int) -> Reply:
    return Reply(200, shapes.installation(call.state, _installation(call, number)))


@on("DELETE", "/app/installations/<int:number>")
def delete_installation(call: Call, number: int) -> Reply:
    apps.uninstall(call.state, _installation(call, number), by=call.app.bot)
    return Reply(204)


@on("PUT", "/app/installations/<int:number>/suspended")
def suspend(call: Call, number: int) -> Reply:
    apps.suspend(call.state, _installation(call, number), by=call.app.bot)
    return Reply(204)


@on("DELETE", "/app/installations/<int:number>/suspended")
def unsuspend(call: Call, number: int) -> Reply:
    apps.unsuspend(call.state, _installation(call, number), by=call.app.bot)
    return Reply(204)


def _installation(call: Call, number: int) -> Installation:
    found = call.state.installations.get(number)
    if found is None or found.app is not call.app:
        raise not_found()
    return found


@on("POST", "/app/installations/<int:number>/access_tokens")
def create_token(call: Call, number: int) -> Reply:
    found, asked = _installation(call, number), call.body or {}
    chosen = _chosen(call.state, found, asked)
    token = apps.mint(call.state, found, repositories=chosen, permissions=asked.get("permissions"))
    selection = "selected" if chosen is not None or found.repository_ids is not None else "all"
    told: JSON = {
        "token": token.value,
        "expires_at": shapes.when(token.expires_at),
        "permissions": token.permissions,
        "repository_selection": selection,
    }
    if chosen is not None:
        told["repositories"] = [repository(call.state, each) for each in chosen]
    return Reply(201, told)


def _chosen(state: State, found: Installation, asked: JSON) -> list[Repository] | None:
    names, ids = asked.get("repositories"), asked.get("repository_ids")
    if names is None and ids is None:
        return None
    reachable = state.repositories_in(found)
    by_name = {each.name.lower(): each for each in reachable}
    by_id = {each.id: each for each in reachable}
    try:
        return [by_name[name.lower()] for name in names or []] + [by_id[number] for number in ids or []]
    except KeyError:
        lacks = "There is at least one repository that does not exist or is not accessible to the parent installation."
        raise Refused(422, lacks) from None


@on("GET", "/app/hook/config")
def get_hook(call: Call) -> Reply:
    return Reply(200, _hook(call))


@on("PATCH", "/app/hook/config")
def update_hook(call: Call) -> Reply:
    changed = call.given("url", "secret")
    call.app.webhook_url = changed.get("url", call.app.webhook_url)
    call.app.webhook_secret = changed.get("secret", call.app.webhook_secret)
    return Reply(200, _hook(call))


def _hook(call: Call) -> JSON:
    return {"content_type": "json", "insecure_ssl": "0", "secret": "********", "url": call.app.webhook_url}


@on("GET", "/app/hook/deliveries")
def list_deliveries(call: Call) -> Reply:
    """Newest first; `cursor` is the id to go on below. `status` is success or failure."""
    mine = [each for each in reversed(call.webhooks.deliveries.values()) if each.app is call.app and each.status != "pending"]
    if wanted := call.query.get("status"):
        mine = [each for each in mine if each.ok == (wanted == "success")]
    if cursor := call.query.get("cursor"):
        mine = [each for each in mine if each.id < int(cursor.removeprefix("v1_"))]
    size = min(int(call.query.get("per_page", 30)), 100)
    shown, more = mine[:size], mine[size:]
    link = {"Link": f'<{call.url}?per_page={size}&cursor=v1_{shown[-1].id}>; rel="next"'} if more else {}
    return Reply(200, [_delivery(each) for each in shown], link)


@on("GET", "/app/hook/deliveries/<int:number>")
def get_delivery(call: Call, number: int) -> Reply:
    found = call.webhooks.find(call.app, number)
    whole = {
        **_delivery(found),
        "url": found.url,
        "request": {"headers": found.request_headers, "payload": found.payload},
        "response": {"headers": found.response_headers, "payload": found.response_body},
    }
    return Reply(200, whole)


@on("POST", "/app/hook/deliveries/<int:number>/attempts")
def redeliver(call: Call, number: int) -> Reply:
    call.webhooks.redeliver(call.app, number)
    return Reply(202, {})


def _delivery(found: Delivery) -> JSON:
    return {
        "id": found.id,
        "guid": found.guid,
        "delivered_at": shapes.when(found.delivered_at),
        "redelivery": found.redelivery,
        "duration": found.duration,
        "status": found.status,
        "status_code": found.status_code,
        "event": found.event,
        "action": found.action,
        "installation_id": found.installation_id,
        "repository_id": found.repository_id,
        "throttled_at": None,
    }


@on("GET", "/orgs/<org>/installation")
def org_installation(call: Call, org: str) -> Reply:
    return _installation_on(call, call.state.organization(org))


@on("GET", "/users/<login>/installation")
def user_installation(call: Call, login: str) -> Reply:
    return _installation_on(call, call.state.account(login))


@on("GET", "/repos/<owner>/<repo>/installation")
def repository_installation(call: Call, found: Repository) -> Reply:
    return _installation_on(call, found.owner, found)


def _installation_on(call: Call, account: Account, covering: Repository | None = None) -> Reply:
    found = call.state.installation_of(call.app, account)
    if found is None or (covering is not None and not found.covers(covering)):
        raise not_found()
    return Reply(200, shapes.installation(call.state, found))


@on("GET", "/installation/repositories")
def list_repositories(call: Call) -> Reply:
    token, installation = call.actor.token, call.actor.installation
    if token is None or installation is None:
        raise Refused(403, "You must authenticate with an installation access token in order to list repositories for it.")
    chosen = token.repository_ids
    reachable = [each for each in call.state.repositories_in(installation) if chosen is None or each.id in chosen]
    page = call.page(reachable, lambda each: full_repository(call.state, each, role="none"), key="repositories")
    selection = "all" if installation.repository_ids is None and chosen is None else "selected"
    return Reply(200, {**page.body, "repository_selection": selection}, page.headers)


@on("DELETE", "/installation/token")
def revoke(call: Call) -> Reply:
    if call.actor.token is None or call.actor.installation is None:
        raise Refused(401, "Requires authentication")
    del call.state.tokens[call.actor.token.value]
    return Reply(204)


@on("POST", "/app-manifests/<code>/conversions")
def convert_manifest(call: Call, code: str) -> Reply:
    app = call.state.take_manifest(code)
    whole = {
        **shapes.app(call.state, app),
        "client_secret": app.client_secret,
        "webhook_secret": app.webhook_secret,
        "pem": app.pem,
    }
    return Reply(201, whole)
