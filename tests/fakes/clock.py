"""Clocks that only move when they are told to."""

from __future__ import annotations

import fcntl
import math
import mmap
import struct
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

START = datetime(2026, 1, 15, 12, tzinfo=UTC)


class ManualClock:
    """`ports.Clock`: `sleep` returns at once, and moves it on by as much."""

    def __init__(self, now: datetime = START):
        self._now = now
        self._monotonic = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass, on both faces of the clock."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds


class SharedClock:
    """`ports.Clock` of several processes: time passes while each of them sleeps or is dead, up to when the first one wakes.

    Whoever has a seat, a number of its own, holds a shared lock on the file while it is awake. Without a seat it is only read.
    """

    SEATS = 64

    def __init__(self, file: Path, seat: int | None = None):
        self._file = file.open("a+b")
        if file.stat().st_size == 0:
            self._file.write(struct.pack(f"{1 + self.SEATS}d", 0, *[math.inf] * self.SEATS))
            self._file.flush()
        self._shared = memoryview(mmap.mmap(self._file.fileno(), 0)).cast("d")
        """The present, then when each seat wakes: never, where it is awake or nobody's."""
        self._seat = seat
        if seat is not None:
            fcntl.flock(self._file, fcntl.LOCK_SH)

    def now(self) -> datetime:
        return datetime(2026, 1, 15, 12, tzinfo=UTC) + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return self._shared[0]

    def sleep(self, seconds: float) -> None:
        assert self._seat is not None
        until = self._shared[1 + self._seat] = self.monotonic() + seconds
        while self.monotonic() < until:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            time.sleep(0.0005)
            fcntl.flock(self._file, fcntl.LOCK_EX)  # when nobody is awake
            self._shared[0] = max(self.monotonic(), min(self._shared[1:]))
        # Not before: the next one to get the lock would let time pass while this one is on its way up.
        fcntl.flock(self._file, fcntl.LOCK_SH)
        self._shared[1 + self._seat] = math.inf
