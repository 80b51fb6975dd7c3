"""What a check left of its single cases: read from a tree that hostile code has written to, once none of it runs any more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from bot.domain.case_results import CaseResults, Unreadable, joined, read_junit, read_tap
from bot.domain.policy_types import path_rules
from bot.domain.steps import Check
from bot.errors import ChangeRefused
from bot.git import read_file

MAX_FILES = 2_000
MAX_BYTES = 64 * 1024 * 1024
"""Of all files, or lines, with results of one check."""
MAX_LOOKED_AT = 500_000
MAX_DEPTH = 100
TAIL_CHARACTERS = 4_000


class Listener:
    """Keeps the lines of stdout, up to a bound; a line too many has it keep none."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.overflown = False
        self._size = 0

    def __call__(self, line: bytes) -> None:
        self._size += len(line) + 1
        self.overflown = self._size > MAX_BYTES
        if not self.overflown:
            self.lines.append(line.decode(errors="replace"))

    def told(self) -> list[str]:
        """Raises Unreadable."""
        if self.overflown:
            raise Unreadable(f"its output has more than {MAX_BYTES >> 20} MB")
        return self.lines

    def tail_with(self, stderr: str) -> str:
        """The end of stdout and then of stderr: which came when is not known."""
        stdout = "\n".join(self.lines[-200:])[-TAIL_CHARACTERS // 2 :]
        return "\n".join(part for part in (stdout, stderr[-TAIL_CHARACTERS // 2 :]) if part)


def remove_old(check: Check, tree: Path) -> None:
    """Results that are in the repository are not the check's own. Nothing of the repository has run in this tree yet."""
    for path in _matching(check, _files(tree)):
        (tree / path).unlink()


def read_results(check: Check, tree: Path, listener: Listener | None) -> tuple[CaseResults | None, str]:
    """The cases, or None and why there are none: both empty for a check that only ends."""
    try:
        if listener is not None:
            return read_tap(listener.told()), ""
        if check.junit:
            return joined(list(_reports(check, tree))), ""
    except (Unreadable, ChangeRefused) as error:
        return None, str(error)
    return None, ""


def _reports(check: Check, tree: Path) -> Iterator[CaseResults]:
    paths = sorted(_matching(check, _bounded(_files(tree))))
    if not paths:
        raise Unreadable(f"it left no file that matches {', '.join(check.junit)}")
    if len(paths) > MAX_FILES:
        raise Unreadable(f"it left more than {MAX_FILES:,} files of results")
    left = MAX_BYTES
    for path in paths:
        content = read_file(tree, path) or b""
        left -= len(content)
        if left < 0:
            raise Unreadable(f"its results have more than {MAX_BYTES >> 20} MB")
        try:
            yield read_junit(content)
        except Unreadable as error:
            raise Unreadable(f"{path}: {error}") from error


def _matching(check: Check, files: Iterator[str]) -> list[str]:
    return list(path_rules(check.junit).match_files(files)) if check.junit else []


def _bounded(files: Iterator[str]) -> Iterator[str]:
    for number, path in enumerate(files):
        if number >= MAX_LOOKED_AT:
            raise Unreadable(f"its tree has more than {MAX_LOOKED_AT:,} files")
        yield path


def _files(tree: Path) -> Iterator[str]:
    """The regular files, by their paths; no link is followed, and what may not be looked at is left out."""
    folders = [(str(tree), "", 0)]
    while folders:
        folder, below, depth = folders.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and depth < MAX_DEPTH:
                folders.append((entry.path, f"{below}{entry.name}/", depth + 1))
            elif entry.is_file(follow_symlinks=False):
                yield f"{below}{entry.name}"
