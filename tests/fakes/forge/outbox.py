"""A thread that posts webhooks one after the other, as they were queued."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import Queue
from threading import Thread

import httpx

PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    """What came of a POST. A `status_code` of 502 or 504 with a `problem`: no answer came."""

    status_code: int
    problem: str = ""
    duration: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""

    @property
    def ok(self) -> bool:
        return 200 <= self.status_code < 300


class Outbox:
    """`send` is given what was queued, in order, in a thread of its own; it posts by `post`."""

    def __init__(self, send: Callable[[int], None]):
        self._send = send
        self._queue: Queue[int | None] = Queue()
        self._client = httpx.Client(timeout=PATIENCE_SECONDS, trust_env=False, verify=False)
        self._thread = Thread(target=self._work, name="webhooks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Send what is queued, and end."""
        self._queue.put(None)
        self._thread.join()
        self._client.close()

    def drain(self) -> None:
        """Return when all that has happened so far was answered, or was given up."""
        self._queue.join()

    def put(self, number: int) -> None:
        self._queue.put(number)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        begun = time.monotonic()
        try:
            answer = self._client.post(url, content=body, headers=dict(headers))
        except httpx.TimeoutException:
            return Answer(504, "timed out", PATIENCE_SECONDS)
        except httpx.HTTPError:
            return Answer(502, "failed to connect to host")
        return Answer(answer.status_code, "", round(time.monotonic() - begun, 2), dict(answer.headers), answer.text)

    def _work(self) -> None:
        while (number := self._queue.get()) is not None:
            try:
                self._send(number)
            finally:
                self._queue.task_done()
        self._queue.task_done()
