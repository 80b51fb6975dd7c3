"""Sixteen processes and one installation's last writes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from bot.clock import SystemClock
from bot.errors import HostLimited
from bot.hosts.governor import HostGovernor, HostLimits
from bot.queue.connection import connect_briefly
from bot.queue.server import redis_server
from bot.store.database import Database
from bot.store.schema import host_writes
from tests.databases import SqliteDatabases
from tests.fakes.clock import ManualClock
from tests.racing import meet, race

PROCESSES = 16
KEY = "https://api.github.com acme"
CAP = 90
AN_HOUR_S = HostLimits(concurrency=100, points_per_minute=10_000, creates_per_minute=10_000, creates_per_hour=CAP)
A_MINUTE_S = HostLimits(concurrency=100, points_per_minute=10_000, creates_per_minute=CAP)
FEW_AT_ONCE = HostLimits(concurrency=3, points_per_minute=100_000, creates_per_minute=10_000)


def write_all(number: int, database_url: str, redis_url: str, wiping: bool) -> int:
    """Write until the hour refuses; return how many writes there were. While `wiping`, the first contender wipes Redis."""
    database, redis = Database(database_url), connect_briefly(redis_url)
    governor = HostGovernor(redis, database, SystemClock(), KEY, AN_HOUR_S, max_wait_seconds=0)
    for written in count():
        try:
            with governor.request(creates=True):
                if wiping and number == 0:
                    redis.flushall()
        except HostLimited:
            database.dispose()
            return written
    raise AssertionError


def write_all_naively(number: int, database_url: str) -> int:
    """The same, but what there is is counted first and the write is added afterwards; the processes keep step."""
    database, clock = Database(database_url), SystemClock()
    written = 0
    while _rows(database) < CAP:
        meet()
        with database.transaction() as tx:
            tx.execute(insert(host_writes).values(governor=KEY, at=clock.now()))
        written += 1
        meet()
    database.dispose()
    return written


def write_a_minute_s(number: int, database_url: str, redis_url: str) -> int:
    """Write until the minute refuses, by a clock that stands still; return how many writes there were."""
    database = Database(database_url)
    governor = HostGovernor(connect_briefly(redis_url), database, ManualClock(), KEY, A_MINUTE_S, max_wait_seconds=0)
    for written in count():
        try:
            with governor.request(creates=True):
                pass
        except HostLimited:
            return written
    raise AssertionError


def crowd(number: int, database_url: str, redis_url: str) -> list[int]:
    """Ask again and again while others do; return how many were seen to be under way, at each request that went."""
    redis = connect_briefly(redis_url)
    governor = HostGovernor(redis, Database(database_url), ManualClock(), KEY, FEW_AT_ONCE, max_wait_seconds=0)
    seen = []
    while len(seen) < 20:
        try:
            with governor.request():
                seen.append(int(redis.incr("under way")))
                redis.decr("under way")
        except HostLimited:
            os.sched_yield()
    return seen


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    with redis_server(tmp_path, None) as url:
        yield url


def _rows(database: Database) -> int:
    with database.reading() as tx:
        return int(tx.execute(select(func.count()).select_from(host_writes)).scalar_one())


def _recorded(database_url: str) -> int:
    database = Database(database_url)
    rows = _rows(database)
    database.dispose()
    return rows


def test_sixteen_processes_write_what_the_hour_allows_and_no_more(database_url: str, redis_url: str) -> None:
    assert sum(race(write_all, PROCESSES, database_url, redis_url, False)) == _recorded(database_url) == CAP


def test_a_redis_that_is_wiped_all_the_time_lets_no_write_too_many_through(database_url: str, redis_url: str) -> None:
    assert sum(race(write_all, PROCESSES, database_url, redis_url, True)) == _recorded(database_url) == CAP


def test_without_redis_the_hour_holds_all_the_same(database_url: str) -> None:
    nowhere = "unix:///nowhere/redis.sock"
    assert sum(race(write_all, PROCESSES, database_url, nowhere, False)) == _recorded(database_url) == CAP


def test_counting_first_and_writing_afterwards_overshoots(database_url: str) -> None:
    """The race is a real one: the same processes, without the lock, pass the cap."""
    assert sum(race(write_all_naively, PROCESSES, database_url)) == _recorded(database_url) > CAP


def test_sixteen_processes_write_what_the_minute_allows_and_no_more(sqlite_databases: SqliteDatabases, redis_url: str) -> None:
    assert sum(race(write_a_minute_s, PROCESSES, sqlite_databases.upgraded(), redis_url)) == CAP


def test_sixteen_processes_have_no_more_requests_under_way_than_the_host_allows(
    sqlite_databases: SqliteDatabases, redis_url: str
) -> None:
    everybody_s = race(crowd, PROCESSES, sqlite_databases.upgraded(), redis_url)
    seen = Counter(number for each in everybody_s for number in each)
    assert max(seen) <= FEW_AT_ONCE.concurrency
    assert seen.total() == PROCESSES * 20
