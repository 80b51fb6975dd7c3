"""A change as guards see it: texts before and after, by path. Nothing of it is ever run."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from bot.domain.changesets import Changeset, FileMode

MAX_TEXT = 2_000_000
"""Characters of one file that are read; what is beyond is counted by nobody, and such a file is far above `size`."""


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
    def lines(self) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
        """The lines that are new, and those that are gone, with their numbers."""
        old, new = (self.before or "").splitlines(), (self.after or "").splitlines()
        if not old or not new:
            return list(enumerate(new, 1)), list(enumerate(old, 1))
        start = _common(old, new)
        end = _common(old[start:][::-1], new[start:][::-1])
        left, right = old[start : len(old) - end], new[start : len(new) - end]
        added: list[tuple[int, str]] = []
        gone: list[tuple[int, str]] = []
        # Time that grows with the square of the lines: above, each side of such a middle is taken as a whole.
        if len(left) * len(right) > 25_000_000:
            return list(enumerate(right, start + 1)), list(enumerate(left, start + 1))
        for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
            if tag != "equal":
                gone += [(start + index + 1, left[index]) for index in range(i1, i2)]
                added += [(start + index + 1, right[index]) for index in range(j1, j2)]
        return added, gone

    @property
    def added(self) -> list[tuple[int, str]]:
        return self.lines[0]

    @property
    def gone(self) -> list[tuple[int, str]]:
        return self.lines[1]


def _common(old: list[str], new: list[str]) -> int:
    count = 0
    for left, right in zip(old, new, strict=False):
        if left != right:
            break
        count += 1
    return count


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
    for number, line in enumerate((text or "").splitlines(), 1):
        if re.search(pattern, line):
            return number
    return 0


def first_added(edit: Edit, pattern: re.Pattern[str]) -> tuple[int, str] | None:
    return next(((number, line.strip()) for number, line in edit.added if pattern.search(line)), None)


def counted(pattern: re.Pattern[str], texts: Iterable[str | None]) -> int:
    return sum(len(pattern.findall(text)) for text in texts if text)
