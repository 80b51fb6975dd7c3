"""Which workers of a home are gone: each holds a lock for as long as it, or what it has forked, lives.

The kernel lets go of a lock after a kill -9 too, and nobody has to guess from process ids, which are used again. A worker of
another machine has no lock in this home: nothing is said of it here.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SUFFIX = ".lock"


@contextmanager
def present(home: Path, worker: str) -> Iterator[None]:
    """Hold the worker's lock; one that leaves the block in peace has nothing left to be taken back."""
    file = _folder(home) / f"{worker}{_SUFFIX}"
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    while (descriptor := _lock(file, os.O_CREAT, fcntl.LOCK_EX)) is None:
        pass  # it was just being cleared away
    try:
        yield
        file.unlink()
    finally:
        os.close(descriptor)


@contextmanager
def gone(home: Path) -> Iterator[list[str]]:
    """The workers that died, by name; after the block, which takes back what they had, they are forgotten."""
    found = {file: descriptor for file in sorted(_folder(home).glob(f"*{_SUFFIX}")) if (descriptor := _try_lock(file))}
    try:
        yield [file.name.removesuffix(_SUFFIX) for file in found]
        for file in found:
            file.unlink()
    finally:
        for descriptor in found.values():
            os.close(descriptor)


def _folder(home: Path) -> Path:
    return home / "workers"


def _try_lock(file: Path) -> int | None:
    try:
        return _lock(file, 0, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):
        return None


def _lock(file: Path, flags: int, operation: int) -> int | None:
    """The locked file's descriptor; None where it was unlinked before the lock was had."""
    descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    try:
        fcntl.flock(descriptor, operation)
        linked = os.fstat(descriptor).st_nlink > 0
    except BaseException:
        os.close(descriptor)
        raise
    if linked:
        return descriptor
    os.close(descriptor)
    return None
