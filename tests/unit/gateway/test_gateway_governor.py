from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from limits.errors import StorageError
from limits.storage import MemoryStorage, Storage
from starlette.requests import ClientDisconnect

from bot.domain.org_policies import BreakerPolicy
from bot.gateway.breaker import Breaker, MemoryCircuits, RedisCircuits, read_circuit
from bot.gateway.governor import Governor, Throttled, shared_storage
from bot.queue.connection import connect_briefly
from bot.queue.server import redis_server
from tests.fakes.clock import ManualClock


@pytest.fixture(params=["memory", "redis"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    if request.param == "memory":
        yield MemoryStorage()
        return
    with redis_server(tmp_path, None) as url:
        yield shared_storage(url)


async def present() -> bool:
    return False


def admit(governor: Governor) -> list[str]:
    told: list[str] = []
    asyncio.run(governor.admit(told.append, present))
    return told


def test_requests_over_the_minute_s_limit_are_refused_when_they_may_not_wait(storage: Storage) -> None:
    acme = Governor(storage, "acme", requests_per_minute=2, max_wait_seconds=0)
    other = Governor(storage, "other", requests_per_minute=2, max_wait_seconds=0)
    assert admit(acme) == admit(acme) == []
    with pytest.raises(Throttled, match="2 requests a minute are used up for acme") as raised:
        admit(acme)
    assert 1 <= raised.value.retry_after <= 60
    assert admit(other) == []


def test_tokens_over_the_hour_s_limit_stop_the_next_request(storage: Storage) -> None:
    governor = Governor(storage, "acme", tokens_per_hour=1000, max_wait_seconds=0)
    admit(governor)
    governor.used(999)
    admit(governor)
    governor.used(5000)
    with pytest.raises(Throttled, match="1,000 tokens an hour are used up for acme") as raised:
        admit(governor)
    assert 3000 <= raised.value.retry_after <= 3600


def test_limits_are_shared_by_all_that_use_the_storage(storage: Storage) -> None:
    admit(Governor(storage, "acme", requests_per_minute=1))
    with pytest.raises(Throttled):
        admit(Governor(storage, "acme", requests_per_minute=1, max_wait_seconds=0))


def test_a_request_that_waits_says_so_once_and_goes_when_there_is_a_place(storage: Storage) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            storage.reset()

    governor = Governor(storage, "acme", requests_per_minute=1, sleep=sleep)
    admit(governor)
    (told,) = admit(governor)
    assert told.startswith("waits ")
    assert "1 requests a minute" in told
    assert len(pauses) == 3


def test_no_limit_needs_no_storage() -> None:
    governor = Governor(shared_storage("unix:///nowhere/redis.sock"), "acme")
    assert admit(governor) == []
    governor.used(10)


def test_without_redis_nothing_passes() -> None:
    governor = Governor(shared_storage("unix:///nowhere/redis.sock"), "acme", requests_per_minute=1)
    with pytest.raises(StorageError):
        admit(governor)


# --- the breaker ---


@pytest.fixture
def circuits(clock: ManualClock) -> MemoryCircuits:
    return MemoryCircuits(lambda: clock.now().timestamp())


@pytest.fixture
def breaker(circuits: MemoryCircuits) -> Breaker:
    return Breaker(circuits, "acme", BreakerPolicy(failures=1, reset_seconds=60))


def governor(breaker: Breaker, clock: ManualClock, **options: Any) -> Governor:
    """Its sleep moves the clock."""

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    return Governor(options.pop("storage", MemoryStorage()), "acme", breaker=breaker, sleep=sleep, **options)


def test_requests_wait_for_the_half_open_moment_and_one_of_them_goes(
    breaker: Breaker, circuits: MemoryCircuits, clock: ManualClock
) -> None:
    breaker.failed("r", "status 529", 0)
    began = clock.monotonic()
    (told,) = admit(governor(breaker, clock))
    assert told == "waits 60 s: the circuit breaker is open, failures in a row: 1, the last one: status 529"
    assert clock.monotonic() - began == 60
    with pytest.raises(Throttled, match="half-open"):
        admit(governor(breaker, clock, max_wait_seconds=10))


def test_who_may_not_wait_so_long_is_told_when_to_come_back(breaker: Breaker, clock: ManualClock) -> None:
    breaker.failed("r", "status 429", 600)
    with pytest.raises(Throttled, match="the circuit breaker is open") as raised:
        admit(governor(breaker, clock, max_wait_seconds=300))
    assert raised.value.retry_after == 600
    assert clock.monotonic() == 0


def test_a_probe_that_the_speed_limit_holds_back_makes_room(
    breaker: Breaker, circuits: MemoryCircuits, clock: ManualClock, storage: Storage
) -> None:
    full = governor(breaker, clock, storage=storage, requests_per_minute=1, max_wait_seconds=0)
    admit(full)
    breaker.failed("r", "status 529", 0)
    clock.advance(60)
    with pytest.raises(Throttled, match="1 requests a minute"):
        admit(full)
    assert read_circuit(circuits, "acme")[0].probe == ""


def test_while_the_breaker_is_open_no_place_of_the_minute_is_used_up(
    breaker: Breaker, clock: ManualClock, storage: Storage
) -> None:
    breaker.failed("r", "status 529", 0)
    impatient = governor(breaker, clock, storage=storage, requests_per_minute=1, max_wait_seconds=0)
    for _ in range(3):
        with pytest.raises(Throttled, match="the circuit breaker is open"):
            admit(impatient)
    clock.advance(60)
    assert admit(impatient) == []


def test_a_client_that_leaves_while_it_waits_does_not_go_later(
    breaker: Breaker, circuits: MemoryCircuits, clock: ManualClock
) -> None:
    breaker.failed("r", "status 529", 0)

    async def gone() -> bool:
        return clock.monotonic() >= 60

    told: list[str] = []
    with pytest.raises(ClientDisconnect):
        asyncio.run(governor(breaker, clock).admit(told.append, gone))
    assert read_circuit(circuits, "acme")[0].probe == ""


def test_without_the_breaker_s_redis_nothing_passes() -> None:
    lost = Breaker(RedisCircuits(connect_briefly("unix:///nowhere/redis.sock")), "acme", BreakerPolicy())
    with pytest.raises(StorageError):
        admit(Governor(MemoryStorage(), "acme", breaker=lost))
