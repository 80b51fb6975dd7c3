"""Limits where control groups cannot be made: the kernel holds each process, a look at the process tree holds their sum."""

from __future__ import annotations

import math
import os
import random
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import psutil

from bot.domain.policies import Limits
from bot.ports import SandboxEnd
from bot.sandbox.limits import MB, OWN_PROCESSES, Breach, over, set_limit

_LOOK_SECONDS = 0.25
_SPARE_PROCESSES = 16
_SPARE_MEMORY = 1024 * MB


class Watchdog:
    """`limits.Limiter` that needs no privilege.

    The kernel's own limits stand a little higher than the watchdog's, so that it is the watchdog that ends a sandbox, with a
    reason. Two things it cannot do: the kernel counts no processes of root, so that there may be some hundreds more before the
    watchdog sees them; and a process may take more processors again.
    """

    name = "rlimits and a watchdog"

    @contextmanager
    def group(self, limits: Limits) -> Iterator[ProcessTree]:
        yield ProcessTree(limits)


class ProcessTree:
    """All that was adopted, and what descends from it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._adopted: list[int] = []
        self._processors = _some_processors(limits.cpus)
        self._looked = 0.0
        self._peak = 0

    def adopt(self, pid: int) -> None:
        set_limit(pid, resource.RLIMIT_DATA, self._limits.memory_mb * MB + _SPARE_MEMORY)
        set_limit(pid, resource.RLIMIT_NPROC, self._limits.processes + OWN_PROCESSES + _SPARE_PROCESSES)
        os.sched_setaffinity(pid, self._processors)
        if os.geteuid() == 0:  # nothing else holds a fork bomb of root: the watchdog must get its turn before it
            os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
        self._adopted.append(pid)

    def breach(self) -> Breach | None:
        return self._over_processes() or self._over_memory()

    @property
    def peak_memory_kb(self) -> int:
        return self._peak // 1024

    def _over_processes(self) -> Breach | None:
        count, allowed = max(map(_count_inside, self._adopted), default=0) - 1, self._limits.processes
        return Breach(SandboxEnd.PROCESSES, f"processes: {count:,} of {allowed:,} allowed") if count > allowed else None

    def _over_memory(self) -> Breach | None:
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return None
        self._looked = time.monotonic()
        processes, allowed = _family(self._adopted), self._limits.memory_mb * MB
        used = _sum(_private, processes)
        if used > allowed:  # pages that a fork shares were counted twice: the exact sum is too slow to be asked for each time
            used = _sum(_proportional, processes)
        self._peak = max(self._peak, used)
        return over(SandboxEnd.MEMORY, "memory", used, allowed) if used > allowed else None


def _count_inside(pid: int) -> int:
    XXX


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
