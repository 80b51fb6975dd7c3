"""The pages that a person clicks through: registering an app by its manifest, and installing it."""

from __future__ import annotations

import json
import secrets
from urllib.parse import urlencode, urlsplit

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from tests.fakes.forge.refusals import Refused, not_found
from tests.fakes.github.changes import apps
from tests.fakes.github.records import JSON, Account, App
from tests.fakes.github.state import State
from tests.fakes.github.webhooks import Webhooks

LONGEST_NAME = 34
_KNOWN = {
    "name", "url", "hook_attributes", "redirect_url", "callback_urls", "setup_url", "description", "public", "default_events",
    "default_permissions", "request_oauth_on_install", "setup_on_update",
}  # fmt: skip
_PAGES = Map(
    [
        Rule("/organizations/<org>/settings/apps/new", endpoint="register", methods=["POST"]),
        Rule("/apps/<slug>/installations/new", endpoint="install", methods=["GET", "POST"]),
        Rule("/apps/<slug>", endpoint="show", methods=["GET"]),
    ]
)


class Web:
    """Whoever comes here is taken for an owner of the organization, signed in."""

    def __init__(self, state: State, webhooks: Webhooks):
        self._state, self._webhooks = state, webhooks

    def answer(self, request: Request) -> Response:
        try:
            page, arguments = _PAGES.bind("hub").match(request.path, request.method)
        except (NotFound, MethodNotAllowed):
            raise not_found() from None
        with self._state.lock:
            if page == "register":
                return self._register(request, arguments["org"])
            app = next((each for each in self._state.apps.values() if each.slug == arguments["slug"]), None)
            if app is None:
                raise not_found()
            return self._install(request, app) if page == "install" else Response(app.name)

    def _register(self, request: Request, org: str) -> Response:
        owner = self._state.organization(org)
        manifest = json.loads(request.form["manifest"])
        _check(manifest)
        hook = manifest.get("hook_attributes", {})
        app = apps.register(
            self._state, owner, manifest["name"],
            permissions=manifest.get("default_permissions", {}), events=manifest.get("default_events", []),
            external_url=manifest["url"], description=manifest.get("description", ""),
            setup_url=manifest.get("setup_url", ""), webhook_url=hook["url"] if hook.get("active", True) and hook else "",
        )  # fmt: skip
        code = secrets.token_hex(20)
        self._state.manifests[code] = app
        self._webhooks.ping(app, owner)
        back = {"code": code} | ({"state": request.args["state"]} if "state" in request.args else {})
        return _redirect(manifest["redirect_url"], back)

    def _install(self, request: Request, app: App) -> Response:
        installation = self._state.installation_of(app, app.owner)
        action = "update" if installation else "install"
        if installation is None:
            installation = apps.install(self._state, app, app.owner, by=_owner(self._state, app.owner))
        if not app.setup_url:
            return _redirect(f"{self._state.url}/organizations/{app.owner.login}/settings/installations/{installation.id}", {})
        back = {"installation_id": str(installation.id), "setup_action": action}
        return _redirect(app.setup_url, back | {key: value for key, value in request.args.items() if key == "state"})


def _owner(state: State, org: Account) -> Account:
    """Who clicks: the first admin, or whoever there is."""
    admins = [login for login, role in org.members.items() if role == "admin"]
    return state.account(admins[0]) if admins else state.web_flow


def _check(manifest: JSON) -> None:
    if unknown := manifest.keys() - _KNOWN:
        raise Refused(422, f"Invalid manifest: unknown {', '.join(sorted(unknown))}")
    for name in ("name", "url", "redirect_url"):
        if not manifest.get(name):
            raise Refused(422, f"Invalid manifest: {name} is missing")
    if len(manifest["name"]) > LONGEST_NAME:
        raise Refused(422, f"Name is too long (maximum is {LONGEST_NAME} characters)")
    addresses = [manifest["url"], manifest["redirect_url"], manifest.get("hook_attributes", {}).get("url")]
    for address in filter(None, [*addresses, manifest.get("setup_url")]):
        if urlsplit(address).scheme not in ("http", "https"):
            raise Refused(422, f"Invalid manifest: {address} is no URL")


def _redirect(to: str, query: dict[str, str]) -> Response:
    joint = "&" if urlsplit(to).query else "?"
    return Response(status=302, headers={"Location": f"{to}{joint}{urlencode(query)}" if query else to})
