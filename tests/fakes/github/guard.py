"""Holds what passes through the fake against GitHub's own descriptions: requests, answers and webhooks.

A check takes tens of milliseconds, so one is made for each distinct (operation, status, shape of both bodies) a process, in a
thread of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from queue import Queue
from threading import Lock, Thread
from typing import Any
from urllib.parse import quote

from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from openapi_core.validation.schemas.exceptions import InvalidSchemaValue
from werkzeug.datastructures import Headers, MultiDict
from werkzeug.wrappers import Request, Response

from tests.contract import descriptions
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

_seen: set[Any] = set()
_seen_lock = Lock()


@dataclass(frozen=True)
class Exchange:
    """A request and its answer, as openapi-core wants them."""

    rule: tuple[str, str]
    path: str
    query: MultiDict[str, str]
    request_headers: Headers
    request_body: bytes
    status: int
    response_headers: Headers
    response_body: bytes

    @classmethod
    def of(cls, request: Request, rule: tuple[str, str], arguments: dict[str, Any], response: Response) -> Exchange:
        if rule == ROOT:
            rule, arguments = (rule[0], f"{rule[1]}<path:path>"), {**arguments, "path": "."}
        return cls(
            rule, _encoded(rule[1], arguments), request.args, Headers(list(request.headers)), request.get_data(),
            response.status_code, response.headers, response.get_data(),
        )  # fmt: skip

    @property
    def key(self) -> Any:
        query = frozenset(self.query)
        return (self.rule, self.status, query, shape(self.request_body), shape(self.response_body))

    def __str__(self) -> str:
        return f"{self.rule[0]} {self.path} -> {self.status}"


def _encoded(rule: str, arguments: dict[str, Any]) -> str:
    """The path with the slashes inside a branch or file name encoded: the description knows no others."""
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: quote(str(arguments[found[1]]), safe=""), rule)


def shape(body: bytes) -> Any:
    """What a body is made of: keys and types, without the values."""
    try:
        return _shape(json.loads(body)) if body else None
    except ValueError:
        return "text"


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple((name, _shape(each)) for name, each in sorted(value.items()))
    if isinstance(value, list):
        return frozenset(_shape(each) for each in value)
    return type(value).__name__


@dataclass
class _Asked:
    """openapi-core's Request."""

    method: str
    path: str
    body: bytes | None
    content_type: str
    parameters: RequestParameters
    host_url: str = "https://api.github.com"


@dataclass
class _Sent:
    """openapi-core's WebhookRequest."""

    name: str
    body: bytes
    parameters: RequestParameters
    method: str = "post"
    content_type: str = "application/json"


@dataclass
class _Answered:
    """openapi-core's Response."""

    status_code: int
    content_type: str
    headers: Headers
    data: bytes


_UNCHECKED = Config(spec_validator_cls=None)  # type: ignore[arg-type]  # None is documented: the description itself is not checked


@cache
def _paths() -> dict[str, tuple[str, dict[str, Any]]]:
    """GitHub's paths and what it says of them, by the path without the parameters' names."""
    described = descriptions.rest()["paths"]
    contents = described["/repos/{owner}/{repo}/contents/{path}"]["get"]["responses"]["200"]["content"]
    # It tells the four kinds of content apart by `type`, which the list of a folder, being an array, cannot have.
    contents["application/json"]["schema"].pop("discriminator", None)
    return {re.sub(r"{[^}]+}", "{}", path): (path, item) for path, item in described.items()}


@cache
def _rest(template: str) -> OpenAPI:
    """The description of one path: openapi-core takes long to find it among all."""
    path, item = _paths()[template]
    return OpenAPI.from_dict({**descriptions.rest(), "paths": {path: item}}, config=_UNCHECKED)


@cache
def _webhooks() -> OpenAPI:
    return OpenAPI.from_dict(descriptions.webhooks(), config=_UNCHECKED)


@dataclass
class Guard:
    """Give it exchanges and deliveries; `finish` returns what was wrong with them, each in words."""

    violations: list[str] = field(default_factory=list)
    _queue: Queue[tuple[Any, Callable[[], None]] | None] = field(default_factory=Queue)

    def __post_init__(self) -> None:
        self._thread = Thread(target=self._work, name="guard", daemon=True)
        self._thread.start()

    def check_exchange(self, exchange: Exchange) -> None:
        self._check(exchange.key, lambda: self._exchange(exchange))

    def check_delivery(self, delivery: Delivery) -> None:
        body = json.dumps(delivery.payload).encode()
        self._check((delivery.event, delivery.action, shape(body)), lambda: self._delivery(delivery, body))

    def _check(self, key: Any, check: Callable[[], None]) -> None:
        with _seen_lock:
            if key not in _seen:
                _seen.add(key)
                self._queue.put((key, check))

    def finish(self) -> list[str]:
        self._queue.put(None)
        self._thread.join()
        return self.violations

    def _work(self) -> None:
        while (asked := self._queue.get()) is not None:
            key, check = asked
            before = len(self.violations)
            check()
            if len(self.violations) > before:
                _seen.discard(key)  # the next test that does it has to fail too

    def _exchange(self, exchange: Exchange) -> None:
        template = re.sub(r"<[^>]+>", "{}", exchange.rule[1])
        operation = _paths().get(template, ("", {}))[1].get(exchange.rule[0].lower())
        if operation is None:
            self.violations.append(f"{exchange}: GitHub has no such operation")
            return
        asked, described = _asked(exchange), _rest(template)
        if exchange.rule not in EXCEPTIONS and exchange.status < 400:
            self._hold(f"request {exchange}", lambda: described.validate_request(asked))
        if str(exchange.status) in operation["responses"] or exchange.status not in CROSS_CUTTING:
            kind = exchange.response_headers.get("Content-Type", "")
            answer = _Answered(exchange.status, kind, exchange.response_headers, exchange.response_body)
            self._hold(f"answer {exchange}", lambda: described.validate_response(asked, answer))

    def _delivery(self, delivery: Delivery, body: bytes) -> None:
        name = "-".join(filter(None, (delivery.event, delivery.action))).replace("_", "-")
        parameters = RequestParameters(header=Headers(headers_of(delivery, body)))
        sent = _Sent(name, body, parameters)
        self._hold(f"webhook {name}", lambda: _webhooks().validate_webhook_request(sent))

    def _hold(self, what: str, validate: Callable[[], None]) -> None:
        try:
            validate()
        except OpenAPIError as wrong:
            if explained := _explained(what, wrong):
                self.violations.append(f"{what}: {explained}")


def _asked(exchange: Exchange) -> _Asked:
    parameters = RequestParameters(query=exchange.query, header=exchange.request_headers)
    kind = exchange.request_headers.get("Content-Type", "")
    return _Asked(exchange.rule[0].lower(), exchange.path, exchange.request_body or None, kind.lower(), parameters)


def _explained(what: str, wrong: BaseException) -> str:
    """The error with the schema's own findings; empty where all of them are known to be untrue."""
    cause: BaseException | None = wrong
    while cause is not None:
        if isinstance(cause, InvalidSchemaValue):
            return "; ".join(_finding(each) for each in cause.schema_errors if not _is_untrue(what, each))
        cause = cause.__cause__ or cause.__context__
    return repr(wrong)


def _place(error: Any) -> str:
    return "/".join(str(part) for part in error.absolute_path)


def _is_untrue(what: str, error: Any) -> bool:
    """One of `UNTRUE`, or a null of an enumeration that is nullable but does not list it."""
    if error.instance is None and error.schema.get("nullable"):
        return True
    return any(re.search(exchange, what) and re.search(place, _place(error)) for exchange, place in UNTRUE)


def _finding(error: Any) -> str:
    deepest = error
    while deepest.context:
        deepest = max(deepest.context, key=lambda each: len(each.absolute_path))
    return f"at {_place(deepest) or 'the top'}: {_short(deepest.message)}"


def _short(message: str) -> str:
    return message if len(message) <= 300 else f"{message[:100]} … {message[-200:]}"
