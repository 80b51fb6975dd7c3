"""Limits where control groups cannot be made: the kernel holds each process, a look at all of them holds their sum."""

from __future__ import annotations

import math
import os
import random
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from bot.domain.policies import Limits
from bot.ports import SandboxEnd
from bot.sandbox.limits import MB, Breach, over, set_limit

_MEMORY_LOOK_SECONDS = 0.25
_SPARE_PROCESSES = 16
_SPARE_MEMORY = 1024 * MB
_FIRST = -20
"""The highest priority."""


class Watchdog:
    """`limits.Limiter` that needs no privilege.

    The kernel's own limits stand a little higher than the watchdog's, so that it is the watchdog that ends a sandbox, with a
    reason. Two things it cannot do: the kernel counts no processes of root, so that a fork bomb may have started hundreds, or
    thousands, before it is ended; and a process may take more processors again.
    """

    name = "rlimits and a watchdog"

    @contextmanager
    def group(self, limits: Limits) -> Iterator[Watched]:
        yield Watched(limits)


class Watched:
    """The processes of one sandbox."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._adopted: list[int] = []
        self._processors = _some_processors(limits.cpus)
        self._looked = 0.0
        self._peak = 0

    def adopt(self, pid: int) -> None:
        set_limit(pid, resource.RLIMIT_DATA, self._limits.memory_mb * MB + _SPARE_MEMORY)
        set_limit(pid, resource.RLIMIT_NPROC, self._limits.processes + _SPARE_PROCESSES)
        os.sched_setaffinity(pid, self._processors)
        self._adopted.append(pid)
        if os.geteuid() == 0 and len(self._adopted) <= 2:
            _prefer(pid)

    def breach(self) -> Breach | None:
        return self._over_processes() or self._over_memory()

    @property
    def peak_memory_kb(self) -> int:
        return self._peak // 1024

    def _over_processes(self) -> Breach | None:
        count, allowed = sum(map(_count_inside, self._adopted[1:2])) - 1, self._limits.processes
        return Breach(SandboxEnd.PROCESSES, f"processes: {count:,} of {allowed:,} allowed") if count > allowed else None

    def _over_memory(self) -> Breach | None:
        if time.monotonic() - self._looked < _MEMORY_LOOK_SECONDS:
            return None
        self._looked = time.monotonic()
        processes, allowed = _family(self._adopted[:1]), self._limits.memory_mb * MB
        used = _sum(_private, processes)
        if used > allowed:  # pages that a fork shares were counted twice: the exact sum is too slow to be asked for each time
            used = _sum(_proportional, processes)
        self._peak = max(self._peak, used)
        return over(SandboxEnd.MEMORY, "memory", used, allowed) if used > allowed else None


def _prefer(pid: int) -> None:
    """Let a process, but none that it starts, have its turn first: to kill process 1 of a fork bomb, it must get to die."""
    os.sched_setscheduler(pid, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
    os.setpriority(os.PRIO_PROCESS, pid, _FIRST)


def _count_inside(init: int) -> int:
    """How many processes a sandbox sees: one cheap look, however many the host has. 0 while it is not set up yet."""
    inside = Path(f"/proc/{init}/root/proc")
    try:
        if inside.stat().st_dev == Path("/proc").stat().st_dev:
            return 0
        return sum(path.name.isdigit() for path in inside.iterdir())
    except OSError:
        return 0


def _family(pids: Iterable[int]) -> list[psutil.Process]:
    """The processes and all their descendants."""
    found: list[psutil.Process] = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            found += [process, *process.children(recursive=True)]
    return found


def _sum(measure: Callable[[psutil.Process], int], processes: Iterable[psutil.Process]) -> int:
    total = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            total += measure(process)
    return total


def _private(process: psutil.Process) -> int:
    memory = process.memory_info()
    return int(memory.rss - memory.shared)


def _proportional(process: psutil.Process) -> int:
    return int(process.memory_full_info().pss)


def _some_processors(cpus: float) -> set[int]:
    """As many processors as `cpus`, rounded up, picked at random: two sandboxes should not be on the same ones."""
    ours = sorted(os.sched_getaffinity(0))
    return set(random.sample(ours, min(len(ours), math.ceil(cpus))))
