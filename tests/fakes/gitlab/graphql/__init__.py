"""GraphQL on a schema of our own (`schema`): graphql-core validates and runs the documents, the resolvers here answer them."""

from __future__ import annotations

from functools import cache

from graphql import GraphQLSchema, build_schema

from tests.fakes.forge.graphql import run
from tests.fakes.gitlab import access, merging
from tests.fakes.gitlab.access import Actor
from tests.fakes.gitlab.graphql import merge_requests, projects
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
        context = Context(self._state, actor)
        told = run(_schema(), resolvers, asked, context, refused=lambda _: {})
        for each in context.looked_at:
            merging.look(each)
        return told
