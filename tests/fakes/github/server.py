"""What answers a request: finds who asks, applies limits, calls the right part."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.wrappers import Request, Response

from tests.fakes.forge.guard import Exchange as Guarded
from tests.fakes.forge.refusals import Refused, not_found
from tests.fakes.forge.server import Server, answered
from tests.fakes.github import access, rest
from tests.fakes.github.access import ANONYMOUS, Actor
from tests.fakes.github.changes.repositories import finish_forks
from tests.fakes.github.git_http import GitHttp
from tests.fakes.github.graphql import GraphQL
from tests.fakes.github.guard import exchange_of
from tests.fakes.github.limits import Limits
from tests.fakes.github.rest import Call, Reply, Route
from tests.fakes.github.state import State, told
from tests.fakes.github.web import Web
from tests.fakes.github.webhooks import Webhooks

API, GRAPHQL = "/api/v3", "/api/graphql"


class Hub:
    server: Server
    """What serves it, and keeps its log."""

    def __init__(self, state: State, webhooks: Webhooks, limits: Limits, check: Callable[[Guarded], None] | None):
        self._state, self._webhooks, self._limits = state, webhooks, limits
        self._check = check
        self._routes = rest.routes()
        self._graphql, self._git, self._web = GraphQL(state), GitHttp(state), Web(state, webhooks)

    def answer(self, request: Request) -> Response:
        actor = ANONYMOUS
        try:
            if request.path.startswith((f"{API}/", GRAPHQL)):
                actor = self._identify(request)
                response = self._api(request, actor)
            elif ".git/" in request.path:
                actor = self._identify(request)
                response = self._git.answer(request, actor)
            else:
                response = self._web.answer(request)
        except Refused as refused:
            response = answered(refused.status, told(refused), refused.headers)
            if refused.status == 401 and ".git/" in request.path:
                response.headers["WWW-Authenticate"] = 'Basic realm="GitHub"'
        self.server.note(request, response.status_code, actor.kind, actor.token.value if actor.token else "")
        return response

    def _identify(self, request: Request) -> Actor:
        with self._state.lock:
            finish_forks(self._state)
            return access.identify(self._state, request.headers.get("Authorization", ""))

    def _api(self, request: Request, actor: Actor) -> Response:
        with self._state.lock:
            self._limits.enter(actor.key)
        try:
            if request.path == GRAPHQL:
                return self._answer_graphql(request, actor)
            return self._answer_rest(request, actor)
        finally:
            with self._state.lock:
                self._limits.leave(actor.key)

    def _answer_graphql(self, request: Request, actor: Actor) -> Response:
        if actor is ANONYMOUS:
            raise Refused(401, "This endpoint requires you to be authenticated.")
        asked = request.get_json()
        mutation = asked["query"].lstrip().startswith("mutation")
        with self._state.lock:
            self._limits.charge(actor.key, write=mutation, content=False, resource="graphql")
            result = self._graphql.run(asked, actor, self._limits)
            headers = self._limits.headers(actor.key, "graphql")
        return answered(200, result, headers)

    def _answer_rest(self, request: Request, actor: Actor) -> Response:
        path = request.path.removeprefix(API)
        with self._state.lock:
            if moved := self._moved(path):
                status = 301 if request.method in ("GET", "HEAD") else 307
                body = {"message": "Moved Permanently", "url": moved, "documentation_url": "https://docs.github.com/rest"}
                return answered(status, body, {"Location": moved})
            route, arguments = self._find(request.method, self._named(path))
            self._limits.charge(actor.key, write=request.method != "GET", content=route.content)
            response = self._call(request, actor, route, arguments)
            response = self._conditional(request, actor, response)
            response.headers.update(self._limits.headers(actor.key))
        response.headers["X-GitHub-Request-Id"] = f"{len(self.server.log):08X}"
        if self._check is not None:
            self._check(exchange_of(request, (route.method, route.path), arguments, response))
        return response

    def _find(self, method: str, path: str) -> tuple[Route, dict[str, Any]]:
        try:
            route, arguments = self._routes.bind("hub").match(path, method)
        except (NotFound, MethodNotAllowed):
            self.server.errors.append(f"the fake does not know {method} {path}")
            raise not_found() from None
        return route, dict(arguments)

    def _call(self, request: Request, actor: Actor, route: Route, arguments: dict[str, Any]) -> Response:
        call = Call(
            self._state, self._webhooks, self._limits, actor, request.method, request.base_url, request.args.to_dict(),
            request.headers.get("Accept", ""), _body(request),
        )  # fmt: skip
        try:
            reply: Reply = route.call(call, arguments)
        except Refused as refused:
            return answered(refused.status, told(refused), refused.headers)
        if isinstance(reply.body, bytes):
            return Response(reply.body, reply.status, dict(reply.headers))
        return answered(reply.status, reply.body, reply.headers)

    def _conditional(self, request: Request, actor: Actor, response: Response) -> Response:
        if request.method != "GET" or response.status_code != 200:
            return response
        tag = f'W/"{hashlib.sha256(response.get_data()).hexdigest()}"'
        response.headers["ETag"] = tag
        if request.headers.get("If-None-Match") != tag:
            return response
        self._limits.refund(actor.key)
        return Response(status=304, headers={"ETag": tag})

    def _moved(self, path: str) -> str:
        """Where a renamed or transferred repository is found now: /repositories/ID and the rest of the path."""
        parts = path.split("/", 4)
        if parts[1] != "repos" or len(parts) < 4 or f"{parts[2]}/{parts[3]}".lower() in self._state.by_name:
            return ""
        found = self._state.moved(f"{parts[2]}/{parts[3]}")
        tail = f"/{parts[4]}" if len(parts) > 4 else ""
        return f"{self._state.api_url}/repositories/{found.id}{tail}" if found else ""

    def _named(self, path: str) -> str:
        """The path of /repositories/ID/… by the repository's name."""
        parts = path.split("/", 3)
        if parts[1] != "repositories" or not parts[2].isdigit():
            return path
        found = self._state.repositories.get(int(parts[2]))
        if found is None:
            raise not_found()
        return f"/repos/{found.full_name}" + (f"/{parts[3]}" if len(parts) > 3 else "")


def _body(request: Request) -> Any:
    if not request.get_data():
        return {} if request.method in ("POST", "PATCH", "PUT") else None
    try:
        return json.loads(request.get_data())
    except ValueError:
        raise Refused(400, "Problems parsing JSON") from None
