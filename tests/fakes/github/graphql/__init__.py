"""GraphQL on GitHub's own schema: graphql-core validates and runs the documents, the resolvers here answer them."""

from __future__ import annotations

from typing import Any

import pygit2

from tests.contract import descriptions
from tests.fakes.forge.graphql import run
from tests.fakes.forge.refusals import Refused
from tests.fakes.github.access import Actor
from tests.fakes.github.graphql import mutations, pulls, repositories
from tests.fakes.github.graphql.fields import Context, resolvers
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
        context = Context(self._state, actor, limits)
        return run(self._schema, resolvers, asked, context, refused=_type, type_resolver=lambda value, *_: _type_name(value))


def _type(refused: Refused) -> JSON:
    return {"type": _ERRORS.get(refused.status, "UNPROCESSABLE")}


def _type_name(value: Any) -> str:
    if isinstance(value, Account):
        return value.type.value
    if isinstance(value, dict):
        return str(value["__typename"])
    return _NAMES[type(value)]
