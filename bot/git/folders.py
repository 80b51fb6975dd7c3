"""A folder of a commit, read as data: nothing of it is checked out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pygit2
from pygit2.enums import FileMode

from bot.errors import PolicyError
from bot.git.mirrors import Mirror
from bot.git.names import MAX_DEPTH, is_safe

MOST_FILES = 2_000
MOST_ENTRIES = 10 * MOST_FILES
"""Folders count here too: a small repository can hold more of them than anybody could walk through."""
MOST_BYTES = 8 << 20
MOST_NAME_BYTES = 255
_REGULAR = (FileMode.BLOB, FileMode.BLOB_EXECUTABLE)


def read_folder(mirror: Mirror, commit: str, folder: str, below: Sequence[str]) -> dict[str, str]:
    """The texts of the regular files in the folders `below` a folder ("" is the root), by their path below that one.

    Links and submodules are no files. Raises PolicyError for what is no UTF-8, for names that no honest git would write, and
    for more than such a folder should hold; GitError for a commit that is not there.
    """
    root = mirror.read(mirror.commit(commit).tree_id, pygit2.Tree)
    texts: dict[str, str] = {}
    left = MOST_BYTES
    for name in below:
        for path, file in _files(mirror, root, f"{folder}/{name}" if folder else name, name):
            left -= _size(mirror, file)
            if len(texts) >= MOST_FILES or left < 0:
                raise PolicyError(f"holds more than {MOST_FILES:,} files, or {MOST_BYTES >> 20} MB", place=folder or ".")
            texts[path] = _text(mirror.read(file, pygit2.Blob), path)
    return texts


def _files(mirror: Mirror, root: pygit2.Tree, place: str, name: str) -> Iterator[tuple[str, pygit2.Oid]]:
    try:
        found = root[place]
    except KeyError:
        return
    waiting: list[tuple[str, pygit2.Object]] = [(name, found)]
    seen = 0
    while waiting:
        path, entry = waiting.pop()
        if entry.filemode == FileMode.TREE:
            waiting += [(_below(path, each), each) for each in mirror.read(entry.id, pygit2.Tree)]
        elif entry.filemode in _REGULAR:
            yield path, entry.id
        seen += 1
        if seen > MOST_ENTRIES:
            raise PolicyError(f"holds more than {MOST_ENTRIES:,} folders and files", place=place)


def _below(path: str, entry: pygit2.Object) -> str:
    """The names become files of the host side, whoever wrote them."""
    name = (entry.raw_name or b"").decode("utf-8", "replace")
    if not is_safe(name) or len(name.encode()) > MOST_NAME_BYTES or path.count("/") >= MAX_DEPTH:
        raise PolicyError(f"holds {name[:80]!r}, which is no file's name", place=path[:200])
    return f"{path}/{name}"


def _size(mirror: Mirror, file: pygit2.Oid) -> int:
    """Without reading it."""
    try:
        return int(mirror.repository.odb.read_header(file)[1])
    except KeyError:
        return mirror.read(file, pygit2.Blob).size  # which says what is broken


def _text(blob: pygit2.Blob, path: str) -> str:
    try:
        return blob.data.decode()
    except UnicodeDecodeError as error:
        raise PolicyError("is not UTF-8", place=path) from error
