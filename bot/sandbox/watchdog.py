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
    reason. Two things it cannot do: the kernel counts no processes of root, and a process may take more processors again.
    """

    name = "rlimits and a watchdog"

    @contextmanager
    def group(self, limits: Limits) -> Iterator[ProcessTree]:
        yield ProcessTree(limits)


class ProcessTree:
    """What was adopted first, and all that descends from it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._root: psutil.Process | None = None
        self._processors = _some_processors(limits.cpus)
        self._looked = 0.0
        self._peak = 0

    def adopt(self, pid: int) -> None:
        set_limit(pid, resource.RLIMIT_DATA, self._limits.memory_mb * MB + _SPARE_MEMORY)
        set_limit(pid, resource.RLIMIT_NPROC, self._limits.processes + OWN_PROCESSES + _SPARE_PROCESSES)
        os.sched_setaffinity(pid, self._processors)
        if self._root is None:
            with suppress(psutil.NoSuchProcess):
                self._root = psutil.Process(pid)

    def breach(self) -> Breach | None:
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return None
        processes = _tree(self._root)
        self._looked = time.monotonic()
        return self._over_processes(processes) or self._over_memory(processes)

    @property
    def peak_memory_kb(self) -> int:
        return self._peak // 1024

    def _over_processes(self, processes: list[psutil.Process]) -> Breach | None:
        count, allowed = len(processes) - OWN_PROCESSES, self._limits.processes
        return Breach(SandboxEnd.PROCESSES, f"processes: {count:,} of {allowed:,} allowed") if count > allowed else None

    def _over_memory(self, processes: list[psutil.Process]) -> Breach | None:
        allowed = self._limits.memory_mb * MB
        used = _sum(_private, processes)
        if used > allowed:  # pages that a fork shares were counted twice: the exact sum is too slow to be asked for each time
            used = _sum(_proportional, processes)
        self._peak = max(self._peak, used)
        return over(SandboxEnd.MEMORY, "memory", used, allowed) if used > allowed else None


def _tree(root: psutil.Process | None) -> list[psutil.Process]:
    if root is None:
        return []
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


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
