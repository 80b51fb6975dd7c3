"""GraphQL on GitHub's own schema: graphql-core validates and runs the documents, the resolvers here answer them."""

from __future__ import annotations

from typing import Any

import pygit2
from graphql import GraphQLError, GraphQLResolveInfo, default_field_resolver, execute_sync, parse, validate

from tests.contract import descriptions
from tests.fakes.forge.refusals import Refused
from tests.fakes.github.access import Actor
from tests.fakes.github.graphql import mutations, pulls, repositories
from tests.fakes.github.graphql.fields import Context, resolver
from tests.fakes.github.limits import Limits
from tests.fakes.github.records import JSON, Account, Comment, Issue, Pull, Repository, Review, Team
from tests.fakes.github.state import State

__all__ = ["GraphQL", "mutations", "pulls", "repositories"]

_ERRORS = {404: "NOT_FOUND", 403: "FORBIDDEN", 409: "STALE_DATA", 422: "UNPROCESSABLE"}
_NAMES: dict[type, str] = {
    Repository: "Repository",
    Pull: "PullRequest",
    Issue: "Issue",
    Comment: "IssueComment",
    Review: "PullRequestReview",
    Team: "Team",
    pygit2.Commit: "Commit",
    pygit2.Blob: "Blob",
    pygit2.Tree: "Tree",
}


class GraphQL:
    def __init__(self, state: State):
        self._state = state
        self._schema = descriptions.graphql()

    def run(self, asked: JSON, actor: Actor, limits: Limits) -> JSON:
        """Answer `{query, variables}` as GitHub does: data and errors, each error with its type and path."""
        try:
            document = parse(asked["query"])
        except GraphQLError as wrong:
            return {"errors": [wrong.formatted]}
        if found := validate(self._schema, document):
            return {"errors": [each.formatted for each in found]}
        done = execute_sync(
            self._schema, document, context_value=Context(self._state, actor, limits),
            variable_values=asked.get("variables") or {}, operation_name=asked.get("operationName"),
            field_resolver=_resolve, type_resolver=lambda value, *_: _type_name(value),
        )  # fmt: skip
        told: JSON = {"data": done.data}
        if done.errors:
            told["errors"] = [_error(each) for each in done.errors]
        return told


def _error(error: GraphQLError) -> JSON:
    original = error.original_error
    if isinstance(original, Refused):
        return {**error.formatted, "type": _ERRORS.get(original.status, "UNPROCESSABLE"), "message": original.message}
    if original is not None:
        raise original
    return dict(error.formatted)


def _resolve(source: Any, info: GraphQLResolveInfo[Context], **arguments: Any) -> Any:
    found = resolver(info.parent_type.name, info.field_name)
    if found is not None:
        return found(source, info.context, **arguments)
    known = info.field_name in source if isinstance(source, dict) else hasattr(source, info.field_name)
    if not known:
        raise NotImplementedError(f"the fake does not answer {info.parent_type.name}.{info.field_name}")
    return default_field_resolver(source, info, **arguments)


def _type_name(value: Any) -> str:
    if isinstance(value, Account):
        return value.type.value
    if isinstance(value, dict):
        return str(value["__typename"])
    return _NAMES[type(value)]
