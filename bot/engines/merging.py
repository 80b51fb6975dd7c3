"""Three-way merges of one file: the repository's edits and the template's, both since the bot's last rendering."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bot.domain.blocks import line_ending
from bot.domain.redaction import one_line
from bot.errors import ChangeRefused
from bot.git.porcelain import Output, failure, git

_MARKER = 97
"""So long that no line of a file is taken for a conflict's marker."""
_OUR_SIDE = re.compile(rf"^<{{{_MARKER}}}[^\n]*\n(.*?)^={{{_MARKER}}}", re.MULTILINE | re.DOTALL)
_MOST_CONFLICTS = 127


def merged(path: str, ours: str, base: bytes | None, theirs: str, scratch: Path) -> str:
    """`ours` (the repository's file) with what changed from `base` (the last rendering) to `theirs` (the new one).

    Without a base nothing of either is lost: where the two differ, the repository's lines come first, the template's follow.
    The line endings are those of `ours`. Raises ChangeRefused, with the lines, where both changed the same ones.
    """
    ending = line_ending(ours)
    theirs = _with_ending(theirs, ending)
    known = None if base is None else _with_ending(base.decode("utf-8", "replace"), ending)
    if theirs in (ours, known):
        return ours
    options = ["--union"] if known is None else []
    output = _merge_file([*options, f"--marker-size={_MARKER}"], ours, known or "", theirs, scratch)
    if output.status == 0:
        return output.stdout.decode()
    if 0 < output.status <= _MOST_CONFLICTS:
        raise ChangeRefused(_conflicts(path, ours, output.stdout.decode()))
    raise failure(f"merging {path}", output)


def _merge_file(options: Sequence[str], ours: str, base: str, theirs: str, scratch: Path) -> Output:
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        files = [Path(name) / side for side in ("ours", "base", "theirs")]
        for file, text in zip(files, (ours, base, theirs), strict=True):
            file.write_bytes(text.encode())
        return git(["merge-file", "-p", *options, *map(str, files)], scratch)


def _with_ending(text: str, ending: str) -> str:
    return text.replace("\r\n", "\n").replace("\n", ending)


def _conflicts(path: str, ours: str, with_conflicts: str) -> list[str]:
    """A reason for each conflict, at the first of the repository's own lines in it."""
    reasons, position = [], 0
    for side in _OUR_SIDE.findall(with_conflicts):
        hunk = side.splitlines()
        if not hunk:
            reasons.append(f"{path}: the template changes lines that were deleted here")
            continue
        position = _index_of(hunk, ours.splitlines(), position)
        reasons.append(f"{path}:{position + 1}: changed here and in the template: `{one_line(hunk[0], 80)}`")
    return reasons


def _index_of(hunk: list[str], lines: list[str], start: int) -> int:
    last = len(lines) - len(hunk)
    return next((index for index in range(start, last + 1) if lines[index : index + len(hunk)] == hunk), start)
