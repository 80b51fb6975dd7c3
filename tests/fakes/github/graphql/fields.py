"""What resolvers share: how they are declared, what they are given, pages."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.fakes.forge.graphql import Resolvers
from tests.fakes.forge.refusals import Refused, not_found
from tests.fakes.github import access
from tests.fakes.github.access import Actor
from tests.fakes.github.limits import Limits
from tests.fakes.github.records import JSON, Repository
from tests.fakes.github.state import State

LARGEST_PAGE = 100
resolvers = Resolvers()
field, reads = resolvers.field, resolvers.reads


@dataclass(frozen=True)
class Context:
    state: State
    actor: Actor
    limits: Limits

    def seen(self, repository: Repository) -> Repository:
        if not access.sees(self.actor, repository):
            raise not_found()
        return repository


def connection(
    items: Sequence[Any], *, first: int | None = None, after: str | None = None, last: int | None = None, **_filters: Any
) -> JSON:
    """A page of a list; cursors are positions."""
    size = first if first is not None else last
    if size is None or size > LARGEST_PAGE:
        said = (
            "You must provide a `first` or `last` value"
            if size is None
            else f"Requesting {size} records exceeds the limit of 100."
        )
        raise Refused(422, said)
    start = int(base64.b64decode(after)) if after else 0
    if first is None:
        start = max(len(items) - size, 0)
    page = list(items[start : start + size])
    cursors = [base64.b64encode(str(start + index + 1).encode()).decode() for index in range(len(page))]
    return {
        "nodes": page,
        "edges": [{"node": node, "cursor": cursor} for node, cursor in zip(page, cursors, strict=True)],
        "totalCount": len(items),
        "pageInfo": {
            "hasNextPage": start + size < len(items),
            "hasPreviousPage": start > 0,
            "startCursor": cursors[0] if cursors else None,
            "endCursor": cursors[-1] if cursors else None,
        },
    }


def matching(items: Sequence[Any], value_of: Callable[[Any], Any], wanted: Any) -> Sequence[Any]:
    """Those whose value is the wanted one; all, where none is wanted."""
    return items if wanted is None else [each for each in items if value_of(each) == wanted]
