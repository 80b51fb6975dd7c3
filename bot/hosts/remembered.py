"""What a host was asked a moment ago: remembered for as long as a person takes to write another comment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from bot.hosts.http_transport import Now

KEPT = timedelta(minutes=1)
_MOST = 1000


class Remembered:
    """Answers of yes and no; threads may share it."""

    def __init__(self, now: Now):
        self._now, self._lock = now, threading.Lock()
        self._known: dict[tuple[str, ...], tuple[datetime, bool]] = {}

    def get(self, ask: Callable[[], bool], *about: str) -> bool:
        """The answer about these names, which hosts tell apart without regard to case."""
        key = tuple(name.lower() for name in about)
        with self._lock:
            until, answer = self._known.get(key, (self._now(), False))
        if until <= self._now():
            answer = ask()
            with self._lock:
                if len(self._known) >= _MOST:
                    self._known.clear()
                self._known[key] = self._now() + KEPT, answer
        return answer
