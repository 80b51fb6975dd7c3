"""Parts for tests of the queue: jobs, a worker, a user of the embedded server, each in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from bot.queue.connection import connect
from bot.queue.pool import run_workers
from bot.queue.server import redis_server
from bot.queue.worker import WhimbrelWorker

ROOT = Path(__file__).parents[2]
FOLDER = "QUEUE_TEST_FOLDER"


def record(run_id: str, fence: int) -> None:
    """A job that ends at once, and leaves a line."""
    _append("done", [run_id, fence])


def hang(run_id: str, fence: int) -> None:
    """A job that says who works on it, and works for ever, or until there is a file `release`."""
    _append("horse", os.getpid())
    while not (_folder() / "release").exists():
        time.sleep(0.02)
    _append("done", [run_id, fence])


def serve(url: str, function: str) -> None:
    WhimbrelWorker(connect(url), lambda *lost: _append("lost", lost), function=f"{__name__}.{function}").serve()


def supervise(url: str) -> None:
    run_workers(1, argv("serve", url, "hang"))


def use_server(home: str) -> None:
    with redis_server(Path(home), None) as url:
        print(url, flush=True)  # noqa: T201
        sys.stdin.readline()
    print("left", flush=True)  # noqa: T201


def lines(folder: Path, name: str) -> list[object]:
    """What the jobs and `on_lost` said; only whole lines."""
    path = folder / name
    return (
        [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line[-1] == "\n"] if path.exists() else []
    )


def eventually(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"it never came to this: {what}")
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """A zombie is dead."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def argv(function: str, *arguments: str) -> list[str]:
    """A command that calls `function` of this module."""
    return [sys.executable, "-m", __name__, function, *arguments]


@contextmanager
def child(command: list[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {FOLDER: str(folder)}, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def _folder() -> Path:
    return Path(os.environ[FOLDER])


def _append(name: str, value: object) -> None:
    with (_folder() / name).open("a") as file:
        file.write(json.dumps(value) + "\n")


if __name__ == "__main__":
    from tests.fakes import queue_parts

    getattr(queue_parts, sys.argv[1])(*sys.argv[2:])
