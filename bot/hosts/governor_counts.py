"""What is counted of a host's requests: those under way, the last minute's points and writes, and whether it wants none.

Twice, by the same rules: in this process, and in Redis for all of them. The library `limits`, which counts the requests to the
model, does not do here: it takes the machine's own time (`time.time()`), these windows take the injected clock's; and it
knows neither what a request under way is, nor how to take all of this in one step, or none of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from threading import Lock
from typing import Protocol, TypeVar

from redis import Redis, RedisError

from bot.ports import Clock

WINDOW_MS = 61_000
"""A minute, and a second for requests that reach the host closer together than they left."""
LEASE_MS = 180_000
"""A request that takes longer than this is one of a worker that was killed."""
RECHECK_MS = 500
KEPT_MS = 7_200_000
"""When Redis may drop a key: by its own time, so far later than a simulated clock in a test could mind."""
OUTAGE_SECONDS = 10.0

T = TypeVar("T")
log = logging.getLogger(__name__)


class Reason(IntEnum):
    """Why a request has to wait. The script below knows these numbers."""

    CLOSED = 1
    CONCURRENCY = 2
    POINTS = 3
    CREATES = 4
    HOUR = 5


@dataclass(frozen=True, slots=True)
class Ticket:
    """A request that asks for a place: `slot` is its name alone."""

    slot: str
    points: int
    creates: int


@dataclass(frozen=True, slots=True)
class Held:
    """A request has to wait, until `until_ms` since the epoch at least."""

    reason: Reason
    until_ms: int


class Limits(Protocol):
    """What the counts need of the limits."""

    @property
    def concurrency(self) -> int: ...
    @property
    def points_per_minute(self) -> int: ...
    @property
    def creates_per_minute(self) -> int: ...


class Counts(Protocol):
    def take(self, ticket: Ticket, now_ms: int) -> Held | None:
        """Count the request in all windows, or in none and say why."""

    def withdraw(self, ticket: Ticket) -> None:
        """Forget the request: it was not made."""

    def end(self, ticket: Ticket) -> None:
        """The request is no longer under way."""

    def close(self, until_ms: int, now_ms: int) -> None:
        """Let nothing pass until then. An earlier instant than is known already changes nothing."""


class ProcessCounts:
    """The counts of this process alone; they also outlast a Redis that is away or was wiped."""

    def __init__(self, limits: Limits):
        self._limits = limits
        self._lock = Lock()
        self._closed_until_ms = 0
        self._leases: dict[str, int] = {}
        self._points: dict[str, tuple[int, int]] = {}
        self._creates: dict[str, tuple[int, int]] = {}

    def take(self, ticket: Ticket, now_ms: int) -> Held | None:
        with self._lock:
            held = self._held(ticket, now_ms)
            if held is None:
                self._leases[ticket.slot] = now_ms + LEASE_MS
                self._points[ticket.slot] = (now_ms, ticket.points)
                if ticket.creates:
                    self._creates[ticket.slot] = (now_ms, ticket.creates)
        return held

    def withdraw(self, ticket: Ticket) -> None:
        with self._lock:
            for entries in (self._leases, self._points, self._creates):
                entries.pop(ticket.slot, None)

    def end(self, ticket: Ticket) -> None:
        with self._lock:
            self._leases.pop(ticket.slot, None)

    def close(self, until_ms: int, now_ms: int) -> None:  # noqa: ARG002 - only Redis wants to know how long to keep it
        with self._lock:
            self._closed_until_ms = max(until_ms, self._closed_until_ms)

    def _held(self, ticket: Ticket, now_ms: int) -> Held | None:
        if self._closed_until_ms > now_ms:
            return Held(Reason.CLOSED, self._closed_until_ms)
        self._leases = {slot: until for slot, until in self._leases.items() if until > now_ms}
        if len(self._leases) >= self._limits.concurrency:
            return Held(Reason.CONCURRENCY, now_ms + RECHECK_MS)
        if until_ms := _room_from(self._points, ticket.points, self._limits.points_per_minute, now_ms):
            return Held(Reason.POINTS, until_ms)
        if until_ms := _room_from(self._creates, ticket.creates, self._limits.creates_per_minute, now_ms):
            return Held(Reason.CREATES, until_ms)
        return None


def _room_from(entries: dict[str, tuple[int, int]], cost: int, limit: int, now_ms: int) -> int:
    """From when on there is room for `cost`; 0 when there is now. What has left the window is dropped."""
    for slot in [slot for slot, (at, _) in entries.items() if at <= now_ms - WINDOW_MS]:
        del entries[slot]
    used, until_ms = sum(amount for _, amount in entries.values()), 0
    for at, amount in sorted(entries.values()):
        if used + cost <= limit:
            break
        used, until_ms = used - amount, at + WINDOW_MS
    return until_ms


# Instants are whole milliseconds: Lua's tostring() would cut a fraction's digits.
_TAKE = f"""
local gate, leases, points, creates = unpack(KEYS)
local slot, now = ARGV[1], tonumber(ARGV[2])

local function room_from(key, cost, limit)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - {WINDOW_MS})
  local entries = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  local used, free = 0, 0
  for i = 1, #entries, 2 do used = used + tonumber(string.match(entries[i], '%d+$')) end
  for i = 1, #entries, 2 do
    if used + cost <= limit then break end
    used = used - tonumber(string.match(entries[i], '%d+$'))
    free = tonumber(entries[i + 1]) + {WINDOW_MS}
  end
  return free
end

local function add(key, score, member)
  redis.call('ZADD', key, score, member)
  redis.call('PEXPIRE', key, {KEPT_MS})
end

local closed = tonumber(redis.call('GET', gate) or 0)
if closed > now then return {{{Reason.CLOSED:d}, closed}} end
redis.call('ZREMRANGEBYSCORE', leases, '-inf', now)
if redis.call('ZCARD', leases) >= tonumber(ARGV[5]) then return {{{Reason.CONCURRENCY:d}, now + {RECHECK_MS}}} end
local free = room_from(points, tonumber(ARGV[3]), tonumber(ARGV[6]))
if free > 0 then return {{{Reason.POINTS:d}, free}} end
free = room_from(creates, tonumber(ARGV[4]), tonumber(ARGV[7]))
if free > 0 then return {{{Reason.CREATES:d}, free}} end
add(leases, now + {LEASE_MS}, slot)
add(points, now, slot .. ':' .. ARGV[3])
if tonumber(ARGV[4]) > 0 then add(creates, now, slot .. ':' .. ARGV[4]) end
return {{0, 0}}
"""

_CLOSE = """
if tonumber(redis.call('GET', KEYS[1]) or 0) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
"""


class RedisCounts:
    """The counts of all processes that use one Redis. While it is away, nothing is held back here: it is not money."""

    def __init__(self, redis: Redis, key: str, limits: Limits, clock: Clock):
        self._redis, self._limits, self._clock = redis, limits, clock
        # One script takes them all: in a cluster, the braces keep them together.
        self._keys = [f"whimbrel:host:{{{key}}}:{name}" for name in ("gate", "leases", "points", "creates")]
        self._take, self._close = redis.register_script(_TAKE), redis.register_script(_CLOSE)
        self._away_until = 0.0

    def take(self, ticket: Ticket, now_ms: int) -> Held | None:
        limits = self._limits
        ceilings = (limits.concurrency, limits.points_per_minute, limits.creates_per_minute)
        given = (ticket.slot, now_ms, ticket.points, ticket.creates, *ceilings)
        reason, until_ms = self._ask(lambda: self._take(self._keys, given)) or (0, 0)
        return Held(Reason(reason), until_ms) if reason else None

    def withdraw(self, ticket: Ticket) -> None:
        _, leases, points, creates = self._keys

        def remove() -> None:
            with self._redis.pipeline() as pipe:
                pipe.zrem(leases, ticket.slot)
                pipe.zrem(points, f"{ticket.slot}:{ticket.points}")
                pipe.zrem(creates, f"{ticket.slot}:{ticket.creates}")
                pipe.execute()

        self._ask(remove)

    def end(self, ticket: Ticket) -> None:
        self._ask(lambda: self._redis.zrem(self._keys[1], ticket.slot))

    def close(self, until_ms: int, now_ms: int) -> None:
        self._ask(lambda: self._close(self._keys[:1], (until_ms, until_ms - now_ms + KEPT_MS)))

    def _ask(self, question: Callable[[], T]) -> T | None:
        """The answer; None while Redis is away: who has just found it so does not wait for it at each request."""
        if self._clock.monotonic() < self._away_until:
            return None
        try:
            return question()
        except RedisError as error:
            log.warning("Redis is away, each process counts its own requests to the host: %s", error)
            self._away_until = self._clock.monotonic() + OUTAGE_SECONDS
            return None
