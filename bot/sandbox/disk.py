"""How much disk a sandbox uses, counted while it runs."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

LONGEST_PATH = 3_500
"""Bytes of a folder's path. The kernel takes 4,096: what lies much deeper cannot be looked at, so it cannot be counted."""

_STEP_SECONDS = 0.02
_PAUSE_SECONDS = 1.0
_ENTRY_BYTES = 4096
"""What an entry costs besides its blocks. A disk has one inode for so many bytes: empty files use it up as full ones do."""


class DiskUse:
    """Counts the files below `roots`, and those that the processes `pids()` hold open after their removal.

    A pass over a large tree takes many steps, so that the clocks and the output are looked at in between. `bottomless` is set
    once a folder was found that lies too deep to be counted.
    """

    def __init__(self, roots: Sequence[Path], pids: Callable[[], Iterable[int]]) -> None:
        self._roots, self._pids = roots, pids
        self._devices = {root.stat().st_dev for root in roots}
        self.bottomless = False
        self._totals = self._watch()

    def step(self) -> int:
        """Count on for a moment. The bytes of the present pass so far, or of the last one while it pauses."""
        return next(self._totals)

    def total(self) -> int:
        """One whole pass: the bytes now."""
        return sum(self._sizes())

    def free(self) -> int:
        """The bytes left on the fullest file system of the roots."""
        found = (os.statvfs(root) for root in self._roots)
        return min(each.f_bavail * each.f_frsize for each in found)

    def _watch(self) -> Iterator[int]:
        while True:
            total, until = 0, time.monotonic() + _STEP_SECONDS
            for size in self._sizes():
                total += size
                if time.monotonic() > until:
                    yield total
                    until = time.monotonic() + _STEP_SECONDS
            pause = time.monotonic() + _PAUSE_SECONDS
            yield total
            while time.monotonic() < pause:
                yield total

    def _sizes(self) -> Iterator[int]:
        seen: set[tuple[int, int]] = set()
        for found in (*map(self._below, self._roots), self._removed()):
            for each in found:
                if each.st_nlink != 1 and not stat.S_ISDIR(each.st_mode):
                    if (each.st_dev, each.st_ino) in seen:
                        continue
                    seen.add((each.st_dev, each.st_ino))
                yield each.st_blocks * 512 + _ENTRY_BYTES

    def _below(self, root: Path) -> Iterator[os.stat_result]:
        folders = [str(root)]
        while folders:
            try:
                entries = os.scandir(folders.pop())
            except OSError:  # gone by now, or closed to us: the floor under the free space is for those
                continue
            with entries:
                for entry in entries:
                    found = _stat(entry.path, follow_links=False)
                    if found is None:
                        continue
                    if stat.S_ISDIR(found.st_mode):
                        folders += self._to_look_into(entry.path)
                    yield found

    def _to_look_into(self, folder: str) -> list[str]:
        if len(os.fsencode(folder)) <= LONGEST_PATH:
            return [folder]
        self.bottomless = True
        return []

    def _removed(self) -> Iterator[os.stat_result]:
        for pid in self._pids():
            for path in _open_files(pid):
                found = _stat(path)
                if found and found.st_nlink == 0 and stat.S_ISREG(found.st_mode) and found.st_dev in self._devices:
                    yield found


def _open_files(pid: int) -> list[str]:
    folder = f"/proc/{pid}/fd"
    try:
        return [f"{folder}/{name}" for name in os.listdir(folder)]  # noqa: PTH208 (thousands a second: no Path for each)
    except OSError:
        return []


def _stat(path: str, *, follow_links: bool = True) -> os.stat_result | None:
    try:
        return os.stat(path, follow_symlinks=follow_links)  # noqa: PTH116 (the same)
    except OSError:
        return None
