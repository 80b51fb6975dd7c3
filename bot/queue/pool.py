"""A number of worker processes, each started again when it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from bot.errors import ConfigurationError
from bot.queue.worker import die_with_parent

WORKER_COMMAND = (sys.executable, "-m", "bot.worker")

_QUICK_SECONDS = 5
_QUICK_ENDS_ALLOWED = 3
_COLD_SECONDS = 10
_POLL_SECONDS = 0.1
# RQ takes a second SIGTERM for an echo of the first when it comes within a second.
_RQ_DEAF_SECONDS = 1.2


def run_workers(count: int, command: Sequence[str] = WORKER_COMMAND, *, grace_seconds: float = 1800) -> None:
    """Keep `count` workers until SIGTERM or SIGINT; they may then take `grace_seconds` to finish, a second signal aside.

    Call it from the main thread. Raises ConfigurationError when workers end again and again right after their start.
    """
    signals: list[int] = []
    for watched in (signal.SIGTERM, signal.SIGINT):
        signal.signal(watched, lambda number, _frame: signals.append(number))
    with WorkerPool(count, command) as pool:
        while not signals:
            pool.tend()
            time.sleep(_POLL_SECONDS)
        pool.stop(grace_seconds, hurry=lambda: len(signals) > 1)


@dataclass(slots=True)
class _Slot:
    process: subprocess.Popen[bytes]
    started: float
    quick_ends: int = 0


class WorkerPool:
    """`count` children that run `command`, as a context manager; leaving it stops what still runs, without grace.

    The children are in sessions of their own, so Ctrl-C reaches them through us alone; they die with the thread that
    called us. Their output goes to `log` (appended), or where ours goes.
    """

    def __init__(self, count: int, command: Sequence[str] = WORKER_COMMAND, *, log: Path | None = None):
        self._count, self._command, self._log = count, list(command), log
        self._slots: list[_Slot] = []

    def __enter__(self) -> Self:
        self._slots = [_Slot(self._spawn(), time.monotonic()) for _ in range(self._count)]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop(0)

    @property
    def pids(self) -> list[int]:
        return [slot.process.pid for slot in self._slots if slot.process.poll() is None]

    def tend(self) -> list[int]:
        """Start again what has died, and return the process ids that it had: call it every now and then.

        Raises ConfigurationError when one ends again and again right after its start.
        """
        dead = [slot for slot in self._slots if slot.process.poll() is not None]
        pids = [slot.process.pid for slot in dead]
        for slot in dead:
            self._restart(slot)
        return pids

    def stop(self, grace_seconds: float, *, hurry: Callable[[], bool] = lambda: False) -> None:
        """Let each finish its job for `grace_seconds` or until `hurry()`; then have jobs handed back, then kill."""
        self._signal(signal.SIGTERM)
        if self._gone_within(_RQ_DEAF_SECONDS) or self._gone_within(grace_seconds, hurry):
            return
        self._signal(signal.SIGTERM)
        if not self._gone_within(_COLD_SECONDS):
            self._signal(signal.SIGKILL)
            self._gone_within(_COLD_SECONDS)

    def _spawn(self) -> subprocess.Popen[bytes]:
        log = self._log.open("ab") if self._log else None
        try:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509 - two system calls, no lock is taken
            )
        finally:
            if log:
                log.close()

    def _restart(self, slot: _Slot) -> None:
        now = time.monotonic()
        slot.quick_ends = slot.quick_ends + 1 if now - slot.started < _QUICK_SECONDS else 0
        if slot.quick_ends >= _QUICK_ENDS_ALLOWED:
            raise ConfigurationError(
                f"a worker ended {slot.quick_ends} times right after its start, last with {slot.process.returncode}",
                mend=f"run `{' '.join(self._command)}` and read what it says",
            )
        slot.process, slot.started = self._spawn(), now

    def _signal(self, number: signal.Signals) -> None:
        for slot in self._slots:
            slot.process.send_signal(number)

    def _gone_within(self, seconds: float, hurry: Callable[[], bool] = lambda: False) -> bool:
        deadline = time.monotonic() + seconds
        while self.pids and time.monotonic() < deadline and not hurry():
            time.sleep(_POLL_SECONDS)
        return not self.pids
