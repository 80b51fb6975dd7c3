"""GraphQL on a schema of our own (`schema`): graphql-core validates and runs the documents, the resolvers here answer them."""

from __future__ import annotations

from contextlib import suppress
from functools import cache

from graphql import GraphQLError, GraphQLSchema, build_schema, parse

from tests.fakes.forge.graphql import run
from tests.fakes.gitlab import access, merging
from tests.fakes.gitlab.access import Actor
from tests.fakes.gitlab.graphql import complexity, merge_requests, projects
from tests.fakes.gitlab.graphql.fields import Context, resolvers
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
        if refusal := _too_much(asked):
            return {"errors": [{"message": refusal}]}
        context = Context(self._state, actor)
        told = run(_schema(), resolvers, asked, context, refused=lambda _: {})
        for each in context.looked_at:
            merging.look(each)
        return told


def _too_much(asked: JSON) -> str:
    """What is no GraphQL at all is refused later, with its own words."""
    with suppress(GraphQLError):
        points = complexity.points(parse(asked["query"]), asked.get("variables") or {})
        if points > complexity.MOST:
            return f"Query has complexity of {points}, which exceeds max complexity of {complexity.MOST}"
    return ""
