"""What dies, and what the queue makes of it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from bot.queue.connection import connect, connect_briefly
from bot.queue.jobs import JobQueue
from bot.queue.server import redis_server
from tests.fakes.queue_parts import alive, argv, child, eventually, lines


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with redis_server(tmp_path / "home", None) as url:
        yield url


@pytest.fixture
def connection(url: str) -> Iterator[Redis]:
    with connect(url) as connection:
        yield connection


def begun(folder: Path) -> int:
    """The process that works on the job, once it does."""
    eventually(lambda: lines(folder, "horse"), "the job has begun")
    pid = lines(folder, "horse")[-1]
    assert isinstance(pid, int)
    return pid


def hanging(connection: Redis) -> JobQueue:
    queue = JobQueue(connection, function="tests.fakes.queue_parts.hang")
    queue.enqueue("a", 7, timeout_seconds=600)
    return queue


def test_a_killed_work_horse_is_handed_back_at_once(url: str, connection: Redis, tmp_path: Path) -> None:
    queue = hanging(connection)
    with child(argv("serve", url, "hang"), tmp_path):
        os.kill(begun(tmp_path), signal.SIGKILL)
        eventually(lambda: lines(tmp_path, "lost"), "the loss is told")
        (tmp_path / "release").touch()
        queue.enqueue("a", 8, timeout_seconds=600)
        eventually(lambda: lines(tmp_path, "done"), "the same worker does the next attempt")
    assert lines(tmp_path, "lost") == [["a", 7, "its process was killed by signal 9 (Killed)", False]]
    assert lines(tmp_path, "done") == [["a", 8]]


def test_a_killed_worker_takes_its_work_horse_along(url: str, connection: Redis, tmp_path: Path) -> None:
    hanging(connection)
    with child(argv("serve", url, "hang"), tmp_path) as worker:
        horse = begun(tmp_path)
        worker.kill()
        eventually(lambda: not alive(horse), "no work-horse works on")


def test_a_worker_told_to_stop_at_once_hands_its_job_back(url: str, connection: Redis, tmp_path: Path) -> None:
    hanging(connection)
    with child(argv("supervise", url), tmp_path) as supervisor:
        horse = begun(tmp_path)

        def told() -> bool:
            supervisor.terminate()
            return bool(lines(tmp_path, "lost"))

        eventually(told, "the loss is told")
        assert supervisor.wait() == 0
        assert not alive(horse)
    assert lines(tmp_path, "lost") == [["a", 7, "the worker was told to stop at once", True]]


def test_a_killed_supervisor_takes_the_whole_tree_along(url: str, connection: Redis, tmp_path: Path) -> None:
    hanging(connection)
    with child(argv("supervise", url), tmp_path) as supervisor:
        horse = begun(tmp_path)
        supervisor.kill()
        eventually(lambda: not alive(horse), "no work-horse works on")


def test_an_outage_is_outlasted(url: str, connection: Redis, tmp_path: Path) -> None:
    """The server is away for three seconds: a worker that waits, and a caller in the middle of a command, both go on."""
    queue = JobQueue(connection, function="tests.fakes.queue_parts.record")
    with child(argv("serve", url, "record"), tmp_path) as worker:
        eventually(queue.workers, "the worker waits")
        with connect_briefly(url) as killer:
            pid = int(killer.info("server")["process_id"])
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not alive(pid), "the server is away")

        with Revival(3, tmp_path / "home"):
            queue.enqueue("a", 1, timeout_seconds=60)
            eventually(lambda: lines(tmp_path, "done") == [["a", 1]], "the job is done")
        assert worker.poll() is None


class Revival:
    """Another user comes to `home` after some seconds, and stays to the end."""

    def __init__(self, seconds: float, home: Path):
        self._home, self._leave = home, threading.Event()
        self._timer = threading.Timer(seconds, self._use)

    def _use(self) -> None:
        with redis_server(self._home, None):
            self._leave.wait()

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._leave.set()
        self._timer.join()
