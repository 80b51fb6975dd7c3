"""A change as guards see it: texts before and after, by path. Nothing of it is ever run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from bot.domain.changesets import Changeset, FileMode

MAX_TEXT = 2_000_000
"""Characters of one file that are read; what is beyond is counted by nobody, and such a file is far above `size`."""


MAX_LINE = 2000
"""Characters of one line that are read."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a guard objects to. `line` is that of the new text, or of the old one where that is gone; 0 is the whole file."""

    path: str
    line: int
    reason: str

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass(frozen=True)
class Edit:
    """One path, as text. None where it is not there; what is no text is empty."""

    path: str
    before: str | None
    after: str | None

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def folders(self) -> tuple[str, ...]:
        return PurePosixPath(self.path).parts[:-1]

    @cached_property
    def added(self) -> list[tuple[int, str]]:
        """The lines that the old text has not, or has fewer of, with their numbers. A line that moved is not among them."""
        return _beyond(self.after, self.before)

    @cached_property
    def gone(self) -> list[tuple[int, str]]:
        return _beyond(self.before, self.after)


def _beyond(text: str | None, other: str | None) -> list[tuple[int, str]]:
    """In time that grows with the lines alone, whatever is in them: an agent may have written them to be slow to compare."""
    left = Counter(_lines(other))
    found = []
    for number, line in enumerate(_lines(text), 1):
        if left[line] > 0:
            left[line] -= 1
        else:
            found.append((number, line))
    return found


def _lines(text: str | None) -> list[str]:
    return [line[:MAX_LINE] for line in (text or "").removesuffix("\n").split("\n")] if text else []


@dataclass(frozen=True, slots=True)
class Change:
    """All edits. `base_has` tells whether the base has a file or folder of that path."""

    edits: tuple[Edit, ...]
    base_has: Callable[[str], bool]

    def where(self, matches: Callable[[Edit], bool]) -> tuple[Edit, ...]:
        return tuple(edit for edit in self.edits if matches(edit))


def change_of(
    changeset: Changeset,
    base: Callable[[str], bytes | None],
    base_has: Callable[[str], bool],
    rendered: Mapping[str, bytes] | None = None,
) -> Change:
    """What guards are to look at: all but links, and files that are, to the byte, what a template step rendered."""
    own = rendered or {}
    edits = (
        Edit(change.path, text_of(base(change.path)), text_of(change.content))
        for change in changeset.files
        if change.mode is not FileMode.LINK and not (change.content is not None and own.get(change.path) == change.content)
    )
    return Change(tuple(edits), base_has)


def text_of(content: bytes | None) -> str | None:
    """Bytes that are no UTF-8 are replaced; what has a NUL in it is no text."""
    if content is None:
        return None
    return "" if b"\0" in content[:8000] else content[:MAX_TEXT].decode("utf-8", "replace")


def line_of(text: str | None, pattern: re.Pattern[str] | str) -> int:
    """The first line that matches; 0 without one."""
    for number, line in enumerate(_lines(text), 1):
        if re.search(pattern, line):
            return number
    return 0


def first_added(edit: Edit, pattern: re.Pattern[str]) -> tuple[int, str] | None:
    return next(((number, line.strip()) for number, line in edit.added if pattern.search(line)), None)


def counted(pattern: re.Pattern[str], texts: Iterable[str | None]) -> int:
    return sum(len(pattern.findall(text)) for text in texts if text)
