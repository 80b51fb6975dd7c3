"""What a host answers instead of doing what it was asked."""

from __future__ import annotations

from typing import Any


class Refused(Exception):
    """A status, a message, and what else is told of it; each host words the body of it in its own way."""

    def __init__(self, status: int, message: str, *, errors: list[Any] | None = None, headers: dict[str, str] | None = None):
        super().__init__(f"{status} {message}")
        self.status, self.message = status, message
        self.errors, self.headers = errors, headers or {}


def not_found(message: str = "Not Found") -> Refused:
    return Refused(404, message)
