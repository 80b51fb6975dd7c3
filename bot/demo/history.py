"""A repository's history as one text file: easy to review, and inert, whatever the repository's files would do.

    == 2022-09-12T09:14 Mina Okafor: Subject of the commit

    -- path/of/a/file.py --
    its text, up to the next marker
    -- hooks/pre-commit -- executable
    -- logo.png -- base64
    -- docs/link -> its/target

Each commit lists the files that it adds or replaces. Blank lines around a text are not part of it. No line of a text may
begin with `== ` or `-- `.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.domain.changesets import FileChange, FileMode

_COMMIT_LINE = re.compile(r"^== (.+)$", re.MULTILINE)
_COMMIT = re.compile(r"(?P<at>\S+) (?P<author>[^:]+): (?P<subject>.+)")
_FILE_LINE = re.compile(r"^-- (.+)$", re.MULTILINE)
_FILE = re.compile(r"(?P<path>.+?) (?:--(?: (?P<kind>executable|base64))?|-> (?P<target>\S+))")


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit; `at` is timezone-aware UTC, `files` are the ones that it adds or replaces."""

    at: datetime
    author: str
    subject: str
    files: tuple[FileChange, ...]


def parse_history(text: str) -> list[Commit]:
    """The commits, oldest first. Raises ValueError with the marker that cannot be read."""
    before, *parts = _COMMIT_LINE.split(text)
    if before.strip():
        raise ValueError(f"a history begins with a commit, not with {before.strip().splitlines()[0]!r}")
    return [_commit(header, body) for header, body in _pairs(parts)]


def _commit(header: str, body: str) -> Commit:
    marker = _COMMIT.fullmatch(header)
    before, *parts = _FILE_LINE.split(body)
    if marker is None or before.strip():
        raise ValueError(f"cannot read the commit '== {header}'")
    files = tuple(_file(header, content) for header, content in _pairs(parts))
    return Commit(datetime.fromisoformat(marker["at"]).replace(tzinfo=UTC), marker["author"], marker["subject"], files)


def _file(header: str, body: str) -> FileChange:
    marker = _FILE.fullmatch(header)
    if marker is None:
        raise ValueError(f"cannot read the file '-- {header}'")
    text = body.strip("\n")
    if marker["target"]:
        return FileChange(marker["path"], FileMode.LINK, marker["target"].encode())
    if marker["kind"] == "base64":
        return FileChange(marker["path"], FileMode.REGULAR, base64.b64decode(text))
    mode = FileMode.EXECUTABLE if marker["kind"] == "executable" else FileMode.REGULAR
    return FileChange(marker["path"], mode, f"{text}\n".encode() if text else b"")


def _pairs(parts: list[str]) -> list[tuple[str, str]]:
    return list(zip(parts[::2], parts[1::2], strict=True))
