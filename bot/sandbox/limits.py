"""The limits of one command: who holds them, and what it says when one is reached."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from bot.domain.policies import Limits
from bot.errors import DiskFull
from bot.ports import SandboxCommand, SandboxEnd
from bot.sandbox.disk import LONGEST_PATH, DiskUse
from bot.sandbox.output import Output

MB = 1 << 20
OWN_PROCESSES = 2
"""bwrap's monitor and its process 1: they are no part of what the command may start."""

_OPEN_FILES = 4096
_FREE_DISK = 256 * MB
"""Never let a host's disk get fuller than this, whatever the count of the sandbox's own files says."""
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that was reached; `reason` has the figure."""

    end: SandboxEnd
    reason: str


def over(end: SandboxEnd, what: str, used: int, allowed: int) -> Breach:
    """Bytes, told as megabytes."""
    return Breach(end, f"{what}: {-(-used // MB):,} MB of {allowed // MB:,} MB allowed")


class Group(Protocol):
    """What holds the memory, the processes and the processors of one sandbox together."""

    def adopt(self, pid: int) -> None:
        """Put a process under the limits; what it starts from now on is under them too. ProcessLookupError: it is gone.

        Called for bubblewrap outside, then for its process 1 inside, then for what that has started already.
        """

    def breach(self) -> Breach | None:
        """The limit on memory or processes that was reached, if one was."""

    @property
    def peak_memory_kb(self) -> int: ...


class Limiter(Protocol):
    @property
    def name(self) -> str:
        """For people, after "limits by"."""

    def group(self, limits: Limits) -> AbstractContextManager[Group]:
        """A new group, gone after the block. Raises SandboxError where it cannot be made."""


def restrict(pid: int, limits: Limits) -> None:
    """What the kernel holds for each process by itself: the size of a file, open files, no core dumps."""
    set_limit(pid, resource.RLIMIT_FSIZE, limits.disk_mb * MB)
    set_limit(pid, resource.RLIMIT_NOFILE, _OPEN_FILES)
    set_limit(pid, resource.RLIMIT_CORE, 0)


def set_limit(pid: int, which: int, value: int) -> None:
    """Set a resource limit, soft and hard, of another process; never above the hard limit that it has."""
    _, hard = resource.prlimit(pid, which)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.prlimit(pid, which, (value, value))


class Watch:
    """Looks at every limit of one running command, a few times a second."""

    def __init__(
        self,
        command: SandboxCommand,
        output: Output,
        group: Group,
        disk: DiskUse,
        *,
        max_output: int,
        cancelled: Callable[[], bool],
    ) -> None:
        self._command, self._output, self._group, self._disk = command, output, group, disk
        self._max_output, self._cancelled = max_output, cancelled
        self._started = self._looked = time.monotonic()

    def breach(self) -> Breach | None:
        """The first limit that was reached, or None; it looks only when the last look is a while ago.

        Raises DiskFull where there is hardly any room left on the host, and it is not this command that took it.
        """
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return None
        self._looked = now
        return next(self._breaches(now), None)

    def last_breach(self) -> Breach | None:
        """Once the command has ended by itself: was a limit reached that ended it, or that it should not have passed?"""
        return self._group.breach() or self._over_output() or self._over_disk(self._disk.total())

    def _breaches(self, now: float) -> Iterator[Breach]:
        if self._cancelled():
            yield Breach(SandboxEnd.CANCELLED, "cancelled")
        found = (
            _over_time(SandboxEnd.TIMEOUT, "wall clock", now - self._started, self._command.timeout_seconds),
            _over_time(SandboxEnd.IDLE, "silence", now - max(self._started, self._output.last_at), self._command.idle_seconds),
            self._group.breach(),
            self._over_output(),
            self._over_disk(self._disk.step()),
        )
        yield from filter(None, found)

    def _over_output(self) -> Breach | None:
        if self._output.size <= self._max_output:
            return None
        return over(SandboxEnd.OUTPUT, "output", self._output.size, self._max_output)

    def _over_disk(self, used: int) -> Breach | None:
        allowed = self._command.limits.disk_mb * MB
        if used > allowed:
            return over(SandboxEnd.DISK, "disk", used, allowed)
        if self._disk.bottomless:
            words = f"disk: folders nested to paths of more than {LONGEST_PATH:,} bytes, too deep to be counted"
            return Breach(SandboxEnd.DISK, words)
        free = self._disk.free()
        if free >= _FREE_DISK:
            return None
        words = f"{free // MB:,} MB left on the host, {_FREE_DISK // MB:,} MB are kept free"
        if used < _FREE_DISK:
            raise DiskFull(f"disk: {words}")
        return Breach(SandboxEnd.DISK, f"disk: {used // MB:,} MB used, {words}")


def _over_time(end: SandboxEnd, what: str, seconds: float, allowed: float) -> Breach | None:
    return Breach(end, f"{what}: {seconds:,.1f} s of {allowed:,.1f} s allowed") if seconds > allowed else None
