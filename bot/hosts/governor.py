"""When a request to a host may go: its limits, counted for one installation by all workers together."""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from redis import Redis

from bot.errors import HostLimited
from bot.hosts.governor_counts import Counts, Held, ProcessCounts, Reason, RedisCounts, Ticket
from bot.ports import Clock
from bot.store import host_writes
from bot.store.database import Database

HOUR = timedelta(hours=1, seconds=1)
UNSAID_SECONDS = 60.0
"""How long nothing passes after a 429 that does not say."""
RESET_AT_MOST_SECONDS = 3600.0
"""A host's limits are renewed within the hour: a later reset is a mistake of somebody's clock."""
CLOSED_AT_MOST_SECONDS = 86_400.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HostLimits:
    """What a host allows one installation, or one user of it; None is no limit."""

    concurrency: int
    points_per_minute: int
    creates_per_minute: int
    creates_per_hour: int | None = None


GITHUB_LIMITS = HostLimits(concurrency=100, points_per_minute=900, creates_per_minute=80, creates_per_hour=500)
GITLAB_LIMITS = HostLimits(concurrency=50, points_per_minute=2000, creates_per_minute=60)
"""GitLab.com's, of one user: what is bounded a minute are its notes. How many may be under way, it does not say."""


class HostGovernor:
    """Holds requests back so that the host never has to; every request to it goes through one.

    Workers that give the same `key` (the host's URL and the installation) count together: the minute and what is under way in
    Redis, the hour's writes in SQL. Without Redis, or while it is away, the minute is each process' own.
    A request waits on `clock`, for at most `max_wait_seconds` altogether.
    """

    def __init__(
        self,
        redis: Redis | None,
        database: Database,
        clock: Clock,
        key: str,
        limits: HostLimits = GITHUB_LIMITS,
        *,
        max_wait_seconds: float = 90,
    ):
        self._database, self._clock, self._key, self._limits = database, clock, key, limits
        self._max_wait_seconds = max_wait_seconds
        self._counts: list[Counts] = [ProcessCounts(limits)]
        if redis is not None:
            self._counts.append(RedisCounts(redis, key, limits, clock))

    @contextmanager
    def request(self, *, points: int = 1, creates: bool = False) -> Iterator[None]:
        """Enter when the request may go, and be inside of it until its answer has come.

        `creates` is for one that creates content: an issue, a comment, a pull request, a label. Raises HostLimited, which says
        until when, where it would wait for too long; StoreError where the hour's writes cannot be counted.
        """
        ticket = Ticket(secrets.token_hex(8), points, int(creates))
        self._wait_for_a_place(ticket)
        try:
            yield
        finally:
            for counts in self._counts:
                counts.end(ticket)

    def observe(self, status: int, headers: Mapping[str, str]) -> None:
        """Learn from an answer, of whatever status: where it tells to wait, no worker asks anything more until then.

        A 403 that tells of a limit by its words alone is to be given as a 429.
        """
        now = self._clock.now()
        seconds = min(_wanted_wait(status, headers, now), CLOSED_AT_MOST_SECONDS)
        if seconds <= 0:
            return
        log.info("%s wants no requests for %d s", self._key, math.ceil(seconds))
        now_ms = _milliseconds(now)
        for counts in self._counts:
            counts.close(now_ms + math.ceil(seconds * 1000), now_ms)

    def _wait_for_a_place(self, ticket: Ticket) -> None:
        waited = 0.0
        while held := self._take(ticket):
            seconds = max(held.until_ms - _milliseconds(self._clock.now()), 1) / 1000
            if waited + seconds > self._max_wait_seconds:
                raise HostLimited(self._words(held), retry_after=seconds)
            self._clock.sleep(seconds)
            waited += seconds

    def _take(self, ticket: Ticket) -> Held | None:
        """Count the request everywhere, or nowhere and say why."""
        now = self._clock.now()
        now_ms = _milliseconds(now)
        # The hour comes last: its row cannot be taken back, and is to be no older than the request.
        held = next(filter(None, (counts.take(ticket, now_ms) for counts in self._counts)), None) or self._count(ticket, now)
        if held:
            for counts in self._counts:
                counts.withdraw(ticket)
        return held

    def _count(self, ticket: Ticket, now: datetime) -> Held | None:
        cap = self._limits.creates_per_hour
        if not ticket.creates or cap is None:
            return None
        with self._database.transaction() as tx:
            room_from = host_writes.count(tx, self._key, cap=cap, window=HOUR, now=now)
        return Held(Reason.HOUR, _milliseconds(room_from) + 1) if room_from else None

    def _words(self, held: Held) -> str:
        limits = self._limits
        reason = {
            Reason.CLOSED: "it asked for a pause",
            Reason.CONCURRENCY: f"{limits.concurrency} requests are under way",
            Reason.POINTS: f"{limits.points_per_minute} points a minute are used up",
            Reason.CREATES: f"{limits.creates_per_minute} content-creating writes a minute are used up",
            Reason.HOUR: f"{limits.creates_per_hour} content-creating writes an hour are used up",
        }[held.reason]
        until = datetime.fromtimestamp(math.ceil(held.until_ms / 1000), UTC)
        return f"the limits of {self._key} are reached: {reason}; it goes on at {until:%Y-%m-%d %H:%M:%S} UTC"


def _wanted_wait(status: int, headers: Mapping[str, str], now: datetime) -> float:
    """For how many seconds the host wants no request; 0 or less where it does not say so. Names of headers in any case."""
    given = {name.lower(): value.strip() for name, value in headers.items()}
    waits = [_used_up_seconds(given, prefix, now) for prefix in ("x-ratelimit", "ratelimit")]
    if status >= 400 and "retry-after" in given:
        waits.append(_retry_after_seconds(given["retry-after"], now))
    elif status == 429 and max(waits) <= 0:
        waits.append(UNSAID_SECONDS)
    return max(waits)


def _used_up_seconds(headers: Mapping[str, str], prefix: str, now: datetime) -> float:
    reset = headers.get(f"{prefix}-reset", "")
    if headers.get(f"{prefix}-remaining") != "0" or not reset.isascii() or not reset.isdigit():
        return 0
    return min(float(reset) - now.timestamp(), RESET_AT_MOST_SECONDS)


def _retry_after_seconds(value: str, now: datetime) -> float:
    """Seconds, or a date; what is neither counts as not said."""
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return (parsedate_to_datetime(value) - now).total_seconds()
    except (TypeError, ValueError):
        return UNSAID_SECONDS


def _milliseconds(instant: datetime) -> int:
    """Since the epoch, rounded down."""
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
