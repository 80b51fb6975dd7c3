"""Files of a checkout that nobody trusts: no link is followed, and nothing outside the tree is read or written.

Every path is walked folder by folder from the tree's own descriptor, so a link swapped in at the last moment is refused too.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bot.errors import ChangeRefused
from bot.git.names import is_dot_git

MAX_FILE_BYTES = 32 * 1024 * 1024

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def read_file(tree: Path, path: str) -> bytes | None:
    """The content of the regular file at `path` below `tree`; None where nothing is there.

    Raises ChangeRefused for a path out of the tree, a link on the way or at its end, what is no regular file, and a file
    of more than MAX_FILE_BYTES.
    """
    try:
        with parent_of(tree, path, create=False) as (folder, name):
            return _read(folder, name, path)
    except FileNotFoundError:
        return None


def write_file(tree: Path, path: str, content: bytes, *, executable: bool | None = None) -> None:
    """Put a regular file at `path` below `tree`, with the folders that it needs.

    `executable=None` keeps what the file already is; a new one is not executable. The file is made anew, so that a second
    name of the old one (a hard link) keeps the old content. Raises ChangeRefused as `read_file` does.
    """
    with parent_of(tree, path, create=True) as (folder, name):
        found = _stat(folder, name)
        if found is not None:
            _check_regular(found, path)
            os.unlink(name, dir_fd=folder)
        if executable is None:
            executable = found is not None and bool(found.st_mode & stat.S_IXUSR)
        with os.fdopen(os.open(name, _CREATE, 0o666, dir_fd=folder), "wb") as file:
            os.fchmod(file.fileno(), 0o755 if executable else 0o644)
            file.write(content)
        settle(folder, name)


def settle(folder: int, name: str) -> None:
    """Give what was just made in a folder to the folder's owner: where the bot is root, that may be the sandbox's user."""
    if os.geteuid() == 0 and (owner := os.fstat(folder)).st_uid != 0:
        os.chown(name, owner.st_uid, owner.st_gid, dir_fd=folder, follow_symlinks=False)


def path_parts(path: str) -> list[str]:
    """The parts of a path below a tree. Raises ChangeRefused for one that leaves it, or that reaches into a `.git`."""
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in path:
        raise ChangeRefused([f"{path!r} is no path below the repository's root"])
    if any(map(is_dot_git, parts)):
        raise ChangeRefused([f"{path!r} is inside git's own folder"])
    return parts


@contextmanager
def open_folder(tree: Path, path: str) -> Iterator[int]:
    """The open folder at `path` below `tree`; "" is the tree itself. Raises ChangeRefused as `read_file` does."""
    with _descend(tree, path_parts(path) if path else [], path, create=False) as folder:
        yield folder


@contextmanager
def parent_of(tree: Path, path: str, *, create: bool) -> Iterator[tuple[int, str]]:
    """The open folder that holds `path`, and the name in it."""
    *folders, name = path_parts(path)
    with _descend(tree, folders, path, create=create) as folder:
        yield folder, name


def open_unlocked(parent: int, name: str, flags: int) -> int:
    """Open a file or folder, never a link; where its mode does not let its owner in, the mode is changed first."""
    try:
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=parent)
    except PermissionError:
        handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        _unlock(handle)
    finally:
        os.close(handle)
    return os.open(name, flags | os.O_NOFOLLOW, dir_fd=parent)


@contextmanager
def _descend(tree: Path, folders: Sequence[str], path: str, *, create: bool) -> Iterator[int]:
    current = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _unlock(current)
        for folder in folders:
            below = _open_folder(current, folder, path, create=create)
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)


def _open_folder(parent: int, name: str, path: str, *, create: bool) -> int:
    if create and _stat(parent, name) is None:
        os.mkdir(name, 0o755, dir_fd=parent)
        settle(parent, name)
    try:
        folder = open_unlocked(parent, name, _FOLDER)
    except NotADirectoryError as error:
        raise ChangeRefused([f"{path!r}: {name!r} is a link or a file, not a folder"]) from error
    _unlock(folder)
    return folder


def _unlock(descriptor: int) -> None:
    """Give the owner what he needs of a folder (to list, enter and change it) or a file (to read it)."""
    mode = os.fstat(descriptor).st_mode
    needed = stat.S_IRWXU if stat.S_ISDIR(mode) else stat.S_IRUSR
    if mode & needed != needed:
        # A descriptor of O_PATH takes no fchmod; its /proc link leads to this very file, whatever its name is by now.
        Path(f"/proc/self/fd/{descriptor}").chmod(stat.S_IMODE(mode) | needed)


def _read(folder: int, name: str, path: str) -> bytes | None:
    found = _stat(folder, name)
    if found is None:
        return None
    _check_regular(found, path)
    with os.fdopen(open_unlocked(folder, name, _READ), "rb") as file:
        _check_regular(os.fstat(file.fileno()), path)
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ChangeRefused([f"{path!r} is larger than {MAX_FILE_BYTES // 1024**2} MB"])
    return content


def _stat(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _check_regular(found: os.stat_result, path: str) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise ChangeRefused([f"{path!r} is a link"])
    if not stat.S_ISREG(found.st_mode):
        raise ChangeRefused([f"{path!r} is no regular file"])
