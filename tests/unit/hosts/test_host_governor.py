from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import func, select

from bot.errors import HostLimited, HostUnavailable
from bot.hosts.governor import GITHUB_LIMITS, HostGovernor, HostLimits
from bot.hosts.governor_counts import LEASE_MS
from bot.queue.connection import connect_briefly
from bot.queue.server import redis_server
from bot.store import host_writes
from bot.store.database import Database
from bot.store.schema import host_writes as rows
from tests.databases import SqliteDatabases
from tests.fakes.clock import ManualClock

KEY = "https://api.github.com acme"
ROOMY = HostLimits(concurrency=1000, points_per_minute=100_000, creates_per_minute=100_000)
OUTAGE = "unix:///nowhere/redis.sock"

New = Callable[..., HostGovernor]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with redis_server(tmp_path_factory.mktemp("r"), None) as url, connect_briefly(url) as redis:
        yield redis


@pytest.fixture
def shared(server: Redis) -> Redis:
    server.flushall()
    return server


@pytest.fixture
def sqlite(sqlite_databases: SqliteDatabases) -> Iterator[Database]:
    database = Database(sqlite_databases.upgraded())
    yield database
    database.dispose()


@pytest.fixture(params=["process", "redis"])
def redis(request: pytest.FixtureRequest) -> Redis | None:
    """Where the counts are: what is tested with this is tested on both."""
    return None if request.param == "process" else request.getfixturevalue("shared")


@pytest.fixture
def new(redis: Redis | None, sqlite: Database, clock: ManualClock) -> New:
    """Makes governors as workers do."""

    def make(limits: HostLimits = ROOMY, key: str = KEY, **options: Any) -> HostGovernor:
        return HostGovernor(options.pop("redis", redis), sqlite, clock, key, limits, **options)

    return make


def ask(governor: HostGovernor, count: int = 1, **options: Any) -> None:
    for _ in range(count):
        with governor.request(**options):
            pass


def limited(governor: HostGovernor, **options: Any) -> HostLimited:
    with pytest.raises(HostLimited) as raised:
        ask(governor, **options)
    return raised.value


# --- the minute ---


def test_points_over_the_minute_s_limit_wait_until_enough_have_left_the_minute(new: New, clock: ManualClock) -> None:
    governor = new(HostLimits(10, points_per_minute=12, creates_per_minute=10))
    ask(governor, points=5)
    clock.advance(20)
    ask(governor, points=5)
    ask(governor, points=2)
    assert clock.monotonic() == 20
    ask(governor, points=5)
    assert clock.monotonic() == pytest.approx(61, abs=0.01)
    ask(governor, points=1)
    assert clock.monotonic() == pytest.approx(81, abs=0.01)


def test_writes_over_the_minute_s_limit_wait_while_reading_goes_on(new: New, clock: ManualClock) -> None:
    governor = new(HostLimits(10, points_per_minute=900, creates_per_minute=2))
    ask(governor, 2, creates=True)
    ask(governor, 50)
    assert clock.monotonic() == 0
    ask(governor, creates=True)
    assert clock.monotonic() == pytest.approx(61, abs=0.01)


def test_a_thousand_writes_never_pass_any_minute_s_limit(new: New, clock: ManualClock) -> None:
    governor, sent = new(HostLimits(10, points_per_minute=900, creates_per_minute=80)), []
    for number in range(400):
        ask(governor, points=5, creates=number % 2 == 0)
        sent.append((clock.now(), number % 2 == 0))
        clock.advance(number % 7 / 10)
    for at, _ in sent:
        minute = [created for when, created in sent if at <= when < at + timedelta(seconds=60)]
        assert len(minute) * 5 <= 900
        assert sum(minute) <= 80
    # Not slower than the limit itself: 180 requests of 5 points a minute.
    assert clock.monotonic() < 400 / 180 * 61 + 61


def test_a_wait_over_the_patience_is_refused_at_once_and_says_until_when(new: New, clock: ManualClock) -> None:
    governor = new(HostLimits(10, points_per_minute=900, creates_per_minute=1), max_wait_seconds=30)
    ask(governor, creates=True)
    error = limited(governor, creates=True)
    assert str(error) == (
        "the limits of https://api.github.com acme are reached: 1 content-creating writes a minute are used up; "
        "it goes on at 2026-01-15 12:01:01 UTC"
    )
    assert (error.code, error.retryable, error.retry_after) == ("host_limited", True, pytest.approx(61, abs=0.01))
    assert isinstance(error, HostUnavailable)
    assert clock.monotonic() == 0


def test_a_refused_request_uses_up_nothing(new: New, clock: ManualClock) -> None:
    governor = new(HostLimits(2, points_per_minute=10, creates_per_minute=1), max_wait_seconds=0)
    ask(governor, points=5, creates=True)
    for _ in range(5):
        limited(governor, points=5, creates=True)
    ask(governor, points=5)


def test_an_installation_has_limits_of_its_own(new: New, clock: ManualClock) -> None:
    limits = HostLimits(10, points_per_minute=1, creates_per_minute=1)
    ask(new(limits))
    ask(new(limits, key="https://api.github.com other"))
    assert clock.monotonic() == 0


def test_workers_count_together_in_redis(shared: Redis, new: New, clock: ManualClock) -> None:
    limits = HostLimits(10, points_per_minute=900, creates_per_minute=2)
    first, second = new(limits, redis=shared), new(limits, redis=shared, max_wait_seconds=0)
    ask(first, 2, creates=True)
    assert "2 content-creating writes a minute" in str(limited(second, creates=True))


def test_a_request_dearer_than_the_limit_goes_alone(new: New, clock: ManualClock) -> None:
    governor = new(HostLimits(10, points_per_minute=3, creates_per_minute=1))
    ask(governor, 2, points=5)
    assert clock.monotonic() == pytest.approx(61, abs=0.01)


# --- what is under way ---


def test_no_more_requests_are_under_way_than_the_host_allows(new: New, clock: ManualClock) -> None:
    governor = new(HostLimits(2, points_per_minute=900, creates_per_minute=80), max_wait_seconds=5)
    with governor.request(), ExitStack() as stack:
        stack.enter_context(governor.request())
        assert "2 requests are under way" in str(limited(governor))
        assert 4 < clock.monotonic() <= 5
        stack.close()
        ask(governor)


def test_a_request_that_fails_gives_its_place_back(new: New, clock: ManualClock) -> None:
    governor = new(HostLimits(1, points_per_minute=900, creates_per_minute=80), max_wait_seconds=0)
    with pytest.raises(ZeroDivisionError), governor.request():
        _ = 1 / 0
    ask(governor)


def test_the_place_of_a_killed_worker_comes_back(new: New, clock: ManualClock) -> None:
    governor = new(HostLimits(1, points_per_minute=900, creates_per_minute=80), max_wait_seconds=0)
    killed = governor.request()
    killed.__enter__()
    limited(governor)
    clock.advance(LEASE_MS / 1000)
    ask(governor)


# --- what the host says ---


def now(clock: ManualClock, seconds: float) -> str:
    return str(int((clock.now() + timedelta(seconds=seconds)).timestamp()))


def test_retry_after_holds_every_worker_back(shared: Redis, new: New, clock: ManualClock) -> None:
    told, other = new(redis=shared), new(redis=shared, max_wait_seconds=100)
    told.observe(403, {"Retry-After": "90"})
    ask(other)
    assert clock.monotonic() == pytest.approx(90, abs=0.01)


def test_a_pause_longer_than_the_patience_says_until_when(new: New) -> None:
    governor = new(max_wait_seconds=60)
    governor.observe(403, {"retry-after": "1800"})
    error = limited(governor)
    assert str(error).endswith("it asked for a pause; it goes on at 2026-01-15 12:30:00 UTC")
    assert error.retry_after == 1800


def test_limits_used_up_hold_until_their_reset(new: New, clock: ManualClock) -> None:
    governor = new(max_wait_seconds=3600)
    governor.observe(200, {"X-RateLimit-Remaining": "1", "X-RateLimit-Reset": now(clock, 600)})
    ask(governor)
    assert clock.monotonic() == 0
    governor.observe(200, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": now(clock, 600)})
    ask(governor)
    assert clock.monotonic() == pytest.approx(600, abs=0.01)


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (200, {}, 0),
        (403, {}, 0),
        (404, {"x-ratelimit-remaining": "12", "x-ratelimit-reset": "1768478700"}, 0),
        (429, {}, 60),
        (429, {"retry-after": "soon"}, 60),
        (503, {"retry-after": "7"}, 7),
        (200, {"retry-after": "7"}, 0),
        (403, {"retry-after": format_datetime(datetime(2026, 1, 15, 12, 0, 45, tzinfo=UTC), usegmt=True)}, 45),
        (429, {"retry-after": "5", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1768478500"}, 100),
        (429, {"RateLimit-Remaining": "0", "RateLimit-Reset": "1768478430"}, 30),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9" * 30}, 3600),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "tomorrow"}, 0),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1768478000"}, 0),
        (403, {"retry-after": "9" * 400}, 86_400),
    ],
)
def test_an_answer_holds_back_for_as_long_as_it_says(
    new: New, clock: ManualClock, status: int, headers: dict[str, str], seconds: float
) -> None:
    governor = new(max_wait_seconds=100_000)
    governor.observe(status, headers)
    ask(governor)
    assert clock.monotonic() == pytest.approx(seconds, abs=0.01)


def test_a_shorter_pause_does_not_end_a_longer_one(new: New, clock: ManualClock) -> None:
    governor = new()
    governor.observe(403, {"retry-after": "50"})
    governor.observe(403, {"retry-after": "5"})
    ask(governor)
    assert clock.monotonic() == pytest.approx(50, abs=0.01)


# --- Redis comes and goes ---


def test_without_redis_a_process_counts_for_itself_and_goes_on(new: New, clock: ManualClock) -> None:
    limits = HostLimits(1, points_per_minute=900, creates_per_minute=2)
    governor = new(limits, redis=connect_briefly(OUTAGE))
    ask(governor, 3, creates=True)
    assert clock.monotonic() == pytest.approx(61, abs=0.01)
    governor.observe(403, {"retry-after": "30"})
    ask(governor)
    assert clock.monotonic() == pytest.approx(91, abs=0.01)


def test_a_redis_wiped_midway_does_not_let_a_process_forget_its_minute(shared: Redis, new: New, clock: ManualClock) -> None:
    governor = new(HostLimits(10, points_per_minute=900, creates_per_minute=2), redis=shared)
    ask(governor, 2, creates=True)
    governor.observe(403, {"retry-after": "10"})
    shared.flushall()
    ask(governor, creates=True)
    assert clock.monotonic() == pytest.approx(61, abs=0.01)


def test_a_redis_wiped_midway_does_not_let_anybody_forget_the_hour(shared: Redis, new: New, clock: ManualClock) -> None:
    limits = HostLimits(10, points_per_minute=900, creates_per_minute=80, creates_per_hour=3)
    ask(new(limits, redis=shared), 3, creates=True)
    shared.flushall()
    assert "3 content-creating writes an hour" in str(limited(new(limits, redis=shared), creates=True))
    shared.script_flush()
    ask(new(limits, redis=shared))


def test_redis_is_used_again_when_it_is_back(sqlite: Database, clock: ManualClock, tmp_path: Path) -> None:
    limits = HostLimits(10, points_per_minute=900, creates_per_minute=2)
    with redis_server(tmp_path, None) as url:
        redis = connect_briefly(url)
        first, second = (HostGovernor(redis, sqlite, clock, KEY, limits, max_wait_seconds=0) for _ in range(2))
        ask(first)
    ask(first)
    with redis_server(tmp_path, None):
        clock.advance(61)
        ask(first, 2, creates=True)
        limited(second, creates=True)
    redis.close()


# --- the hour ---


def test_the_hour_s_writes_wait_for_the_oldest_to_leave_the_hour(new: New, clock: ManualClock) -> None:
    governor = new(HostLimits(10, 10_000, 10_000, creates_per_hour=2), max_wait_seconds=0)
    ask(governor, creates=True)
    clock.advance(600)
    ask(governor, creates=True)
    error = limited(governor, creates=True)
    assert "2 content-creating writes an hour are used up; it goes on at 2026-01-15 13:00:02 UTC" in str(error)
    assert error.retry_after == pytest.approx(3001, abs=0.01)
    ask(governor, 10)
    clock.advance(error.retry_after)
    ask(governor, creates=True)
    limited(governor, creates=True)


def test_a_write_that_the_hour_refuses_takes_no_place_in_the_minute(new: New, clock: ManualClock) -> None:
    governor = new(HostLimits(1, points_per_minute=6, creates_per_minute=80, creates_per_hour=1), max_wait_seconds=0)
    ask(governor, points=1, creates=True)
    for _ in range(3):
        assert "an hour" in str(limited(governor, points=5, creates=True))
    ask(governor, points=5)


def test_rows_that_have_left_the_hour_are_deleted(database: Database, clock: ManualClock) -> None:
    for _ in range(5):
        with database.transaction() as tx:
            assert host_writes.count(tx, KEY, cap=3, window=timedelta(hours=1), now=clock.now()) is None
        clock.advance(1800)
    with database.reading() as tx:
        assert tx.execute(select(func.count()).select_from(rows)).scalar_one() == 2


def test_a_lowered_cap_waits_for_as_many_as_are_too_many(database: Database, clock: ManualClock) -> None:
    began, hour = clock.now(), timedelta(hours=1)
    for _ in range(5):
        with database.transaction() as tx:
            host_writes.count(tx, KEY, cap=5, window=hour, now=clock.now())
        clock.advance(60)
    with database.transaction() as tx:
        room_from = host_writes.count(tx, KEY, cap=2, window=hour, now=clock.now())
    assert room_from == began + timedelta(minutes=3) + hour


def test_what_github_allows_is_what_its_documents_say() -> None:
    assert HostLimits(100, points_per_minute=900, creates_per_minute=80, creates_per_hour=500) == GITHUB_LIMITS
