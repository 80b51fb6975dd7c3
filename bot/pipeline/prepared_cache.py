"""Results of preparations on this machine's disk: each of one repository, whole or not there, and not removed while in use."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.pipeline.workspaces import discard

MAX_ENTRIES = 40
"""The ones that were used last are kept. Each is at most as large as its attempt's `disk_mb`."""


@contextmanager
def entry(root: Path, key: str, make: Callable[[Path], None]) -> Iterator[Path]:
    """The folder of `key`, by `make` where there is none yet; whoever wants the same one meanwhile waits."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    place = root / key
    with (root / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        if not place.exists():
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not place.exists():
                _make(place, make)
            fcntl.flock(lock, fcntl.LOCK_SH)
        os.utime(place)
        _drop_old(root, place)
        yield place


def _make(place: Path, make: Callable[[Path], None]) -> None:
    part = place.with_suffix(".part")
    discard(part)
    part.mkdir(mode=0o700)
    try:
        make(part)
        part.rename(place)
    finally:
        discard(part)


def _drop_old(root: Path, in_use: Path) -> None:
    """What was used longest ago, and what somebody who died has left half-made; never what is in use."""
    found = {each: _used_at(each) for each in root.iterdir() if each.suffix != ".lock" and each.stem != in_use.name}
    whole = sorted((each for each in found if not each.suffix), key=found.__getitem__, reverse=True)
    for place in [*whole[MAX_ENTRIES - 1 :], *(each for each in found if each.suffix)]:
        with place.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            discard(place)


def _used_at(place: Path) -> float:
    try:
        return place.stat().st_mtime
    except FileNotFoundError:  # somebody else has dropped it meanwhile
        return 0.0
