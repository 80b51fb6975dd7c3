"""What is read of many repositories at once, without asking for more than a host gives in time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from bot.errors import HostLimited, HostUnavailable

T = TypeVar("T")
R = TypeVar("R")


def slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def in_parts(items: Sequence[T], read: Callable[[Sequence[T]], Iterable[R]]) -> list[R]:
    """What `read` gives of all the items; of each half of them, where that takes the host too long at once."""
    try:
        return list(read(items))
    except HostLimited:
        raise
    except HostUnavailable:
        if len(items) <= 1:
            raise
        half = len(items) // 2
        return in_parts(items[:half], read) + in_parts(items[half:], read)
