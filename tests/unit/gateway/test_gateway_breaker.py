"""The breaker's circuits: in memory and in Redis alike, one transition at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from limits.errors import StorageError

from bot.domain.breaker import Circuit, CircuitState
from bot.domain.org_policies import BreakerPolicy
from bot.gateway.breaker import Breaker, Circuits, MemoryCircuits, Passage, RedisCircuits, read_circuit
from bot.queue.connection import connect_briefly
from bot.queue.server import redis_server
from tests.fakes.clock import ManualClock
from tests.racing import race

POLICY = BreakerPolicy(failures=2, reset_seconds=60)
NOWHERE = "unix:///nowhere/redis.sock"


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    with redis_server(tmp_path, None) as url:
        yield url


@pytest.fixture
def now(clock: ManualClock) -> Callable[[], float]:
    return lambda: clock.now().timestamp()


@pytest.fixture(params=["memory", "redis"])
def circuits(request: pytest.FixtureRequest, now: Callable[[], float]) -> Circuits:
    if request.param == "memory":
        return MemoryCircuits(now)
    return RedisCircuits(connect_briefly(request.getfixturevalue("redis_url")), now)


@pytest.fixture
def breaker(circuits: Circuits) -> Breaker:
    return Breaker(circuits, "acme", POLICY)


def fail(breaker: Breaker, times: int = 1, retry_after: float = 0) -> None:
    for number in range(times):
        breaker.failed(f"failing-{number}", "status 529", retry_after)


def test_the_whole_way_round(breaker: Breaker, circuits: Circuits, clock: ManualClock) -> None:
    assert breaker.ask("a") is None
    fail(breaker, 2)
    held = breaker.ask("b")
    assert held == ("the circuit breaker is open, failures in a row: 2, the last one: status 529", 60)
    clock.advance(60)
    assert breaker.ask("probe") is None
    assert breaker.ask("b") is not None
    breaker.answered("probe")
    assert breaker.ask("b") is None
    assert read_circuit(circuits, "acme")[0].state(clock.now().timestamp()) is CircuitState.CLOSED


def test_it_is_shared_by_all_of_the_org_and_by_no_other(breaker: Breaker, circuits: Circuits) -> None:
    fail(breaker, 2)
    assert Breaker(circuits, "acme", POLICY).ask("a") is not None
    assert Breaker(circuits, "other", POLICY).ask("a") is None


def test_a_probe_that_is_withdrawn_makes_room(breaker: Breaker, clock: ManualClock) -> None:
    fail(breaker, 2)
    clock.advance(60)
    assert breaker.ask("probe") is None
    breaker.withdraw("probe")
    assert breaker.ask("b") is None


def test_a_request_fails_once_and_is_not_whole_afterwards(breaker: Breaker, circuits: Circuits) -> None:
    async def live() -> None:
        passage = Passage(breaker, "a")
        await passage.failed("status 529")
        await passage.failed("the stream ended early")
        await passage.completed()

    asyncio.run(live())
    assert read_circuit(circuits, "acme")[0] == Circuit(failures=1, reason="status 529")


def test_no_failure_is_lost_between_threads(breaker: Breaker, circuits: Circuits) -> None:
    patient = Breaker(circuits, "acme", BreakerPolicy(failures=1000, reset_seconds=60))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: patient.failed(f"r{number}", "no", 0), range(100)))
    assert read_circuit(circuits, "acme")[0].failures == 100


def try_to_probe(number: int, url: str) -> bool:
    """Is this process the one that may try?"""
    return Breaker(RedisCircuits(connect_briefly(url)), "acme", POLICY).ask(f"process-{number}") is None


def test_of_sixteen_processes_one_may_try(redis_url: str) -> None:
    long_ago = RedisCircuits(connect_briefly(redis_url), lambda: 1_000_000_000.0)
    fail(Breaker(long_ago, "acme", POLICY), 2)
    assert sum(race(try_to_probe, 16, redis_url)) == 1


def test_redis_own_clock_is_everybody_s(redis_url: str) -> None:
    redis = connect_briefly(redis_url)
    seconds, _ = redis.time()
    assert 0 <= read_circuit(RedisCircuits(redis), "acme")[1] - seconds < 60


def test_without_redis_nothing_passes() -> None:
    breaker = Breaker(RedisCircuits(connect_briefly(NOWHERE)), "acme", POLICY)
    with pytest.raises(StorageError):
        breaker.ask("a")


def test_a_circuit_that_cannot_be_read_lets_nothing_pass(redis_url: str) -> None:
    redis = connect_briefly(redis_url)
    redis.set("whimbrel:breaker:acme", "nonsense")
    with pytest.raises(StorageError):
        Breaker(RedisCircuits(redis), "acme", POLICY).ask("a")


def test_a_circuit_of_another_version_is_read_as_far_as_it_is_known(redis_url: str) -> None:
    redis = connect_briefly(redis_url)
    redis.set("whimbrel:breaker:acme", '{"failures": 1, "mood": "bad"}')
    assert read_circuit(RedisCircuits(redis), "acme")[0] == Circuit(failures=1)


def test_a_request_that_is_over_does_not_fail_for_a_breaker_that_cannot_be_told() -> None:
    passage = Passage(Breaker(RedisCircuits(connect_briefly(NOWHERE)), "acme", POLICY), "a")

    async def live() -> None:
        await passage.answered()
        await passage.completed()
        await passage.failed("status 500", 3)
        await passage.withdrawn()

    asyncio.run(live())
