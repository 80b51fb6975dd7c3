"""Holds what passes through the fake against GitHub's own descriptions: requests, answers and webhooks."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote

from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Request, Response

from tests.contract import descriptions
from tests.fakes.forge.guard import UNCHECKED, Answered, Asked, Description, Exchange, Guard, place, shape
from tests.fakes.github.webhooks import Delivery, headers_of

CROSS_CUTTING = {304, 401, 403, 404, 409, 422}
"""What GitHub answers everywhere (credentials, permissions, limits, wrong input), but describes for some operations only."""

EXCEPTIONS: dict[tuple[str, str], str] = {
    ("POST", "/repos/<owner>/<repo>/issues/<int:number>/labels"): (
        "PyGithub sends labels as a bare array, which GitHub takes but whose schema wants objects or {labels: […]}"
    ),
    ("PUT", "/repos/<owner>/<repo>/issues/<int:number>/labels"): "the same bare array",
}
"""Requests that are not held against the description, with the reason. Their answers are."""

ROOT = ("GET", "/repos/<owner>/<repo>/contents/")
"""Held as if it were for `.`: GitHub's text lets the path be empty, which openapi-core's matching of paths does not."""

UNTRUE = {
    (
        r"/pulls",
        r"labels/\d+/description$",
    ): "GitHub's schema of a pull request in a list has no null for a label's description",
    (r"GET /app/installations ", r"^\d+/account$"): "GitHub's schema wants an account to be a user and an enterprise at once",
}
"""What GitHub does answer, though its schema has it otherwise: by patterns of the exchange and the place, with the reason."""

HOST = "https://api.github.com"


def exchange_of(request: Request, rule: tuple[str, str], arguments: dict[str, Any], response: Response) -> Exchange:
    if rule == ROOT:
        rule, arguments = (rule[0], f"{rule[1]}<path:path>"), {**arguments, "path": "."}
    path = re.sub(r"<(?:\w+:)?(\w+)>", lambda found: quote(str(arguments[found[1]]), safe=""), rule[1])
    return Exchange.of(request, rule, path, response)


@dataclass
class _Sent:
    """openapi-core's WebhookRequest."""

    name: str
    body: bytes
    parameters: RequestParameters
    method: str = "post"
    content_type: str = "application/json"


@cache
def _rest() -> Description:
    described = descriptions.rest()
    contents = described["paths"]["/repos/{owner}/{repo}/contents/{path}"]["get"]["responses"]["200"]["content"]
    # It tells the four kinds of content apart by `type`, which the list of a folder, being an array, cannot have.
    contents["application/json"]["schema"].pop("discriminator", None)
    return Description(described)


@cache
def _webhooks() -> OpenAPI:
    return OpenAPI.from_dict(descriptions.webhooks(), config=UNCHECKED)


class GitHubGuard:
    """Give it exchanges and deliveries; `finish` returns what was wrong with them, each in words."""

    def __init__(self) -> None:
        self._guard = Guard(_is_untrue)
        self.finish = self._guard.finish

    def check_exchange(self, exchange: Exchange) -> None:
        self._guard.check(exchange.key, lambda: self._exchange(exchange))

    def check_delivery(self, delivery: Delivery) -> None:
        body = json.dumps(delivery.payload).encode()
        self._guard.check((delivery.event, delivery.action, shape(body)), lambda: self._delivery(delivery, body))

    def _exchange(self, exchange: Exchange) -> None:
        operation = _rest().operation(exchange)
        if operation is None:
            self._guard.violations.append(f"{exchange}: GitHub has no such operation")
            return
        asked, described = Asked.by(exchange, HOST), _rest().of(exchange.template)
        if exchange.rule not in EXCEPTIONS and exchange.status < 400:
            self._guard.hold(f"request {exchange}", lambda: described.validate_request(asked))
        if str(exchange.status) in operation["responses"] or exchange.status not in CROSS_CUTTING:
            answer = Answered.by(exchange)
            self._guard.hold(f"answer {exchange}", lambda: described.validate_response(asked, answer))

    def _delivery(self, delivery: Delivery, body: bytes) -> None:
        name = "-".join(filter(None, (delivery.event, delivery.action))).replace("_", "-")
        parameters = RequestParameters(header=Headers(headers_of(delivery, body)))
        sent = _Sent(name, body, parameters)
        self._guard.hold(f"webhook {name}", lambda: _webhooks().validate_webhook_request(sent))


def _is_untrue(what: str, error: Any) -> bool:
    """One of `UNTRUE`, or a null of an enumeration that is nullable but does not list it."""
    if error.instance is None and error.schema.get("nullable"):
        return True
    return any(re.search(exchange, what) and re.search(at, place(error)) for exchange, at in UNTRUE)
