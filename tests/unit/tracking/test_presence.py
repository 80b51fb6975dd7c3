from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.tracking.presence import gone, present
from tests.fakes.queue_parts import eventually


@contextmanager
def worker(home: Path, name: str, *, fork: bool = False) -> Iterator[int]:
    """A process that is present until it is killed; with `fork`, its own child outlives it until the block ends."""
    ready, go_on = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with present(home, name):
                if fork and os.fork() == 0:
                    os.close(go_on[1])
                    os.read(go_on[0], 1)
                    os._exit(0)
                os.write(ready[1], b".")
                signal.pause()
        finally:
            os._exit(1)
    os.read(ready[0], 1)
    try:
        yield pid
    finally:
        for descriptor in (*ready, *go_on):
            os.close(descriptor)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def dead(home: Path) -> list[str]:
    with gone(home) as workers:
        return workers


def test_a_home_without_workers_misses_nobody(tmp_path: Path) -> None:
    assert dead(tmp_path) == []


def test_who_was_killed_is_gone_and_who_lives_is_not(tmp_path: Path) -> None:
    with worker(tmp_path, "host-1") as killed, worker(tmp_path, "host-2") as alive:
        assert dead(tmp_path) == []
        kill(killed)
        assert dead(tmp_path) == ["host-1"]
        assert dead(tmp_path) == []
        kill(alive)


def test_who_is_gone_is_told_again_until_it_was_seen_to(tmp_path: Path) -> None:
    with worker(tmp_path, "host-1") as killed:
        kill(killed)
    with pytest.raises(InterruptedError), gone(tmp_path):
        raise InterruptedError
    assert dead(tmp_path) == ["host-1"]


def test_a_worker_is_not_gone_while_what_it_forked_lives(tmp_path: Path) -> None:
    with worker(tmp_path, "host-1", fork=True) as killed:
        kill(killed)
        assert dead(tmp_path) == []
    eventually(lambda: dead(tmp_path), "that has ended too")


def test_who_leaves_in_peace_leaves_nothing(tmp_path: Path) -> None:
    with present(tmp_path, "host-1"):
        assert dead(tmp_path) == []
    assert list((tmp_path / "workers").iterdir()) == []


def test_a_new_worker_with_a_dead_ones_name_waits_until_that_was_seen_to(tmp_path: Path) -> None:
    """And is not taken for it then."""
    with worker(tmp_path, "host-1") as killed:
        kill(killed)
    begun, leave = threading.Event(), threading.Event()

    def begin() -> None:
        with present(tmp_path, "host-1"):
            begun.set()
            leave.wait(60)

    thread = threading.Thread(target=begin)
    with gone(tmp_path) as workers:
        assert workers == ["host-1"]
        thread.start()
        assert not begun.wait(0.1)
    assert begun.wait(60)
    assert dead(tmp_path) == []
    leave.set()
    thread.join()
