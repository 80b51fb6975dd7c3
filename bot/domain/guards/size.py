"""Guards `size` and `reformatting`: a change that a person can review."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from bot.domain.guards.change import Change, Edit, Finding
from bot.domain.guards.lockfiles import is_lockfile
from bot.domain.guards.policy import Guards

MANY_LINES = 60
"""So many lines whose white space or quotes alone change, and it is told from a change that moves a block."""


def small_enough(change: Change, guards: Guards) -> Iterator[Finding]:
    edits = [edit for edit in change.edits if not is_lockfile(edit) and edit.after is not None]
    lines = {edit.path: len(edit.added) + len(edit.gone) for edit in edits}
    total = sum(lines.values())
    if total > guards.max_changed_lines:
        largest = max(lines, key=lambda path: lines[path])
        words = f"{total:,} lines are changed, {lines[largest]:,} of them here; `max_changed_lines` is"
        yield Finding(largest, 0, f"{words} {guards.max_changed_lines:,}")
    if len(change.edits) > guards.max_files:
        yield Finding(change.edits[0].path, 0, f"{len(change.edits):,} files are changed; `max_files` is {guards.max_files:,}")


def not_reformatted(change: Change) -> Iterator[Finding]:
    """Many lines that differ in white space or quotes alone, more than are changed in earnest."""
    for edit in change.edits:
        alike = _alike(edit)
        if alike >= MANY_LINES and alike * 2 > len(edit.added):
            first = edit.added[0][0] if edit.added else 0
            yield Finding(edit.path, first, f"{alike} of {len(edit.added)} changed lines differ in white space or quotes alone")
    scattered = [(edit, _alike(edit)) for edit in change.edits]
    small = [(edit, alike) for edit, alike in scattered if 0 < alike < MANY_LINES and alike * 2 > len(edit.added)]
    total = sum(alike for _, alike in small)
    if total >= 2 * MANY_LINES:
        yield Finding(small[0][0].path, 0, f"{total} lines in {len(small)} files differ in white space or quotes alone")


def _alike(edit: Edit) -> int:
    if edit.before is None or edit.after is None:
        return 0
    gone = Counter(filter(None, (_bare(line) for _, line in edit.gone)))
    added = Counter(filter(None, (_bare(line) for _, line in edit.added)))
    return (gone & added).total()


def _bare(line: str) -> str:
    return re.sub(r"\s+|;$|,$", "", line).replace("'", '"')
