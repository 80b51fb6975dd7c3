"""The circuit breaker that all workers of an org share; its rules are `bot.domain.breaker`.

pybreaker's Redis storage does not do: while Redis is away it counts the circuit as closed, its half-open state lets a request
of each process pass, and it knows neither asyncio nor Retry-After.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Protocol, TypeVar

from limits.errors import StorageError
from pydantic import TypeAdapter, ValidationError
from redis import Redis, RedisError, WatchError
from redis.client import Pipeline

from bot.domain.breaker import Circuit
from bot.domain.org_policies import BreakerPolicy

T = TypeVar("T")
Step = Callable[[Circuit, float], tuple[Circuit, T]]
"""A transition: the circuit and the present instant in seconds since the epoch -> the circuit after it, and an answer."""

_circuit = TypeAdapter(Circuit)
log = logging.getLogger(__name__)


class Circuits(Protocol):
    """Keeps the circuit of each org."""

    def change(self, org: str, step: Step[T]) -> T:
        """Make one transition, as a whole, whoever else makes one; return its answer.

        `step` may be called several times. Raises limits.errors.StorageError where the circuit cannot be read or written.
        """


class MemoryCircuits:
    """The circuits of one process."""

    def __init__(self, now: Callable[[], float] = time.time):
        self._now = now
        self._lock = Lock()
        self._circuits: defaultdict[str, Circuit] = defaultdict(Circuit)

    def change(self, org: str, step: Step[T]) -> T:
        with self._lock:
            self._circuits[org], answer = step(self._circuits[org], self._now())
        return answer


class RedisCircuits:
    """The circuits of all processes that use one Redis; its clock is theirs, unless `now` is given."""

    def __init__(self, redis: Redis, now: Callable[[], float] | None = None):
        self._redis = redis
        self._now = now

    def change(self, org: str, step: Step[T]) -> T:
        try:
            with self._redis.pipeline() as pipe:
                while True:
                    with suppress(WatchError):  # somebody else's transition came in between: again, on what they made of it
                        return self._change(pipe, f"whimbrel:breaker:{org}", step)
        except (RedisError, ValidationError) as error:
            raise StorageError(error) from error

    def _change(self, pipe: Pipeline, key: str, step: Step[T]) -> T:
        """Raises WatchError where the circuit was written between its reading and its writing."""
        pipe.watch(key)  # type: ignore[no-untyped-call]
        stored = pipe.get(key)
        before = _circuit.validate_json(stored) if stored else Circuit()
        after, answer = step(before, self._now() if self._now else _server_time(pipe))
        if after != before:
            pipe.multi()
            pipe.set(key, _circuit.dump_json(after))
            pipe.execute()
        return answer


class Breaker:
    """The breaker of one org. Every method raises limits.errors.StorageError where the circuit cannot be read or written."""

    def __init__(self, circuits: Circuits, org: str, policy: BreakerPolicy):
        self._circuits, self._org, self._policy = circuits, org, policy

    def ask(self, request: str) -> tuple[str, float] | None:
        """Why a request must wait and for how many seconds, or None when it may go: `Passage` then tells of its end."""

        def step(circuit: Circuit, now: float) -> tuple[Circuit, tuple[str, float] | None]:
            after, seconds = circuit.asked(request, now, self._policy)
            return after, (circuit.explain(now), seconds) if seconds else None

        return self._circuits.change(self._org, step)

    def answered(self, request: str) -> None:
        self._circuits.change(self._org, lambda circuit, _: (circuit.answered(request), None))

    def completed(self) -> None:
        self._circuits.change(self._org, lambda circuit, _: (circuit.completed(), None))

    def failed(self, request: str, reason: str, retry_after: float) -> None:
        """`retry_after` is in seconds, 0 where the API did not say."""

        def step(circuit: Circuit, now: float) -> tuple[Circuit, None]:
            return circuit.failed(request, reason, now, self._policy, retry_after=retry_after), None

        self._circuits.change(self._org, step)

    def withdraw(self, request: str) -> None:
        self._circuits.change(self._org, lambda circuit, _: (circuit.withdrawn(request), None))


class Passage:
    """One request that may go, and what becomes of it: the breaker is told.

    Nothing is raised when the breaker cannot be told: this request is on its way or over, and the next one is refused.
    """

    def __init__(self, breaker: Breaker, request: str):
        self._breaker, self._request = breaker, request
        self._has_failed = False

    async def answered(self) -> None:
        """The API has begun to answer, and not with an outage."""
        await self._tell(self._breaker.answered, self._request)

    async def completed(self) -> None:
        """The answer is whole. Says nothing after `failed`: an error's answer can be whole too."""
        if not self._has_failed:
            await self._tell(self._breaker.completed)

    async def failed(self, reason: str, retry_after: float = 0) -> None:
        """No answer, a broken one, or one that tells of an outage. A second failure of the same request does not count."""
        if not self._has_failed:
            self._has_failed = True
            await self._tell(self._breaker.failed, self._request, reason, retry_after)

    async def withdrawn(self) -> None:
        """The request is not sent after all."""
        await self._tell(self._breaker.withdraw, self._request)

    async def _tell(self, tell: Callable[..., None], *arguments: object) -> None:
        try:
            await asyncio.to_thread(tell, *arguments)
        except StorageError as error:
            log.warning("the circuit breaker could not be told of a request: %s", error.storage_error)


def read_circuit(circuits: Circuits, org: str) -> tuple[Circuit, float]:
    """The org's circuit, and the instant of its keeper's clock. Raises limits.errors.StorageError."""
    return circuits.change(org, lambda circuit, now: (circuit, (circuit, now)))


def _server_time(pipe: Pipeline) -> float:
    seconds, microseconds = pipe.time()
    return float(seconds) + float(microseconds) / 1e6
