from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job

from bot.queue.connection import connect
from bot.queue.jobs import JobQueue, job_id
from bot.queue.server import redis_server
from tests.fakes.queue_parts import argv, child, eventually, lines


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with redis_server(tmp_path / "home", None) as url:
        yield url


@pytest.fixture
def connection(url: str) -> Iterator[Redis]:
    with connect(url) as connection:
        yield connection


@contextmanager
def worker(url: str, function: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    with child(argv("serve", url, function), folder) as process:
        yield process


def test_a_job_is_a_message(connection: Redis) -> None:
    JobQueue(connection).enqueue("01J-x_Y", 3, timeout_seconds=77)
    [job] = Queue("whimbrel", connection=connection, serializer="json").jobs
    assert (job.id, job.func_name, job.args, job.timeout) == ("run-01J-x_Y-3", "bot.worker.execute", ["01J-x_Y", 3], 77)
    assert job.retries_left is None


def test_the_same_dispatch_twice_is_one_job(connection: Redis) -> None:
    queue = JobQueue(connection)
    queue.enqueue("a", 1, timeout_seconds=60)
    queue.enqueue("a", 1, timeout_seconds=60)
    assert queue.depth() == 1
    queue.enqueue("a", 2, timeout_seconds=60)
    assert queue.depth() == 2


def test_known_are_those_that_redis_still_has(connection: Redis) -> None:
    queue = JobQueue(connection)
    queue.enqueue("a", 1, timeout_seconds=60)
    assert queue.known([job_id("a", 1), job_id("a", 2)]) == {job_id("a", 1)}
    connection.flushall()
    assert queue.known([job_id("a", 1)]) == set()


def test_a_job_that_a_worker_took_and_lost_is_known_until_it_is_cleaned_up(connection: Redis) -> None:
    queue = JobQueue(connection)
    queue.enqueue("a", 1, timeout_seconds=60)
    taken = Queue("whimbrel", connection=connection, serializer="json")
    connection.lmove(taken.key, taken.intermediate_queue_key)
    assert queue.known([job_id("a", 1)]) == {job_id("a", 1)}
    connection.delete(taken.intermediate_queue_key)
    assert queue.known([job_id("a", 1)]) == set()
    queue.enqueue("a", 1, timeout_seconds=60)
    assert queue.depth() == 1


def test_a_waiting_job_can_be_stopped(connection: Redis) -> None:
    queue = JobQueue(connection)
    queue.enqueue("a", 1, timeout_seconds=60)
    queue.stop("a", 1)
    queue.stop("never-there", 1)
    assert queue.depth() == 0
    assert not Job.exists(job_id("a", 1), connection=connection)


def test_a_worker_does_what_is_queued(url: str, connection: Redis, tmp_path: Path) -> None:
    queue = JobQueue(connection, function="tests.fakes.queue_parts.record")
    queue.enqueue("a", 1, timeout_seconds=60)
    queue.enqueue("b", 2, timeout_seconds=60)
    with worker(url, "record", tmp_path):
        eventually(lambda: len(lines(tmp_path, "done")) == 2, "both jobs are done")
        eventually(lambda: not queue.known([job_id("a", 1), job_id("b", 2)]), "both jobs are over")
        assert len(queue.workers()) == 1
    assert lines(tmp_path, "done") == [["a", 1], ["b", 2]]
    assert lines(tmp_path, "lost") == []


def test_a_working_job_is_known_and_can_be_stopped_and_its_worker_goes_on(url: str, connection: Redis, tmp_path: Path) -> None:
    queue = JobQueue(connection, function="tests.fakes.queue_parts.hang")
    queue.enqueue("a", 1, timeout_seconds=60)
    with worker(url, "hang", tmp_path) as process:
        eventually(lambda: lines(tmp_path, "horse"), "the job has begun")
        queue.enqueue("a", 1, timeout_seconds=60)
        assert queue.depth() == 0
        assert queue.known([job_id("a", 1)]) == {job_id("a", 1)}
        queue.stop("a", 1)
        eventually(lambda: not queue.known([job_id("a", 1)]), "the job is over")
        (tmp_path / "release").touch()
        queue.enqueue("b", 1, timeout_seconds=60)
        eventually(lambda: lines(tmp_path, "done") == [["b", 1]], "the next job is done")
        process.terminate()
        assert process.wait() == 0
    assert lines(tmp_path, "lost") == []
    assert queue.workers() == []


def test_sigterm_lets_the_job_finish(url: str, connection: Redis, tmp_path: Path) -> None:
    queue = JobQueue(connection, function="tests.fakes.queue_parts.hang")
    queue.enqueue("a", 1, timeout_seconds=60)
    with worker(url, "hang", tmp_path) as process:
        eventually(lambda: lines(tmp_path, "horse"), "the job has begun")
        process.terminate()
        key = f"rq:worker:{queue.workers()[0]}"
        eventually(lambda: connection.hexists(key, "shutdown_requested_date"), "the worker has heard it")
        (tmp_path / "release").touch()
        assert process.wait() == 0
    assert lines(tmp_path, "done") == [["a", 1]]


def test_the_function_is_imported_before_any_job(url: str, connection: Redis, tmp_path: Path) -> None:
    command = argv("serve", url, "no_such_module.execute")
    with child(command, tmp_path) as process:
        assert process.wait() != 0
    assert not JobQueue(connection).workers()
