from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from bot.errors import ConfigurationError
from bot.queue.pool import WorkerPool
from tests.fakes.queue_parts import alive, eventually

SLEEPER = [sys.executable, "-c", "import signal; print('ready', flush=True); signal.pause()"]


def test_one_that_died_is_started_again_and_all_end_with_the_pool(tmp_path: Path) -> None:
    with WorkerPool(2, SLEEPER, log=tmp_path / "log") as pool:
        first, second = pool.pids
        os.kill(first, signal.SIGKILL)
        eventually(lambda: pool.pids == [second], "one is dead")
        assert pool.tend() == [first]
        assert pool.tend() == []
        replaced, same = pool.pids
        assert same == second
        assert replaced != first
    assert pool.pids == []
    assert not alive(replaced)
    assert not alive(second)


def test_workers_are_out_of_the_terminals_reach() -> None:
    with WorkerPool(1, SLEEPER) as pool:
        [pid] = pool.pids
        assert os.getsid(pid) == pid


def test_workers_that_end_at_once_are_not_started_for_ever() -> None:
    def tend_for_ever() -> None:
        while True:
            pool.tend()
            time.sleep(0.01)

    with WorkerPool(1, [sys.executable, "-c", "raise SystemExit(2)"]) as pool, pytest.raises(ConfigurationError) as refused:
        tend_for_ever()
    assert "last with 2" in str(refused.value)
    assert sys.executable in refused.value.mend


def test_a_hurry_sends_the_second_signal(tmp_path: Path) -> None:
    log = tmp_path / "log"
    twice = [sys.executable, "-c", f"{_COUNTS}"]
    with WorkerPool(1, twice, log=log) as pool:
        eventually(lambda: log.read_text() == "ready\n", "the worker is ready")
        pool.stop(10_000, hurry=lambda: True)
        assert pool.pids == []
    assert log.read_text() == "ready\nheard\nheard\n"


_COUNTS = """
import signal, sys
heard = []
def hear(*_):
    heard.append(1)
    print("heard", flush=True)
    if len(heard) == 2:
        sys.exit()
signal.signal(signal.SIGTERM, hear)
print("ready", flush=True)
while True:
    signal.pause()
"""
