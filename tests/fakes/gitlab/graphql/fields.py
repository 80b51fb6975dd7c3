"""How a field is resolved, and how a list is cut into pages."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.forge.graphql import Resolvers
from tests.fakes.gitlab.access import Actor
from tests.fakes.gitlab.records import JSON, MergeRequest
from tests.fakes.gitlab.state import State

LARGEST_PAGE = 100


@dataclass(frozen=True)
class Context:
    state: State
    actor: Actor
    looked_at: list[MergeRequest] = field(default_factory=list)
    """Of which it was asked whether they can be merged."""


resolvers = Resolvers()
on, reads = resolvers.field, resolvers.reads


def gid(kind: str, number: int) -> str:
    return f"gid://gitlab/{kind}/{number}"


def page(items: Sequence[Any], *, first: int | None = None, last: int | None = None, **between: str | None) -> JSON:
    """The connection of what comes `after` or `before` a cursor, a hundred at most."""
    begin, end = 0, len(items)
    if after := between.get("after"):
        begin = _place(after) + 1
    if before := between.get("before"):
        end = _place(before)
    size = min(first or last or LARGEST_PAGE, LARGEST_PAGE)
    if last is not None and first is None:
        begin = max(begin, end - size)
    stop = min(end, begin + size)
    told = {
        "hasNextPage": stop < len(items),
        "hasPreviousPage": begin > 0,
        "startCursor": _cursor(begin) if stop > begin else None,
        "endCursor": _cursor(stop - 1) if stop > begin else None,
    }
    return {"nodes": list(items[begin:stop]), "pageInfo": told, "count": len(items)}


def _cursor(place: int) -> str:
    return base64.b64encode(f'{{"id":"{place}"}}'.encode()).decode()


def _place(cursor: str) -> int:
    return int(base64.b64decode(cursor).decode().split('"')[3])
