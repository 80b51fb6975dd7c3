"""Holds what passes through a fake against the host's own description of its API: requests and answers.

A check takes tens of milliseconds, so one is made for each distinct (operation, status, shape of both bodies) a process, in a
thread of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from queue import Queue
from threading import Lock, Thread
from typing import Any

from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from openapi_core.validation.schemas.exceptions import InvalidSchemaValue
from werkzeug.datastructures import Headers, MultiDict
from werkzeug.wrappers import Request, Response

UNCHECKED = Config(spec_validator_cls=None)  # type: ignore[arg-type]  # None is documented: the description itself is not checked

_seen: set[Any] = set()
_seen_lock = Lock()

Untrue = Callable[[str, Any], bool]
"""Whether a finding of a schema is known to be untrue: of an exchange, in words, and the error."""


@dataclass(frozen=True)
class Exchange:
    """A request and its answer, as openapi-core wants them. `rule` is the operation: a method, and a path with <parameters>."""

    rule: tuple[str, str]
    path: str
    query: MultiDict[str, str]
    request_headers: Headers
    request_body: bytes
    status: int
    response_headers: Headers
    response_body: bytes

    @classmethod
    def of(cls, request: Request, rule: tuple[str, str], path: str, response: Response) -> Exchange:
        """`path` is as the description has it, with the slashes inside of a parameter encoded."""
        return cls(
            rule, path, request.args, Headers(list(request.headers)), request.get_data(),
            response.status_code, response.headers, response.get_data(),
        )  # fmt: skip

    @property
    def key(self) -> Any:
        query = frozenset(self.query)
        return (self.rule, self.status, query, shape(self.request_body), shape(self.response_body))

    @property
    def template(self) -> str:
        return re.sub(r"<[^>]+>", "{}", self.rule[1])

    def __str__(self) -> str:
        return f"{self.rule[0]} {self.path} -> {self.status}"


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
class Asked:
    """openapi-core's Request."""

    method: str
    path: str
    body: bytes | None
    content_type: str
    parameters: RequestParameters
    host_url: str

    @classmethod
    def by(cls, exchange: Exchange, host_url: str) -> Asked:
        parameters = RequestParameters(query=exchange.query, header=exchange.request_headers)
        kind = exchange.request_headers.get("Content-Type", "").lower()
        return cls(exchange.rule[0].lower(), exchange.path, exchange.request_body or None, kind, parameters, host_url)


@dataclass
class Answered:
    """openapi-core's Response."""

    status_code: int
    content_type: str
    headers: Headers
    data: bytes

    @classmethod
    def by(cls, exchange: Exchange) -> Answered:
        kind = exchange.response_headers.get("Content-Type", "")
        return cls(exchange.status, kind, exchange.response_headers, exchange.response_body)


class Description:
    """What a host says of its API, by `paths` as they are without their parameters' names."""

    def __init__(self, document: Mapping[str, Any]):
        self.document = document
        self.paths = {re.sub(r"{[^}]+}", "{}", path): (path, item) for path, item in document["paths"].items()}
        self._of = cache(self._made)

    def operation(self, exchange: Exchange) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = self.paths.get(exchange.template, ("", {}))[1].get(exchange.rule[0].lower())
        return found

    def of(self, template: str) -> OpenAPI:
        """That of one path: openapi-core takes long to find it among all."""
        return self._of(template)

    def _made(self, template: str) -> OpenAPI:
        path, item = self.paths[template]
        return OpenAPI.from_dict({**self.document, "paths": {path: item}}, config=UNCHECKED)


@dataclass
class Guard:
    """Give it checks; `finish` returns what was wrong, each in words."""

    untrue: Untrue
    violations: list[str] = field(default_factory=list)
    _queue: Queue[tuple[Any, Callable[[], None]] | None] = field(default_factory=Queue)

    def __post_init__(self) -> None:
        self._thread = Thread(target=self._work, name="guard", daemon=True)
        self._thread.start()

    def check(self, key: Any, check: Callable[[], None]) -> None:
        """Make the check, unless one with that key was made already."""
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

    def hold(self, what: str, validate: Callable[[], None]) -> None:
        """Note what `validate` raises."""
        try:
            validate()
        except OpenAPIError as wrong:
            if explained := self._explained(what, wrong):
                self.violations.append(f"{what}: {explained}")

    def _explained(self, what: str, wrong: BaseException) -> str:
        """The error with the schema's own findings; empty where all of them are known to be untrue."""
        cause: BaseException | None = wrong
        while cause is not None:
            if isinstance(cause, InvalidSchemaValue):
                return "; ".join(findings(each for each in cause.schema_errors if not self.untrue(what, each)))
            cause = cause.__cause__ or cause.__context__
        return repr(wrong)


def place(error: Any) -> str:
    return "/".join(str(part) for part in error.absolute_path)


def findings(errors: Iterable[Any]) -> list[str]:
    return [_finding(each) for each in errors]


def _finding(error: Any) -> str:
    deepest = error
    while deepest.context:
        deepest = max(deepest.context, key=lambda each: len(each.absolute_path))
    return f"at {place(deepest) or 'the top'}: {_short(deepest.message)}"


def _short(message: str) -> str:
    return message if len(message) <= 300 else f"{message[:100]} … {message[-200:]}"
