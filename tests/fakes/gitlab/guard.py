"""Holds what passes through the fake against GitLab's own description: requests and answers.

The description tells more than it means (every string could be null) and less than there is (fields, statuses, bodies in JSON).
Where GitLab is known to do otherwise, that is excepted below by name, with the reason. In return the guard is stricter than the
description: an answer may have no field that is not told.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Request, Response

from tests.contract import gitlab_description
from tests.fakes.forge.guard import Answered, Asked, Description, Exchange, Guard, place

HOST = "https://gitlab.com"
PREFIX = "/api/v4"

CROSS_CUTTING = {302, 400, 401, 403, 404, 405, 406, 409, 422, 429}
"""What GitLab answers everywhere, but describes for some operations only, and never with a body."""

UNTOLD_STATUS = {
    ("POST", "/projects/<id>/repository/commits"): "a commit that is made is answered 201; 200 is described",
    ("POST", "/projects/<id>/statuses/<sha>"): "a status that is made is answered 201; 200 is described",
}
"""Answers whose status is not described: they are held against the one that is."""

UNTRUE = {
    (r"", r"", "null"): "nothing is marked as nullable, though merged_at, assignee, description and many more are null",
    (
        r"^answer",
        r"(^|/)(approvals_before_merge|mirror|requirements_enabled|merge_pipelines_enabled|merge_trains_enabled|access_level"
        r"|followers|following|parent_id)$",
        "type",
    ): "what GitLab's source gives no type is described as a string",
    (
        r"^answer",
        r"(^|/)(approved_by|projects|shared_projects|identities)$",
        "type",
    ): "a list of an entity is described as the entity itself",
    (
        r"^answer GET .*/(reviewers|participants|pipelines|access_tokens) ",
        r"^$",
        "type",
    ): "a list of an entity is described as the entity itself",
    (r"^answer", r"(^|/)(expires_at|last_activity_on)$", "format"): "a date without a time, described as one with it",
    (r"^request", r"^(labels|add_labels|remove_labels|scopes)$", "type"): "names with commas between are taken for a list",
    (r"^request POST .*/repository/commits ", r"^$", "required"): "`file` is described as required, which no request has",
}
"""What GitLab does though its schema has it otherwise: patterns of the exchange and the place, and the kind of finding."""

UNTOLD_FIELDS = {
    r"^GET /api/v4/projects ": "what a list of all projects tells is described for simple=true alone",
    r"^(GET|POST) \S+/(approvals|approve) ": "the documents show more of approvals, which Premium has, than is described",
}
"""Fields that are not described, by a pattern of `METHOD path place`, with the reason."""


class GitLabGuard:
    """Give it exchanges; `finish` returns what was wrong with them, each in words."""

    def __init__(self) -> None:
        self._guard = Guard(_is_untrue)
        self.finish = self._guard.finish

    def check(self, request: Request, rule: tuple[str, str], response: Response) -> None:
        path = str(request.environ["REQUEST_URI"]).partition("?")[0]
        exchange = Exchange.of(request, (rule[0], PREFIX + rule[1]), path, response)
        lists = [(name.removesuffix("[]"), value) for name, value in request.args.items(multi=True)]
        exchange = replace(exchange, query=MultiDict(lists))
        self._guard.check(exchange.key, lambda: self._exchange(exchange, rule))

    def _exchange(self, exchange: Exchange, rule: tuple[str, str]) -> None:
        operation = _described().operation(exchange)
        if operation is None:
            self._guard.violations.append(f"{exchange}: GitLab has no such operation")
            return
        asked, described = Asked.by(exchange, HOST), _described().of(exchange.template)
        if exchange.status < 400 and exchange.rule[0] != "HEAD":
            self._guard.hold(f"request {exchange}", lambda: described.validate_request(asked))
        if exchange.status not in CROSS_CUTTING:
            self._answer(exchange, rule, operation)

    def _answer(self, exchange: Exchange, rule: tuple[str, str], operation: Mapping[str, Any]) -> None:
        status = next(iter(operation["responses"])) if rule in UNTOLD_STATUS else str(exchange.status)
        if status not in operation["responses"]:
            self._guard.violations.append(f"answer {exchange}: GitLab tells of {', '.join(operation['responses'])} alone")
            return
        schema = _schema(operation["responses"][status])
        if schema is None or not exchange.response_body:
            return
        described = _described().of(exchange.template)
        answer = Answered.by(exchange)
        answer.status_code = int(status)
        asked = Asked.by(exchange, HOST)
        self._guard.hold(f"answer {exchange}", lambda: described.validate_response(asked, answer))
        for at in _untold(schema, json.loads(exchange.response_body), ""):
            if not any(re.search(pattern, f"{exchange.rule[0]} {exchange.template} {at}") for pattern in UNTOLD_FIELDS):
                self._guard.violations.append(f"answer {exchange}: at {at}: GitLab tells of no such field")


def _is_untrue(what: str, error: Any) -> bool:
    kind = "null" if error.instance is None else error.validator
    return any(re.search(exchange, what) and re.search(at, place(error)) and kind == found for exchange, at, found in UNTRUE)


@cache
def _described() -> Description:
    document = copy.deepcopy(gitlab_description.description())
    for item in document["paths"].values():
        for operation in item.values():
            operation["security"] = []  # who may do what is the fake's own business
            _take_json(operation)
    return Description(document)


def _take_json(operation: dict[str, Any]) -> None:
    """GitLab takes JSON for whatever it takes as a form; the description tells of the form alone for some operations."""
    content = operation.get("requestBody", {}).get("content", {})
    form = content.get("multipart/form-data") or content.get("application/x-www-form-urlencoded")
    if form is not None:
        content.setdefault("application/json", form)


def _schema(response: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = response.get("content", {}).get("application/json", {}).get("schema")
    return found


def _untold(schema: Mapping[str, Any], value: Any, at: str) -> Iterator[str]:
    """Where the value has fields that the schema does not know."""
    told = _resolved(schema)
    if isinstance(value, list):
        for each in value:
            yield from _untold(told.get("items", {}), each, at)
    elif isinstance(value, dict) and told.get("properties"):
        for name, each in value.items():
            here = f"{at}/{name}" if at else name
            if name not in told["properties"]:
                yield here
            else:
                yield from _untold(told["properties"][name], each, here)


def _resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        schema = gitlab_description.description()["components"]["schemas"][name]
    if "allOf" in schema:
        parts = [_resolved(each) for each in schema["allOf"]]
        return {**schema, "properties": {name: each for part in parts for name, each in part.get("properties", {}).items()}}
    return schema
