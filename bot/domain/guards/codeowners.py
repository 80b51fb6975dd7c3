"""Guard `codeowners`: whoever had to agree to a change of a file still has to."""

from __future__ import annotations

import re
from collections.abc import Iterator

from codeowners import CodeOwners

from bot.domain.guards.change import MAX_LINE, Change, Edit, Finding, line_of

MAX_STARS = 12
"""In one pattern. Each more multiplies the time that the pattern may take."""

_EVERYTHING = re.compile(r"\s*/?\*{1,2}(?:/\*{1,2})?\s")


def owners_kept(change: Change) -> Iterator[Finding]:
    """Each pattern, old and new, stands for a path that it matches: whom it asked for, and whom it asks for now."""
    edits = change.where(lambda edit: edit.name == "CODEOWNERS")
    after = next((edit for edit in edits if edit.after), None)
    for edit in edits:
        if not _rules(edit.before):
            continue
        now = edit if edit.after else after
        if now is None:
            yield Finding(edit.path, 0, "nobody owns anything any more")
        else:
            yield from _lost(edit, now)
    for edit in edits:
        for number, line in edit.added:
            if not _is_readable(line):
                yield Finding(edit.path, number, "this rule cannot be read: it could be about any file")


def _lost(edit: Edit, now: Edit) -> Iterator[Finding]:
    old, new, known = read_owners(edit.before or ""), read_owners(now.after or ""), _rules(edit.before)
    particular = read_owners("\n".join(line for line in (edit.before or "").splitlines() if not _EVERYTHING.match(line)))
    for pattern in dict.fromkeys([*known, *_rules(now.after)]):
        after = _owners(new, pattern)
        # A new pattern may give to others what belonged to those who own everything, and to nobody else.
        before = _owners(particular if pattern not in known and after else old, pattern)
        if lost := sorted(before - after):
            line = line_of(now.after, re.escape(pattern)) if pattern in _rules(now.after) else 0
            yield Finding(now.path, line, f"{', '.join(lost)} no longer own{'s' if len(lost) == 1 else ''} {pattern}")


def _owners(owners: CodeOwners, pattern: str) -> set[str]:
    return {owner for _, owner in owners.of(_sample(pattern))}


def read_owners(text: str) -> CodeOwners:
    """What can be read of it: a line that cannot be, or only in a long time, is nobody's."""
    return CodeOwners("\n".join(line for line in text.splitlines() if _is_readable(line)))


def _is_readable(line: str) -> bool:
    if len(line) > MAX_LINE or line.count("*") > MAX_STARS:
        return False
    try:
        CodeOwners(line)
    except ValueError:
        return False
    return True


def _rules(text: str | None) -> list[str]:
    """The patterns, in their order; sections of GitLab's are none."""
    lines = (line.split("#")[0].split() for line in (text or "").splitlines() if not line.lstrip().startswith(("[", "^[")))
    return [words[0] for words in lines if words]


def _sample(pattern: str) -> str:
    """A path that the pattern matches."""
    path = re.sub(r"\*+", "some", pattern.lstrip("/")).replace("?", "s")
    return f"{path}some" if path.endswith("/") else path
