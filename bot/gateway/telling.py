"""Tells the run's timeline of requests that wait, were refused or failed."""

from __future__ import annotations

import logging
from collections import Counter
from threading import Lock
from typing import Any

from bot.domain.redaction import one_line
from bot.errors import WhimbrelError
from bot.ports import Emit

TOLD_AT_MOST = 50

log = logging.getLogger(__name__)


class Telling:
    """Tells of the first TOLD_AT_MOST of each kind of event: an agent may make any number. Called from several threads."""

    def __init__(self, emit: Emit):
        self._emit = emit
        self._lock = Lock()
        self._told: Counter[str] = Counter()

    def __call__(self, event: str, message: str, **data: Any) -> None:
        """Never raises for a timeline that cannot be written: the client's answer is what matters then."""
        with self._lock:
            self._told[event] += 1
            number = self._told[event]
        if number > TOLD_AT_MOST:
            return
        last = " (further ones are not told)" if number == TOLD_AT_MOST else ""
        try:
            self._emit(f"{one_line(message, 400)}{last}", event=event, **data)
        except WhimbrelError as error:
            log.warning("the timeline could not be told of a request: %s", error)
