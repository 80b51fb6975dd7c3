"""GitHub's rate limits, on the hub's clock. None of them is in force until it is given a figure."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

from bot.ports import Clock
from tests.fakes.forge.refusals import Refused
from tests.fakes.forge.windows import HOUR, MINUTE, Fixed, Sliding
from tests.fakes.github.records import JSON

SHOWN = 5000
"""What the headers say is allowed where nothing is in force."""


@dataclass
class Limits:
    """`content` counts what makes issues, pull requests, comments and reviews. Secondary limits are told by no header."""

    clock: Clock
    primary_per_hour: int | None = None
    points_per_minute: int | None = None
    content_per_minute: int | None = None
    content_per_hour: int | None = None
    concurrent: int | None = None
    refusals: int = 0
    """How many requests were refused so far."""
    most_at_once: int = 0
    contents: list[float] = field(default_factory=list)
    """The moment (POSIX seconds) of every content-creating request that was let in."""
    _primary: dict[tuple[str, str], Fixed] = field(default_factory=lambda: defaultdict(lambda: Fixed(HOUR)))
    _points: dict[str, Sliding] = field(default_factory=lambda: defaultdict(lambda: Sliding(MINUTE)))
    _content_minute: dict[str, Sliding] = field(default_factory=lambda: defaultdict(lambda: Sliding(MINUTE)))
    _content_hour: dict[str, Sliding] = field(default_factory=lambda: defaultdict(lambda: Sliding(HOUR)))
    _at_once: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def enforce(self) -> None:
        """All of them, as GitHub documents them."""
        self.primary_per_hour, self.points_per_minute = 5000, 900
        self.content_per_minute, self.content_per_hour = 80, 500
        self.concurrent = 100

    def charge(self, who: str, *, write: bool, content: bool, resource: str = "core") -> None:
        """Count a request, or raise 403 (or 429) with what GitHub says of it. Called under the lock."""
        now, points = self.clock.now().timestamp(), 5 if write else 1
        primary = self._primary[who, resource].at(now)
        if self.primary_per_hour is not None and primary.used >= self.primary_per_hour:
            self.refusals += 1
            raise Refused(403, f"API rate limit exceeded for {who}.", headers=self.headers(who, resource))
        waits = [self._points[who].wait(now, points, self.points_per_minute)]
        if content:
            waits.append(self._content_minute[who].wait(now, 1, self.content_per_minute))
            waits.append(self._content_hour[who].wait(now, 1, self.content_per_hour))
        if max(waits) > 0:
            raise self._secondary(max(waits))
        primary.used += 1
        self._points[who].spent.append((now, points))
        if content:
            self._content_minute[who].spent.append((now, 1))
            self._content_hour[who].spent.append((now, 1))
            self.contents.append(now)

    def refund(self, who: str, resource: str = "core") -> None:
        """A 304 costs nothing of the primary limit."""
        self._primary[who, resource].used -= 1

    def enter(self, who: str) -> None:
        """One more at once; raises as `charge` does. Called under the lock."""
        if self.concurrent is not None and self._at_once[who] >= self.concurrent:
            raise self._secondary(MINUTE)
        self._at_once[who] += 1
        self.most_at_once = max(self.most_at_once, self._at_once[who])

    def leave(self, who: str) -> None:
        self._at_once[who] -= 1

    def _secondary(self, seconds: float) -> Refused:
        self.refusals += 1
        said = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
        return Refused(403, said, headers={"retry-after": str(math.ceil(seconds))})

    def headers(self, who: str, resource: str = "core") -> dict[str, str]:
        """x-ratelimit-*, as they stand on every answer."""
        told = self.figures(who)[resource]
        return {f"x-ratelimit-{name}": str(value) for name, value in {**told, "resource": resource}.items()}

    def figures(self, who: str) -> dict[str, JSON]:
        """What /rate_limit tells, by resource."""
        now, limit = self.clock.now().timestamp(), self.primary_per_hour or SHOWN
        found = {name: self._primary[who, name].at(now) for name in ("core", "graphql")}
        shown = {
            name: {"limit": limit, "remaining": max(limit - each.used, 0), "reset": int(each.reset), "used": each.used}
            for name, each in found.items()
        }
        return {**shown, "search": {"limit": 30, "remaining": 30, "reset": int(now + MINUTE), "used": 0}}
