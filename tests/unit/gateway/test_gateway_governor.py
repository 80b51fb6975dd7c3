from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from limits.errors import StorageError
from limits.storage import MemoryStorage, Storage

from bot.gateway.governor import Governor, Throttled, shared_storage
from bot.queue.server import redis_server


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
