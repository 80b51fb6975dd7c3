"""Counts of requests in a stretch of time, which rate limits are made of."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

MINUTE, HOUR = 60.0, 3600.0


@dataclass
class Sliding:
    """The points of the last `seconds`, as (moment, points)."""

    seconds: float
    spent: deque[tuple[float, int]] = field(default_factory=deque)

    def wait(self, now: float, points: int, cap: int | None) -> float:
        """Seconds until there is room; 0 for at once."""
        while self.spent and self.spent[0][0] <= now - self.seconds:
            self.spent.popleft()
        if cap is None or sum(each for _, each in self.spent) + points <= cap:
            return 0.0
        return max(self.spent[0][0] + self.seconds - now, 1.0) if self.spent else self.seconds


@dataclass
class Fixed:
    """A stretch of `seconds` that begins with its first request."""

    seconds: float
    used: int = 0
    reset: float = 0.0

    def at(self, now: float) -> Fixed:
        """Itself, emptied where its time is over."""
        if now >= self.reset:
            self.used, self.reset = 0, math.floor(now + self.seconds)
        return self
