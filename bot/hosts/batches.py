"""What is read of many repositories at once, without asking for more than a host gives in time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from bot.domain.repositories import Repository
from bot.errors import HostError, HostLimited, HostUnavailable, NotFound
from bot.ports import ReadsInBulk

T = TypeVar("T")
R = TypeVar("R")


class TooMuch(HostError):
    """The host refuses to answer so much at once, however often it is asked."""


def slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def in_parts(items: Sequence[T], read: Callable[[Sequence[T]], Iterable[R]]) -> list[R]:
    """What `read` gives of all the items; of each half of them, where that is too much for the host, or takes it too long."""
    try:
        return list(read(items))
    except HostLimited:
        raise
    except (HostUnavailable, TooMuch):
        if len(items) <= 1:
            raise
        half = len(items) // 2
        return in_parts(items[:half], read) + in_parts(items[half:], read)


def read_one(host: ReadsInBulk, repository: Repository, paths: Iterable[str]) -> Mapping[str, bytes]:
    """`Host.read_files`. Raises NotFound for a repository that is left out where many are read."""
    found = host.read_many([repository], paths)
    if repository.name not in found:
        raise NotFound(f"there is no repository {repository.full_name}, or the bot may not see it")
    return found[repository.name]


def pages(
    ask: Callable[[str, Mapping[str, Any]], Mapping[str, Any]],
    document: str,
    variables: Mapping[str, Any],
    root: str,
    connection: str,
) -> Iterator[Mapping[str, Any]]:
    """Each page's root object of a GraphQL query, with the page in its `connection`; none where there is no such root."""
    after: str | None = None
    while True:
        found: Mapping[str, Any] | None = ask(document, {**variables, "after": after})[root]
        if found is None:
            return
        yield found
        info = found[connection]["pageInfo"]
        if not info["hasNextPage"]:
            return
        after = info["endCursor"]
