"""Import: a folder of somebody's own, read into a mirror as a commit. The folder itself is left as it is."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pygit2

from bot.domain.changesets import FileMode
from bot.errors import ChangeRefused
from bot.git.checkouts import MODES, Stamp
from bot.git.collecting import Ceilings, check_link, check_name, file_mode, shown, told
from bot.git.commits import Signature
from bot.git.ignoring import GITIGNORE, ignored_by
from bot.git.mirrors import Mirror
from bot.git.names import MAX_DEPTH, is_dot_git

IMPORT_CEILINGS = Ceilings(file_mb=50, files=50_000, total_mb=1000)
_MB = 1024 * 1024
_GIT_MODES = {mode: git_mode for git_mode, mode in MODES.items()}


@dataclass(frozen=True, slots=True)
class Imported:
    """The commit, and the paths in it, sorted."""

    commit: str
    paths: tuple[str, ...]


def import_folder(
    mirror: Mirror, folder: Path, author: Signature, *, without: Sequence[Path] = (), ceilings: Ceilings = IMPORT_CEILINGS
) -> Imported:
    """Commit what is in a folder, but its own .git, the folders `without`, and what its .gitignore files match.

    Links stay links. Raises ChangeRefused, as `collect` does, with a reason for each nested .git, link that leads out of the
    folder, device, odd name and overlarge file.
    """
    left_out = {os.path.realpath(each) for each in without}
    found = list(_walk(folder, left_out))
    ignores = {path: _read(folder, path) for path in found if path.rpartition("/")[2] == GITIGNORE and _is_file(folder, path)}
    ignored = ignored_by(mirror, ignores, found)
    index, total = pygit2.Index(), 0
    reasons: list[str] = []
    for path in sorted(set(found) - ignored):
        try:
            entry, size = _entry(mirror, folder, path, ceilings)
        except ChangeRefused as refused:
            reasons += refused.reasons
            continue
        index.add(entry)
        total += size
        if len(index) > ceilings.files or total > ceilings.total_mb * _MB:
            raise ChangeRefused([f"the folder is too large: more than {ceilings.files:,} files or {ceilings.total_mb} MB"])
    if reasons:
        raise ChangeRefused(told(reasons))
    return Imported(_commit(mirror, index, author), tuple(entry.path for entry in index))


def _walk(folder: Path, left_out: set[str]) -> Iterator[str]:
    """Everything in the folder that is no folder, and each .git but its own, which is not entered."""
    for place, names, files in os.walk(folder, onerror=_unreadable):
        here = os.path.relpath(place, folder)
        below = "" if here == "." else f"{here}/"
        if below.count("/") > MAX_DEPTH:
            raise ChangeRefused([f"{shown(below[:60])}... is nested deeper than {MAX_DEPTH} folders"])
        entered = []
        for name in names:
            path = Path(place, name)
            if is_dot_git(name) or path.is_symlink():
                files.append(name)
            elif os.path.realpath(path) not in left_out:
                entered.append(name)
        names[:] = entered
        yield from (f"{below}{name}" for name in files if below or name != ".git")


def _entry(mirror: Mirror, folder: Path, path: str, ceilings: Ceilings) -> tuple[pygit2.IndexEntry, int]:
    if any(map(is_dot_git, path.split("/"))):
        raise ChangeRefused([f"{shown(path)} is, or could be taken for, git's own folder"])
    check_name(path)
    stamp = Stamp.of((folder / path).lstat())
    mode = file_mode(path, stamp)
    if stamp.size > ceilings.file_mb * _MB:
        raise ChangeRefused([f"{shown(path)} has {stamp.size / _MB:.1f} MB, at most {ceilings.file_mb} are allowed"])
    if mode is FileMode.LINK:
        content = os.fsencode(os.readlink(folder / path))  # noqa: PTH115 - a Path would change the words
        check_link(path, os.fsdecode(content))
    else:
        content = _read(folder, path)
    return pygit2.IndexEntry(path, mirror.repository.create_blob(content), _GIT_MODES[mode]), len(content)


def _commit(mirror: Mirror, index: pygit2.Index, author: Signature) -> str:
    repository = mirror.repository
    signature = pygit2.Signature(author.name, author.email, int(author.at.timestamp()), 0)
    return str(repository.create_commit(None, signature, signature, "imported", index.write_tree(repository), []))


def _is_file(folder: Path, path: str) -> bool:
    return stat.S_ISREG((folder / path).lstat().st_mode)


def _read(folder: Path, path: str) -> bytes:
    try:
        with os.fdopen(os.open(folder / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            return file.read()
    except OSError as error:
        raise ChangeRefused([f"{shown(path)} cannot be read: {error.strerror}"]) from error


def _unreadable(error: OSError) -> None:
    raise ChangeRefused([f"{shown(str(error.filename))} cannot be read: {error.strerror}"]) from error
