"""Gateways of several workers, one circuit breaker: in a real Redis, against a fake upstream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from limits.storage import MemoryStorage

from bot.domain.breaker import CircuitState
from bot.domain.org_policies import BreakerPolicy
from bot.errors import StoreError
from bot.gateway.breaker import Breaker, MemoryCircuits, RedisCircuits, read_circuit
from bot.gateway.governor import Governor
from bot.queue.connection import connect_briefly
from bot.queue.server import redis_server
from tests.fakes.bench import COST, HELLO, STREAM, Bench, Open, claude
from tests.fakes.clock import ManualClock
from tests.fakes.upstream import Answer, FakeUpstream, Wire, error, held, message, raw, torn

OVERLOADED = error(529, "overloaded_error", "Overloaded")


class Fleet:
    """Opens gateways of the same org; their breaker is in one Redis, which `lose_redis` takes away."""

    def __init__(self, opened: Open, clock: ManualClock, url: str, lose_redis: Callable[[], None]):
        self._opened, self._clock, self._url = opened, clock, url
        self._numbers = iter(range(100))
        self.lose_redis = lose_redis

    @property
    def circuits(self) -> RedisCircuits:
        return RedisCircuits(connect_briefly(self._url), lambda: self._clock.now().timestamp())

    @property
    def state(self) -> CircuitState:
        circuit, now = read_circuit(self.circuits, "acme")
        return circuit.state(now)

    def worker(self, *, failures: int = 3, patience: float = 0, **options: Any) -> Bench:
        async def sleep(seconds: float) -> None:
            self._clock.advance(seconds)

        breaker = Breaker(self.circuits, "acme", BreakerPolicy(failures=failures, reset_seconds=60))
        governor = Governor(MemoryStorage(), "acme", breaker=breaker, max_wait_seconds=patience, sleep=sleep)
        return self._opened(governor=governor, place=f"worker-{next(self._numbers)}", **options)


@pytest.fixture
def fleet(opened: Open, clock: ManualClock, tmp_path: Path) -> Iterator[Fleet]:
    with ExitStack() as redis:
        yield Fleet(opened, clock, redis.enter_context(redis_server(tmp_path, None)), redis.close)


def late(started: Event, go_on: Event) -> Answer:
    """Answers nothing before `go_on` is set."""

    def answer(wire: Wire) -> None:
        started.set()
        go_on.wait(60)
        message()(wire)

    return answer


def require_held_back(bench: Bench) -> httpx.Response:
    """Its next request is refused so that the client stops: nothing is forwarded, nothing reserved."""
    before = len(bench.upstream.requests)
    answer = bench.post(STREAM)
    assert (answer.status_code, answer.json()["error"]["type"]) == (429, "rate_limit_error")
    assert answer.headers["x-should-retry"] == "false"
    assert len(bench.upstream.requests) == before
    assert bench.meter.open == {}
    return answer


def test_two_gateways_count_failures_together_and_are_held_back_together(fleet: Fleet, upstream: FakeUpstream) -> None:
    one, two = fleet.worker(), fleet.worker()
    upstream.script.extend([OVERLOADED] * 3)
    assert [bench.post().status_code for bench in (one, two, one)] == [529, 529, 529]
    for bench in (one, two):
        answer = require_held_back(bench)
        assert "the circuit breaker is open, failures in a row: 3, the last one: status 529" in answer.text
        assert answer.headers["retry-after"] == "60"


def test_after_the_pause_one_request_tries_and_closes_it_for_all(
    fleet: Fleet, upstream: FakeUpstream, clock: ManualClock
) -> None:
    one, two = fleet.worker(failures=1), fleet.worker(failures=1)
    upstream.script.append(OVERLOADED)
    one.post()
    clock.advance(60)
    started, go_on = Event(), Event()
    upstream.script.append(late(started, go_on))
    with ThreadPoolExecutor(1) as pool:
        probe = pool.submit(one.post)
        assert started.wait(30)
        assert "half-open" in require_held_back(two).text
        go_on.set()
        assert probe.result().status_code == 200
    assert two.post().status_code == 200
    assert fleet.state is CircuitState.CLOSED


def test_a_probe_that_fails_opens_it_for_another_pause(fleet: Fleet, upstream: FakeUpstream, clock: ManualClock) -> None:
    one, two = fleet.worker(failures=1), fleet.worker(failures=1)
    upstream.script.extend([OVERLOADED] * 2)
    one.post()
    clock.advance(60)
    assert two.post().status_code == 529
    require_held_back(one)
    clock.advance(60)
    assert one.post().status_code == 200


def test_a_stream_closes_it_as_soon_as_it_begins(fleet: Fleet, upstream: FakeUpstream, clock: ManualClock) -> None:
    one, two = fleet.worker(failures=1), fleet.worker(failures=1)
    upstream.script.append(OVERLOADED)
    one.post()
    clock.advance(60)
    started, go_on = Event(), Event()
    upstream.script.append(held(started, go_on))
    with one.client.stream("POST", "/v1/messages", json=STREAM) as answer:
        next(answer.iter_bytes())
        assert two.post().status_code == 200
        go_on.set()


def test_a_request_waits_for_the_half_open_moment_and_says_so(fleet: Fleet, upstream: FakeUpstream) -> None:
    bench = fleet.worker(failures=1, patience=300)
    upstream.script.append(OVERLOADED)
    assert bench.post().status_code == 529
    assert bench.post().status_code == 200
    (told,) = (told for told in bench.told if told["event"] == "model_wait")
    assert told["message"].startswith("waits 60 s: the circuit breaker is open")


@pytest.mark.parametrize("said", ["30", "Thu, 15 Jan 2099 12:00:00 GMT"])
def test_retry_after_holds_all_workers_back_though_the_circuit_is_closed(
    fleet: Fleet, upstream: FakeUpstream, clock: ManualClock, said: str
) -> None:
    one, two = fleet.worker(), fleet.worker()
    upstream.script.append(error(429, "rate_limit_error", "slow down", retry_after=said))
    assert one.post().status_code == 429
    seconds = 30 if said == "30" else 3600
    for bench in (one, two):
        answer = require_held_back(bench)
        assert "the API asks to hold back (status 429)" in answer.text
        assert answer.headers["retry-after"] == str(seconds)
    assert fleet.state is CircuitState.CLOSED
    clock.advance(seconds)
    assert [bench.post().status_code for bench in (one, two)] == [200, 200]


@pytest.mark.parametrize(
    "failure",
    [
        OVERLOADED,
        error(429, "rate_limit_error"),
        error(500, "api_error"),
        raw(502, "text/html", b"<html>"),
        torn(0),
        torn(3),
        lambda wire: wire.tear(),
    ],
)
def test_what_counts_as_a_failure(fleet: Fleet, upstream: FakeUpstream, failure: Answer) -> None:
    bench = fleet.worker(failures=1)
    upstream.script.append(failure)
    bench.post(STREAM)
    assert fleet.state is CircuitState.OPEN


def test_an_api_out_of_reach_is_a_failure(fleet: Fleet) -> None:
    bench = fleet.worker(failures=1, url="http://127.0.0.1:1")
    assert bench.post().status_code == 502
    assert fleet.state is CircuitState.OPEN


@pytest.mark.parametrize("answer", [error(400, "invalid_request_error"), error(401, "authentication_error"), message()])
def test_what_does_not(fleet: Fleet, upstream: FakeUpstream, answer: Answer) -> None:
    bench = fleet.worker(failures=2)
    upstream.script.extend([OVERLOADED, answer, OVERLOADED])
    for _ in range(3):
        bench.post()
    assert fleet.state is CircuitState.CLOSED


def test_counting_tokens_is_held_back_too(fleet: Fleet, upstream: FakeUpstream) -> None:
    bench = fleet.worker(failures=1)
    upstream.script.append(OVERLOADED)
    bench.post()
    assert bench.post(HELLO, "/v1/messages/count_tokens").status_code == 429
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("broken", [True, False])
def test_a_probe_that_the_ledger_refuses_makes_room_for_another_worker(
    fleet: Fleet, upstream: FakeUpstream, clock: ManualClock, broken: bool
) -> None:
    poor, rich = fleet.worker(failures=1, cap="100" if broken else "0"), fleet.worker(failures=1)
    upstream.script.append(OVERLOADED)
    rich.post()
    clock.advance(60)
    poor.meter.broken = StoreError("the disk is full") if broken else None
    assert poor.post().status_code == (503 if broken else 402)
    assert fleet.state is CircuitState.HALF_OPEN
    assert rich.post().status_code == 200


def test_a_probe_whose_worker_is_gone_does_not_wedge_the_others(
    fleet: Fleet, upstream: FakeUpstream, clock: ManualClock
) -> None:
    bench = fleet.worker(failures=1)
    upstream.script.append(OVERLOADED)
    bench.post()
    clock.advance(60)
    killed = Breaker(fleet.circuits, "acme", BreakerPolicy(failures=1, reset_seconds=60))
    assert killed.ask("of a worker that is killed now") is None
    require_held_back(bench)
    clock.advance(60)
    assert bench.post().status_code == 200


# --- money fails closed ---


def test_a_breaker_that_cannot_be_read_forwards_nothing(fleet: Fleet, upstream: FakeUpstream) -> None:
    bench = fleet.worker()
    fleet.lose_redis()
    answer = bench.post()
    assert (answer.status_code, answer.headers["x-should-retry"]) == (503, "false")
    assert upstream.requests == []
    assert bench.meter._last == 0


def test_redis_that_goes_while_a_request_is_under_way_costs_the_next_one_only(fleet: Fleet, upstream: FakeUpstream) -> None:
    bench = fleet.worker()

    def lose_redis_then_answer(wire: Wire) -> None:
        fleet.lose_redis()
        message()(wire)

    upstream.script.append(lose_redis_then_answer)
    assert bench.post(STREAM).status_code == 200
    assert bench.meter.settled[0].cost == COST
    assert bench.post(STREAM).status_code == 503
    assert len(upstream.requests) == 1


# --- what is told ---


def test_a_refused_request_is_told(fleet: Fleet) -> None:
    bench = fleet.worker(cap="0")
    bench.post()
    bench.post({**HELLO, "model": "another\x1b[31m"})
    bench.post(b"{}", "/v1/files")
    assert bench.events == ["model_refused"] * 3
    assert [told["status"] for told in bench.told] == [402, 403, 404]
    assert bench.told[0]["message"].startswith("a request was refused: the attempt's budget is used up: $0.00 spent of $0.00")
    assert bench.told[2]["message"] == "a request was refused: POST /v1/files is not served here"


def test_a_failed_request_is_told_once_beside_its_money(fleet: Fleet, upstream: FakeUpstream) -> None:
    bench = fleet.worker(failures=100)
    upstream.script.extend([OVERLOADED, torn(3), raw(502, "text/html", b"<html>"), lambda wire: wire.tear()])
    for _ in range(4):
        bench.post(STREAM)
    assert bench.events.count("model_request") == 4
    assert [(told["message"], told["status"]) for told in bench.told if told["event"] == "model_failed"] == [
        ("a request failed: overloaded_error: Overloaded (status 529)", 529),
        ("a request failed: the way to the API is broken (RemoteProtocolError) (status 200)", 200),
        ("a request failed: the API's answer, with status 502, is none of the Messages API", 502),
        ("a request failed: the way to the API is broken (RemoteProtocolError)", 502),
    ]


def test_a_timeline_that_cannot_be_written_does_not_keep_a_refusal_from_the_client(opened: Open) -> None:
    def broken(text: str, **_: Any) -> None:
        raise StoreError("the disk is full")

    answer = opened(cap="0", on_request=broken).post()
    assert (answer.status_code, answer.json()["error"]["type"]) == (402, "billing_error")


# --- the real Claude Code ---


def test_claude_code_ends_at_once_with_an_error_that_is_worth_a_retry(opened: Open, folder: Path) -> None:
    breaker = Breaker(MemoryCircuits(), "acme", BreakerPolicy(failures=1, reset_seconds=3600))
    breaker.failed("r", "status 529", 0)
    bench = opened(governor=Governor(MemoryStorage(), "acme", breaker=breaker, max_wait_seconds=0))
    result = claude(bench, folder, "make a file")
    assert (result["is_error"], result["api_error_status"]) == (True, 429)
    assert "the circuit breaker is open" in result["result"]
    assert bench.events == ["model_refused"]
    assert bench.upstream.requests == []
