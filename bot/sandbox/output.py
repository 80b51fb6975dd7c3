"""What a command writes: cut into lines, its end kept, all of it counted, with memory that stays bounded."""

from __future__ import annotations

import time
from collections.abc import Callable

LONGEST_LINE = 8 << 20
"""Bytes of a line that are kept: an event of Claude Code with an image in it passes, a line without an end does not."""

_TAIL_CHARACTERS = 4_000
_TAIL_BYTES = 4 * _TAIL_CHARACTERS


class Lines:
    """Cuts a stream into lines, given without their newline; what a line has beyond `longest` bytes is dropped."""

    def __init__(self, on_line: Callable[[bytes], None], longest: int = LONGEST_LINE) -> None:
        self._on_line, self._longest = on_line, longest
        self._line = bytearray()

    def feed(self, chunk: bytes) -> None:
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            self._keep(part)
            self._give()
        self._keep(rest)

    def close(self) -> None:
        """Give the last line, where it had no newline."""
        if self._line:
            self._give()

    def _keep(self, part: bytes) -> None:
        self._line += part[: self._longest - len(self._line)]

    def _give(self) -> None:
        line = bytes(self._line)
        self._line.clear()
        self._on_line(line)


class Tail:
    """The end of a stream, at most 4,000 characters."""

    def __init__(self) -> None:
        self._end = b""

    def feed(self, chunk: bytes) -> None:
        self._end = (self._end + chunk)[-_TAIL_BYTES:]

    @property
    def text(self) -> str:
        return self._end.decode(errors="replace")[-_TAIL_CHARACTERS:]


class Output:
    """Both streams of one command: how much they were (bytes), and when the last of it came (monotonic seconds)."""

    def __init__(self, on_line: Callable[[bytes], None] | None) -> None:
        self._tail = Tail()
        self._lines = Lines(on_line) if on_line else None
        self.size = 0
        self.last_at = time.monotonic()

    def stdout(self, chunk: bytes) -> None:
        self._count(chunk)
        (self._lines or self._tail).feed(chunk)

    def stderr(self, chunk: bytes) -> None:
        self._count(chunk)
        self._tail.feed(chunk)

    def close(self) -> None:
        if self._lines:
            self._lines.close()

    @property
    def tail(self) -> str:
        return self._tail.text

    def _count(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self.last_at = time.monotonic()
