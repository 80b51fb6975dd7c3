"""Guard `licences`: a licence stays with the code that it is for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bot.domain.guards.change import Change, Edit, Finding, line_of

_FILES = re.compile(r"(?i)^(?:licen[cs]e|copying|notice|unlicense|patents)(?:[.-][\w.-]+)?$")
_SPDX = re.compile(r"SPDX-License-Identifier:\s*([^\s*/>-][^\n*]*?)\s*(?:\*/|-->|\*)?\s*$", re.MULTILINE)
_HEADER = re.compile(
    r"(?i)SPDX-License-Identifier|copyright\s+(?:\(c\)|©|\d{4})|licensed under|licensed? (?:terms|agreement)"
    r"|all rights reserved"
)
_COMMENT = re.compile(r"^\s*(?:#|//|/\*|\*|<!--|--|;|%|\"\"\"|'''|REM\b|\{-)|^\s*$")
HEAD = 40


def licences_kept(change: Change) -> Iterator[Finding]:
    files = change.where(
        lambda edit: _FILES.match(edit.name) is not None and not edit.name.endswith((".py", ".js", ".ts", ".go"))
    )
    for edit in files:
        others = [each for each in files if each is not edit and each.before is None and each.after]
        if (edit.before or "").strip() and not (edit.after or "").strip() and not others:
            yield Finding(
                edit.path, 0, "the licence's own file is gone" if edit.after is None else "the licence's own file is empty"
            )
    gone = {edit.name: edit for edit in change.edits if edit.after is None}
    for edit in change.edits:
        if edit.after is None or edit in files:
            continue
        moved = gone.get(edit.name) if edit.before is None else None
        yield from _of_file(edit, edit.before if moved is None else moved.before)


def _of_file(edit: Edit, before: str | None) -> Iterator[Finding]:
    old, new = _header(before), _header(edit.after)
    lost = _HEADER.search(old)
    if lost and not _HEADER.search(new):
        yield Finding(edit.path, line_of(before, re.escape(lost[0])), f"its licence header is gone: {lost[0]}")
        return
    was, now = _SPDX.search(old), _SPDX.search(new)
    if was and (now is None or was[1] != now[1]):
        words = f"it was under {was[1]}, and is under {now[1] if now else 'nothing that can be read'}"
        yield Finding(edit.path, line_of(edit.after, _SPDX), words)


def _header(text: str | None) -> str:
    """The comments that a file begins with; of text that has none, nothing."""
    kept: list[str] = []
    inside = False
    for line in (text or "").splitlines()[:HEAD]:
        if not inside and not _COMMENT.match(line) and not line.startswith(("#!", "<?")):
            break
        kept.append(line)
        for opening, closing in (("/*", "*/"), ("<!--", "-->"), ('"""', '"""')):
            if opening in line:
                inside = closing not in line.split(opening, 1)[1]
            elif closing in line:
                inside = False
    return "\n".join(kept)
