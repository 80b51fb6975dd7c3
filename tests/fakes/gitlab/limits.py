"""GitLab's rate limits, on the hub's clock. None of them is in force until it is given a figure."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

from bot.ports import Clock
from tests.fakes.forge.refusals import Refused
from tests.fakes.forge.windows import MINUTE, Fixed
from tests.fakes.gitlab.state import Worded

SHOWN = 2000
"""What the headers say is allowed where nothing is in force."""


class Throttled(Refused):
    """429 by the throttle in front of everything: plain text, and not JSON."""


@dataclass
class Limits:
    """Those of gitlab.com for one user. Only the first is told by headers; the other two are refused without a warning."""

    clock: Clock
    requests_per_minute: int | None = None
    notes_per_minute: int | None = None
    projects_per_minute: int | None = None
    """Of the list of a group's projects."""
    hook_tests_per_minute: int | None = None
    refusals: int = 0
    """How many requests were refused so far."""
    notes: list[float] = field(default_factory=list)
    """The moment (POSIX seconds) of every note that was let in."""
    at_once: int = 0
    most_at_once: int = 0
    _windows: dict[tuple[str, str], Fixed] = field(default_factory=lambda: defaultdict(lambda: Fixed(MINUTE)))

    def enforce(self) -> None:
        """All of them, as GitLab documents them."""
        self.requests_per_minute, self.notes_per_minute, self.projects_per_minute = 2000, 60, 600
        self.hook_tests_per_minute = 5

    def charge(self, who: str) -> None:
        """Count a request, or raise 429. Called under the lock."""
        window = self._window(who, "throttle_authenticated_api")
        window.used += 1
        if self.requests_per_minute is not None and window.used > self.requests_per_minute:
            self.refusals += 1
            headers = {**self.headers(who), "Retry-After": str(self._seconds(window)), "Content-Type": "text/plain"}
            raise Throttled(429, "Retry later\n", headers=headers)

    def charge_note(self, who: str) -> None:
        self._charge(who, "notes_create", self.notes_per_minute)
        self.notes.append(self.clock.now().timestamp())

    def charge_projects(self, who: str) -> None:
        self._charge(who, "group_projects_api", self.projects_per_minute)

    def charge_hook_test(self, who: str) -> None:
        self._charge(who, "web_hook_test", self.hook_tests_per_minute)

    def _charge(self, who: str, name: str, cap: int | None) -> None:
        window = self._window(who, name)
        if cap is not None and window.used >= cap:
            self.refusals += 1
            said = "This endpoint has been requested too many times. Try again later."
            raise Worded(429, {"message": {"error": said}}, headers={"Retry-After": str(self._seconds(window))})
        window.used += 1

    def headers(self, who: str) -> dict[str, str]:
        """RateLimit-*, as they stand on every answer."""
        window, limit = self._window(who, "throttle_authenticated_api"), self.requests_per_minute or SHOWN
        return {
            "RateLimit-Limit": str(limit),
            "RateLimit-Name": "throttle_authenticated_api",
            "RateLimit-Observed": str(window.used),
            "RateLimit-Remaining": str(max(limit - window.used, 0)),
            "RateLimit-Reset": str(int(window.reset)),
        }

    def enter(self) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)

    def leave(self) -> None:
        self.at_once -= 1

    def _window(self, who: str, name: str) -> Fixed:
        return self._windows[who, name].at(self.clock.now().timestamp())

    def _seconds(self, window: Fixed) -> int:
        return max(1, math.ceil(window.reset - self.clock.now().timestamp()))
