"""Whose fault a full disk is: what a command has written is its own, what is missing on the host may be anybody's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.domain.policies import Limits
from bot.errors import DiskFull
from bot.ports import SandboxCommand, SandboxEnd
from bot.sandbox.limits import MB, Breach, Watch
from bot.sandbox.output import Output


@dataclass
class Disk:
    """A `DiskUse` with these figures."""

    used: int
    left: int
    bottomless: bool = False

    def total(self) -> int:
        return self.used

    def free(self) -> int:
        return self.left


class Idle:
    """A `Group` in which nothing is used."""

    peak_memory_kb = 0

    def adopt(self, pid: int) -> None: ...

    def breach(self) -> Breach | None:
        return None


def last_breach(disk: Disk) -> Breach | None:
    command = SandboxCommand(["true"], Path("/"), Path("/"), Limits(disk_mb=1024))
    watch = Watch(command, Output(None), Idle(), disk, max_output=MB, cancelled=lambda: False)  # type: ignore[arg-type]
    return watch.last_breach()


def test_there_is_room() -> None:
    assert last_breach(Disk(used=1000 * MB, left=300 * MB)) is None


def test_more_than_is_allowed_is_its_own_doing() -> None:
    assert last_breach(Disk(used=1025 * MB, left=0)) == Breach(SandboxEnd.DISK, "disk: 1,025 MB of 1,024 MB allowed")


def test_a_host_that_it_has_filled_is_its_own_doing() -> None:
    reason = "disk: 700 MB used, 20 MB left on the host, 256 MB are kept free"
    assert last_breach(Disk(used=700 * MB, left=20 * MB)) == Breach(SandboxEnd.DISK, reason)


def test_a_host_that_was_full_already_passes_by_itself() -> None:
    with pytest.raises(DiskFull, match="20 MB left on the host") as told:
        last_breach(Disk(used=3 * MB, left=20 * MB))
    assert told.value.retryable
