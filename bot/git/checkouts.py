"""Checkouts without a .git: a commit's files, byte for byte as they are stored.

Blobs are written in process. No filter, line-ending conversion, keyword, LFS or submodule is looked at, so whatever a
repository's .gitattributes ask for, nothing of it runs or changes a byte.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pygit2
from pygit2.enums import FileMode as GitMode

from bot.domain.changesets import FileMode
from bot.errors import GitError
from bot.git.files import open_folder, settle
from bot.git.mirrors import Mirror
from bot.git.names import MAX_DEPTH, is_safe

MODES = {
    GitMode.BLOB: FileMode.REGULAR,
    GitMode.BLOB_EXECUTABLE: FileMode.EXECUTABLE,
    GitMode.LINK: FileMode.LINK,
}
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the file system says of a file; whoever changes the file changes this."""

    mode: int
    size: int
    inode: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> Stamp:
        return cls(found.st_mode, found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)


@dataclass(frozen=True, slots=True)
class Known:
    """A file as it was checked out."""

    blob: pygit2.Oid
    mode: FileMode
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every file of a checkout by its path, and the paths of its submodules, as they were when it was made.

    Bytes of a path that are no UTF-8 are surrogates in it. `last_tick_ns` is the clock's last tick seen in a stamp.
    """

    files: Mapping[str, Known]
    submodules: frozenset[str]
    last_tick_ns: int

    def is_untouched(self, path: str, stamp: Stamp) -> bool:
        """Is the file provably as it was? One written in the last tick could have been changed within that same tick."""
        known = self.files.get(path)
        return known is not None and known.stamp == stamp and stamp.changed_ns < self.last_tick_ns


def checkout(mirror: Mirror, commit: str, tree: Path, *, only: Iterable[str] | None = None) -> Snapshot:
    """Write the commit's files into the empty folder `tree` (made where it is missing). Links stay links.

    With `only`, just what is at these paths and on the way to them, and the .gitignore files in those folders. Raises
    GitError for a tree that no git would check out: a `.git` in any spelling, `..`, one name twice.
    """
    wanted = None if only is None else _on_the_way(only)
    tree.mkdir(parents=True, exist_ok=True)
    files: dict[str, Known] = {}
    submodules: set[str] = set()
    folders = [("", mirror.commit(commit).tree_id)]
    while folders:
        folder, tree_id = folders.pop()
        with open_folder(tree, folder) as descriptor:
            for path, name, entry in _entries(mirror, folder, tree_id):
                if wanted is not None and path not in wanted:
                    continue
                if entry.filemode in MODES:
                    files[path] = _write(mirror, entry, descriptor, name, path)
                    continue
                _make_folder(descriptor, name, path)
                if entry.filemode == GitMode.TREE:
                    folders.append((path, entry.id))
                else:
                    submodules.add(path)
    last = max((known.stamp.changed_ns for known in files.values()), default=0)
    return Snapshot(files, frozenset(submodules), last)


def _on_the_way(paths: Iterable[str]) -> set[str]:
    """The paths, every folder (or what is in its place) that leads to them, and the .gitignore of each folder."""
    places = {"/".join(parts[:depth]) for parts in (path.split("/") for path in paths) for depth in range(1, len(parts) + 1)}
    return places | {".gitignore"} | {f"{place}/.gitignore" for place in places}


def _entries(mirror: Mirror, folder: str, tree_id: pygit2.Oid) -> Iterator[tuple[str, str, pygit2.Object]]:
    for entry in mirror.read(tree_id, pygit2.Tree):
        name = os.fsdecode(entry.raw_name or b"")
        path = f"{folder}/{name}" if folder else name
        if not is_safe(name):
            raise GitError(f"the repository has an entry that must not be checked out: {path!r}")
        if path.count("/") > MAX_DEPTH:
            raise GitError(f"the repository is nested deeper than {MAX_DEPTH} folders: {path[:60]!r}...")
        yield path, name, entry


def _make_folder(parent: int, name: str, path: str) -> None:
    try:
        os.mkdir(name, 0o755, dir_fd=parent)
        settle(parent, name)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _write(mirror: Mirror, entry: pygit2.Object, parent: int, name: str, path: str) -> Known:
    mode, content = MODES[GitMode(entry.filemode)], mirror.read(entry.id, pygit2.Blob).data
    try:
        if mode is FileMode.LINK:
            os.symlink(content, os.fsencode(name), dir_fd=parent)
        else:
            _write_file(parent, name, content, 0o755 if mode is FileMode.EXECUTABLE else 0o644)
        settle(parent, name)
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except (OSError, ValueError) as error:
        raise _cannot_write(path, error) from error
    return Known(entry.id, mode, Stamp.of(found))


def _write_file(parent: int, name: str, content: bytes, mode: int) -> None:
    descriptor = os.open(name, _CREATE, mode, dir_fd=parent)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)


def _cannot_write(path: str, error: Exception) -> GitError:
    return GitError(f"{path!r} cannot be checked out: {error}")
