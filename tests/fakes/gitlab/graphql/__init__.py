"""GraphQL on a schema of our own (`schema`): graphql-core validates and runs the documents, the resolvers here answer them."""

from __future__ import annotations

from functools import cache
from typing import Any

from graphql import GraphQLError, GraphQLResolveInfo, GraphQLSchema, build_schema, default_field_resolver, execute_sync, parse
from graphql import validate as validated

from tests.fakes.forge.refusals import Refused
from tests.fakes.gitlab import access, merging
from tests.fakes.gitlab.access import Actor
from tests.fakes.gitlab.graphql import merge_requests, projects
from tests.fakes.gitlab.graphql.fields import Context, resolver
from tests.fakes.gitlab.graphql.schema import SDL
from tests.fakes.gitlab.records import JSON
from tests.fakes.gitlab.state import State

__all__ = ["GraphQL", "merge_requests", "projects"]


@cache
def _schema() -> GraphQLSchema:
    return build_schema(SDL)


class GraphQL:
    def __init__(self, state: State):
        self._state = state

    def run(self, asked: JSON, actor: Actor) -> JSON:
        """Answer `{query, variables}` as GitLab does: 200, with what is wrong under `errors`."""
        access.require_scope(actor, "api", "read_api")
        try:
            document = parse(asked["query"])
        except GraphQLError as wrong:
            return {"errors": [wrong.formatted]}
        if found := validated(_schema(), document):
            return {"errors": [each.formatted for each in found]}
        context = Context(self._state, actor)
        done = execute_sync(
            _schema(), document, context_value=context,
            variable_values=asked.get("variables") or {}, operation_name=asked.get("operationName"), field_resolver=_resolve,
        )  # fmt: skip
        for each in context.looked_at:
            merging.look(each)
        told: JSON = {"data": done.data}
        if done.errors:
            told["errors"] = [_error(each) for each in done.errors]
        return told


def _error(error: GraphQLError) -> JSON:
    original = error.original_error
    if isinstance(original, Refused):
        return {**error.formatted, "message": original.message}
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
