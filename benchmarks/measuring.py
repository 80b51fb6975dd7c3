"""What a command costs, with every process that it starts: time, CPU, memory.

`python measuring.py COMMAND...` runs the command and prints a `Usage` as JSON. It does so from a process of its own
that adopts whatever the command leaves behind (a server that became a daemon) and waits for all of it, so that the kernel's own
account of its children (`getrusage`) is the CPU time of the whole tree, of the shortest-lived git too. Memory is sampled.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

SAMPLE_EVERY_SECONDS = 0.2
_PR_SET_CHILD_SUBREAPER = 36
_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Command:
    """What is measured. Its environment is this one and nothing else; what it prints goes to a log in `folder`."""

    arguments: Sequence[str | Path]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds and MB of the whole process tree; `rss_mb` counts a page once for each process that shares it, `pss_mb` once."""

    wall: float
    cpu: float
    rss_mb: float
    pss_mb: float
    status: int


def measure(command: Command) -> Usage:
    """Run the command to the end of all its processes. Raises RuntimeError, with its last words, where it fails."""
    log = command.folder / "bench.log"
    with log.open("wb") as errors:
        measured = subprocess.run(
            [sys.executable, __file__, *map(str, command.arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=command.folder,
            env=command.environment,
            check=True,
        )
    usage = Usage(**json.loads(measured.stdout))
    if usage.status:
        raise RuntimeError(f"{command.arguments[0]} ended with {usage.status}: {log.read_text(errors='replace')[-2000:]}")
    return usage


class _PeakMemory(threading.Thread):
    """Watches all descendants of this process."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.rss = self.pss = 0
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(SAMPLE_EVERY_SECONDS):
            found = [_memory(process) for process in psutil.Process().children(recursive=True)]
            self.rss = max(self.rss, sum(rss for rss, _ in found))
            self.pss = max(self.pss, sum(pss for _, pss in found))

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def _memory(process: psutil.Process) -> tuple[int, int]:
    try:
        found = process.memory_full_info()
    except psutil.Error:  # it has ended
        return 0, 0
    return found.rss, found.pss


def _run(arguments: Sequence[str]) -> Usage:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    memory = _PeakMemory()
    memory.start()
    began = time.perf_counter()
    # Its standard output is for us alone: the command's goes to the log.
    status = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode
    wall = time.perf_counter() - began
    memory.stop()
    _wait_for_orphans()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Usage(wall, used.ru_utime + used.ru_stime, memory.rss / _MB, memory.pss / _MB, status)


def _wait_for_orphans() -> None:
    try:
        while True:
            os.wait()
    except ChildProcessError:
        return


if __name__ == "__main__":
    print(json.dumps(asdict(_run(sys.argv[1:]))))
