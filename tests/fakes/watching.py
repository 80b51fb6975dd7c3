"""A governor that lets everything pass, and remembers it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class Watching:
    """`Governor`: what it was asked and told."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, bool]] = []
        self.told: list[int] = []

    @contextmanager
    def request(self, *, points: int = 1, creates: bool = False) -> Iterator[None]:
        self.asked.append((points, creates))
        yield

    def observe(self, status: int, headers: Mapping[str, str]) -> None:
        assert all(name == name.lower() for name in headers)
        self.told.append(status)
