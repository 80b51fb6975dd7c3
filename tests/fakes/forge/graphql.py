"""GraphQL of a fake: graphql-core validates and runs the documents, resolvers that are declared field by field answer them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    GraphQLTypeResolver,
    default_field_resolver,
    execute_sync,
    parse,
    validate,
)

from tests.fakes.forge.refusals import Refused

JSON = dict[str, Any]
Resolver = Callable[..., Any]


class Resolvers:
    """Those of one fake. A field without one is a key of the source, or an attribute of that name."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, str], Resolver] = {}

    def field(self, of: str, name: str) -> Callable[[Resolver], Resolver]:
        """Declare the resolver of a field: a function of (source, context, **arguments)."""

        def declare(found: Resolver) -> Resolver:
            self._all[of, name] = found
            return found

        return declare

    def reads(self, of: str, **fields: str | Callable[[Any], Any]) -> None:
        """Fields that are an attribute under another name, or are computed from the source alone."""
        for name, found in fields.items():
            self._all[of, name] = _read(found)

    def resolve(self, source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        found = self._all.get((info.parent_type.name, info.field_name))
        if found is not None:
            return found(source, info.context, **arguments)
        known = info.field_name in source if isinstance(source, dict) else hasattr(source, info.field_name)
        if not known:
            raise NotImplementedError(f"the fake does not answer {info.parent_type.name}.{info.field_name}")
        return default_field_resolver(source, info, **arguments)


def _read(found: str | Callable[[Any], Any]) -> Resolver:
    if callable(found):
        return lambda source, _context: found(source)
    return lambda source, _context: getattr(source, found)


def run(
    schema: GraphQLSchema,
    resolvers: Resolvers,
    asked: JSON,
    context: object,
    *,
    refused: Callable[[Refused], JSON],
    type_resolver: GraphQLTypeResolver | None = None,
) -> JSON:
    """Answer `{query, variables}`: data and errors. `refused` is what a refusal adds to its error."""
    try:
        document = parse(asked["query"])
    except GraphQLError as wrong:
        return {"errors": [wrong.formatted]}
    if found := validate(schema, document):
        return {"errors": [each.formatted for each in found]}
    done = execute_sync(
        schema, document, context_value=context, variable_values=asked.get("variables") or {},
        operation_name=asked.get("operationName"), field_resolver=resolvers.resolve, type_resolver=type_resolver,
    )  # fmt: skip
    told: JSON = {"data": done.data}
    if done.errors:
        told["errors"] = [_error(each, refused) for each in done.errors]
    return told


def _error(error: GraphQLError, refused: Callable[[Refused], JSON]) -> JSON:
    original = error.original_error
    if isinstance(original, Refused):
        return {**error.formatted, **refused(original), "message": original.message}
    if original is not None:
        raise original
    return dict(error.formatted)
