"""A clock that only moves when it is told to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class ManualClock:
    """`ports.Clock`: `sleep` returns at once, and moves it on by as much."""

    def __init__(self, now: datetime = datetime(2026, 1, 15, 12, tzinfo=UTC)):
        self._now = now
        self._monotonic = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass, on both faces of the clock."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds
