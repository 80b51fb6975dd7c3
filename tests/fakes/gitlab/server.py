"""What answers a request: finds who asks, applies limits, calls the right part."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.wrappers import Request, Response

from tests.fakes.forge.refusals import Refused
from tests.fakes.forge.server import Server, answered
from tests.fakes.gitlab import access, rest
from tests.fakes.gitlab.access import ANONYMOUS, Actor
from tests.fakes.gitlab.git_http import GitHttp
from tests.fakes.gitlab.graphql import GraphQL
from tests.fakes.gitlab.limits import Limits, Throttled
from tests.fakes.gitlab.records import JSON
from tests.fakes.gitlab.rest import Call, Reply, Route
from tests.fakes.gitlab.state import State, Worded, told
from tests.fakes.gitlab.webhooks import Webhooks

API, GRAPHQL = "/api/v4", "/api/graphql"
Check = Callable[[Request, tuple[str, str], Response], None]


class Hub:
    server: Server
    """What serves it, and keeps its log."""

    def __init__(self, state: State, webhooks: Webhooks, limits: Limits, check: Check | None):
        self._state, self._webhooks, self._limits, self._check = state, webhooks, limits, check
        self._routes = rest.routes()
        self._graphql, self._git = GraphQL(state), GitHttp(state)

    def answer(self, request: Request) -> Response:
        actor = ANONYMOUS
        try:
            if request.path.startswith((f"{API}/", GRAPHQL)):
                actor = self._identify(request)
                response = self._api(request, actor)
            elif request.path == "/oauth/token/info":
                actor = self._identify(request)
                response = _application_token(actor)
            elif ".git/" in request.path:
                actor = self._identify(request)
                response = self._git.answer(request, actor)
            else:
                response = Response("a page for people", 200)
        except Refused as refused:
            response = _refusal(request, refused)
        self.server.note(request, response.status_code, actor.kind, actor.token.value if actor.token else "")
        return response

    def _identify(self, request: Request) -> Actor:
        with self._state.lock:
            return access.identify(self._state, dict(request.headers), request.args)

    def _api(self, request: Request, actor: Actor) -> Response:
        with self._state.lock:
            self._limits.enter()
        try:
            with self._state.lock:
                self._limits.charge(actor.key)
                if request.path == GRAPHQL:
                    response = answered(200, self._graphql.run(request.get_json(), actor))
                else:
                    response = self._rest(request, actor)
                response.headers.update(self._limits.headers(actor.key))
            return response
        finally:
            with self._state.lock:
                self._limits.leave()

    def _rest(self, request: Request, actor: Actor) -> Response:
        route, arguments = self._find(request)
        try:
            response = self._call(request, actor, route, arguments)
        except Refused as refused:
            response = _refusal(request, refused)
        response.headers["X-Request-Id"] = f"{len(self.server.log):08X}"
        if self._check is not None:
            self._check(request, (route.method, route.path), response)
        return response

    def _find(self, request: Request) -> tuple[Route, dict[str, str]]:
        """By the path as it was sent: a slash in a project's path or a file's name comes encoded."""
        path = request.environ["REQUEST_URI"].partition("?")[0].removeprefix(API)
        try:
            route, arguments = self._routes.bind("hub").match(path, request.method)
        except (NotFound, MethodNotAllowed):
            self.server.errors.append(f"the fake does not know {request.method} {path}")
            raise Worded(404, {"error": "404 Not Found"}) from None
        return route, {name: str(value) for name, value in arguments.items()}

    def _url(self, request: Request) -> str:
        return self._state.url + str(request.environ["REQUEST_URI"]).partition("?")[0]

    def _call(self, request: Request, actor: Actor, route: Route, arguments: dict[str, str]) -> Response:
        query = request.args.to_dict()
        call = Call(
            self._state, self._webhooks, self._limits, actor, request.method, self._url(request), query, _given(request)
        )
        reply: Reply = route.call(call, arguments)
        if isinstance(reply.body, bytes):
            return Response(reply.body, reply.status, dict(reply.headers))
        return answered(reply.status, reply.body, reply.headers)


def _application_token(actor: Actor) -> Response:
    """Of an OAuth application; it lives for two hours. Any other token is none of these."""
    if actor.token is None or actor.token.kind != "oauth":
        return answered(401, {"error": "invalid_token", "error_description": "The access token is invalid"})
    scopes = sorted(actor.token.scopes)
    return answered(200, {"resource_owner_id": actor.token.user.id, "scope": scopes, "scopes": scopes, "expires_in": 7200})


def _given(request: Request) -> JSON:
    """The parameters: of the query, of a JSON body or of a form; `name[]` is a list."""
    given: JSON = {}
    for source in (request.args, request.form):
        for name, values in source.lists():
            given[name.removesuffix("[]")] = values if name.endswith("[]") else values[-1]
    if request.mimetype == "application/json" and request.get_data():
        given |= _json(request)
    return _nested(given)


def _json(request: Request) -> JSON:
    try:
        body: Any = json.loads(request.get_data())
    except ValueError:
        raise Worded(400, {"error": "400 Bad Request"}) from None
    return body if isinstance(body, dict) else {}


def _nested(given: JSON) -> JSON:
    """`position[new_line]` of a form as a field of `position`."""
    told: JSON = {}
    for name, value in given.items():
        outer = re.fullmatch(r"(\w+)\[(\w+)\]", name)
        if outer:
            told.setdefault(outer[1], {})[outer[2]] = value
        else:
            told[name] = value
    return told


def _refusal(request: Request, refused: Refused) -> Response:
    if isinstance(refused, Throttled):
        return Response(refused.message, refused.status, refused.headers)
    if ".git/" in unquote(request.path):
        response = Response(refused.message, refused.status, content_type="text/plain")
        if refused.status == 401:
            response.headers["WWW-Authenticate"] = 'Basic realm="GitLab"'
        return response
    return answered(refused.status, told(refused), refused.headers)
