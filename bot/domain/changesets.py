"""The unpublished change, as data: no working tree, no git process is needed to look at it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FileMode(StrEnum):
    """The modes git gives a file. Directories and submodules (160000) are not files."""

    REGULAR = "100644"
    EXECUTABLE = "100755"
    LINK = "120000"


@dataclass(frozen=True, slots=True)
class FileChange:
    """One changed path. `content` is the whole new content (a link's target, for a link), or None where it is deleted."""

    path: str
    mode: FileMode
    content: bytes | None

    @property
    def deleted(self) -> bool:
        return self.content is None


@dataclass(frozen=True, slots=True)
class Changeset:
    """All changes on one base commit (full id), sorted by path, each path once."""

    base: str
    files: tuple[FileChange, ...]

    def __bool__(self) -> bool:
        return bool(self.files)

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(change.path for change in self.files)
