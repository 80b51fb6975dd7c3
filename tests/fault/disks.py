"""A disk so small that it can be filled: a tmpfs, in a mount namespace of its own, which needs no root."""

from __future__ import annotations

import ctypes
import errno
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fault.conftest import processes_of

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
PIECES = (1 << 20, 1 << 12, 1)


@dataclass(frozen=True)
class SmallDisk:
    folder: Path

    def fill(self) -> None:
        """Until not one byte more can be written."""
        with self._filler.open("ab", buffering=0) as filler:
            for size in PIECES:
                _write_until_full(filler.fileno(), size)

    def clear(self) -> None:
        self._filler.unlink()

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"


def with_small_disk(folder: Path, megabytes: int, test: Callable[[SmallDisk], None]) -> None:
    """Call `test` in a process of its own, where `folder` (made where it is missing) is such a disk."""

    def mounted() -> None:
        _mount(folder, megabytes)
        test(SmallDisk(folder))

    folder.mkdir(parents=True, exist_ok=True)
    process = multiprocessing.get_context("fork").Process(target=mounted)
    process.start()
    try:
        process.join()
    finally:
        process.kill()
        for left in processes_of(folder):
            left.kill()
    assert process.exitcode == 0, "see what it wrote to stderr"


def _mount(folder: Path, megabytes: int) -> None:
    user, group = os.geteuid(), os.getegid()
    _call("unshare", CLONE_NEWNS | (CLONE_NEWUSER if user else 0))
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _call("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
    _call("mount", b"tmpfs", os.fsencode(folder), b"tmpfs", 0, f"size={megabytes}m,mode=700".encode())


def _call(function: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{function}: {os.strerror(ctypes.get_errno())}")


def _write_until_full(descriptor: int, size: int) -> None:
    try:
        while os.write(descriptor, b"0" * size):
            pass
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
