"""When an org may ask the model: requests a minute, tokens an hour and the circuit breaker, for all workers together."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Awaitable, Callable

from limits import RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import RedisStorage, Storage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter
from redis import ConnectionPool
from starlette.requests import ClientDisconnect

from bot.domain.org_policies import BreakerPolicy
from bot.gateway.breaker import Breaker, MemoryCircuits, Passage

RECHECK_SECONDS = 5.0

Sleep = Callable[[float], Awaitable[None]]


class Throttled(Exception):
    """No place came free in time. `retry_after` is in whole seconds."""

    def __init__(self, reason: str, retry_after: int):
        super().__init__(f"{reason}; come back in {retry_after} s")
        self.retry_after = retry_after


def shared_storage(redis_url: str) -> Storage:
    """Counts in Redis (`redis://`, `rediss://` or `unix://`). Connects on first use.

    Every error of Redis is raised as limits.errors.StorageError: without a count nothing may pass.
    """
    return RedisStorage("redis://", connection_pool=ConnectionPool.from_url(redis_url), wrap_exceptions=True)


class Governor:
    """The speed limits of one org; None is no limit. A request over a limit waits, for at most `max_wait_seconds`.

    So does one that the circuit breaker holds back; without a `breaker`, this governor has one of its own.
    Tokens are known only when a request has ended: those under way may pass the hour's limit, further ones wait for the hour,
    which begins with its first token, to end.
    """

    def __init__(
        self,
        storage: Storage,
        org: str,
        *,
        requests_per_minute: int | None = None,
        tokens_per_hour: int | None = None,
        breaker: Breaker | None = None,
        max_wait_seconds: float = 300,
        sleep: Sleep = asyncio.sleep,
    ):
        self._org = org
        self._breaker = breaker or Breaker(MemoryCircuits(), org, BreakerPolicy())
        self._requests = RateLimitItemPerMinute(requests_per_minute) if requests_per_minute else None
        self._tokens = RateLimitItemPerHour(tokens_per_hour) if tokens_per_hour else None
        self._request_window = MovingWindowRateLimiter(storage)
        self._token_window = FixedWindowRateLimiter(storage)
        self._max_wait_seconds = max_wait_seconds
        self._sleep = sleep

    async def admit(self, on_wait: Callable[[str], None], is_gone: Callable[[], Awaitable[bool]]) -> Passage:
        """Return when a request may go; `on_wait` is told once, in words, that it has to wait.

        Raises Throttled; ClientDisconnect where `is_gone` says, while waiting, that nobody wants the answer any more; and
        limits.errors.StorageError where the counts or the circuit cannot be read.
        """
        request = secrets.token_hex(8)
        waited = 0.0
        while blocked := await asyncio.to_thread(self._blocked, request):
            reason, seconds = blocked
            if waited + seconds > self._max_wait_seconds:
                raise Throttled(reason, math.ceil(seconds))
            if not waited:
                await asyncio.to_thread(on_wait, f"waits {math.ceil(seconds)} s: {reason}")
            pause = min(seconds, RECHECK_SECONDS)
            await self._sleep(pause)
            waited += pause
            if await is_gone():
                raise ClientDisconnect
        return Passage(self._breaker, request)

    def used(self, tokens: int) -> None:
        """Count what a request has used."""
        if self._tokens and tokens:
            self._token_window.hit(self._tokens, "tokens", self._org, cost=tokens)

    def _blocked(self, request: str) -> tuple[str, float] | None:
        """Why a request must wait and for how many seconds, or None once it is counted and may go."""
        if self._tokens and not self._token_window.test(self._tokens, "tokens", self._org):
            reset = self._token_window.get_window_stats(self._tokens, "tokens", self._org).reset_time
            return f"{self._tokens.amount:,} tokens an hour are used up for {self._org}", _seconds_until(reset)
        if held := self._breaker.ask(request):
            return held
        if self._requests and not self._request_window.hit(self._requests, "requests", self._org):
            self._breaker.withdraw(request)
            reset = self._request_window.get_window_stats(self._requests, "requests", self._org).reset_time
            return f"{self._requests.amount:,} requests a minute are used up for {self._org}", _seconds_until(reset)
        return None


def _seconds_until(instant: float) -> float:
    return max(0.1, instant - time.time())
