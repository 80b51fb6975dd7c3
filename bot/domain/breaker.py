"""The circuit breaker on an org's way to the model, as a value and its transitions.

closed --failures in a row--> open --its pause is over--> half-open --an answer--> closed
                                ^---------------- the probe failed ------'
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from bot.domain.org_policies import BreakerPolicy


class CircuitState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class Circuit:
    """What all workers of an org know of the way to the model. Instants are seconds since the epoch, 0 is never.

    `failures` are those in a row, `reason` is the last one's. Nobody asks before `hold_until`: the pause of an open circuit,
    or what the API asked for by Retry-After, also while closed. Half-open, one request may ask, the `probe`; one whose end
    nobody tells of gives way to the next at `probe_until`.
    """

    failures: int = 0
    reason: str = ""
    opened_at: float = 0
    hold_until: float = 0
    probe: str = ""
    probe_until: float = 0

    def state(self, now: float) -> CircuitState:
        if not self.opened_at:
            return CircuitState.CLOSED
        return CircuitState.OPEN if now < self.hold_until else CircuitState.HALF_OPEN

    def explain(self, now: float) -> str:
        """Why requests wait; "" where they do not."""
        match self.state(now):
            case CircuitState.CLOSED:
                return f"the API asks to hold back ({self.reason})" if now < self.hold_until else ""
            case CircuitState.OPEN:
                return f"the circuit breaker is open, failures in a row: {self.failures}, the last one: {self.reason}"
            case CircuitState.HALF_OPEN:
                return f"the circuit breaker is half-open: one request at a time tries whether the API is back ({self.reason})"

    def to_json(self, now: float) -> dict[str, Any]:
        """`since`: when it opened; `until`: nobody asks before; ISO 8601, None for never. `reason` explains in words."""
        return {
            "state": self.state(now).value,
            "since": _iso(self.opened_at) if self.opened_at else None,
            "until": _iso(self.hold_until) if now < self.hold_until else None,
            "failures": self.failures,
            "reason": self.explain(now),
        }

    def asked(self, request: str, now: float, policy: BreakerPolicy) -> tuple[Circuit, float]:
        """A request would like to go: after how many seconds it may ask again, 0 when it may go."""
        free_at = max(self.hold_until, self.probe_until)
        if now < free_at:
            return self, free_at - now
        if not self.opened_at:
            return self, 0
        return replace(self, probe=request, probe_until=now + policy.reset_seconds), 0

    def answered(self, request: str) -> Circuit:
        """The API has begun to answer: a probe's answer closes the circuit, before the whole of it is there."""
        return self._closed() if self._is_probe(request) else self

    def completed(self) -> Circuit:
        """An answer came whole. One that was asked for before the circuit opened does not close it."""
        return self if self.opened_at else self._closed()

    def failed(self, request: str, reason: str, now: float, policy: BreakerPolicy, *, retry_after: float = 0) -> Circuit:
        """A request failed. While the circuit is open, only the probe's failure counts, but every `retry_after` holds."""
        held = replace(self, reason=reason)
        if retry_after > 0:
            held = replace(held, hold_until=max(self.hold_until, now + retry_after))
        if self.opened_at:
            return held._opened(now, policy) if self._is_probe(request) else held
        counted = replace(held, failures=self.failures + 1)
        return counted._opened(now, policy) if counted.failures >= policy.failures else counted

    def withdrawn(self, request: str) -> Circuit:
        """A request that was let go is not sent after all: another one may be the probe."""
        return replace(self, probe="", probe_until=0) if self._is_probe(request) else self

    def _is_probe(self, request: str) -> bool:
        return bool(self.opened_at) and self.probe == request

    def _opened(self, now: float, policy: BreakerPolicy) -> Circuit:
        """Open for a pause; `opened_at` stays where the trouble began."""
        until = max(self.hold_until, now + policy.reset_seconds)
        return replace(self, opened_at=self.opened_at or now, hold_until=until, probe="", probe_until=0)

    def _closed(self) -> Circuit:
        return replace(self, failures=0, opened_at=0, probe="", probe_until=0)


def _iso(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="seconds")
