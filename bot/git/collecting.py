"""Collect: what changed in a checkout, read out as data.

The tree was in an agent's hands. Its folders are walked by descriptors, no link is followed, no git looks at it, and every
process that could still change it is gone.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pathspec
import pygit2
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from bot.domain.changesets import Changeset, FileChange, FileMode
from bot.errors import ChangeRefused
from bot.git.checkouts import Snapshot, Stamp
from bot.git.files import open_folder, open_unlocked, parent_of
from bot.git.ignoring import ignored_paths
from bot.git.mirrors import Mirror
from bot.git.names import MAX_DEPTH, is_dot_git

REASONS_TOLD = 20
_MB = 1024 * 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What a change may weigh: the largest file, the number of changed files, and all of them together."""

    file_mb: int = 10
    files: int = 2000
    total_mb: int = 200


CEILINGS = Ceilings()


def collect(
    mirror: Mirror,
    base: str,
    tree: Path,
    snapshot: Snapshot,
    *,
    paths: Sequence[str],
    ceilings: Ceilings = CEILINGS,
) -> Changeset:
    """What is different in `tree` from the commit `base` that it was checked out from.

    Untracked files that the base's .gitignore files match are left out; submodules stay as they are. `paths` are gitignore
    patterns of what may be changed; the last one that matches decides, `!` excludes. Raises ChangeRefused with a reason for
    each problem.
    """
    reasons: list[str] = []
    found = _walk(tree, reasons)
    rules = _Rules(tree, snapshot, _patterns(paths), ceilings.file_mb * _MB)
    changes: list[FileChange] = []
    total = 0
    for path in sorted({*_candidates(mirror, snapshot, found), *(snapshot.files.keys() - found.keys())}):
        try:
            change = rules.examine(path, found.get(path))
        except ChangeRefused as refused:
            reasons += refused.reasons
            continue
        if change is not None:
            changes.append(change)
            total += len(change.content or b"")
        if len(changes) > ceilings.files or total > ceilings.total_mb * _MB:
            raise ChangeRefused([f"the change is too large: more than {ceilings.files} files or {ceilings.total_mb} MB"])
    if reasons:
        raise ChangeRefused(told(reasons))
    return Changeset(base, tuple(changes))


def check_paths(changeset: Changeset, paths: Sequence[str]) -> None:
    """Hold a change that was not collected just now to what may be changed today. Raises ChangeRefused."""
    allowed = _patterns(paths)
    if outside := [path for path in changeset.paths if not allowed.match_file(path)]:
        raise ChangeRefused(told([_not_among(path) for path in outside]))


def _walk(tree: Path, reasons: list[str]) -> dict[str, Stamp]:
    """Everything in the tree that is no folder, by its path. What must not be there at all becomes a reason."""
    found: dict[str, Stamp] = {}
    folders = [""]
    while folders:
        folder = folders.pop()
        with open_folder(tree, folder) as descriptor, os.scandir(descriptor) as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                if is_dot_git(entry.name):
                    reasons.append(f"{shown(path)} is, or could be taken for, git's own folder")
                elif not entry.is_dir(follow_symlinks=False):
                    found[path] = Stamp.of(entry.stat(follow_symlinks=False))
                elif path.count("/") >= MAX_DEPTH:
                    reasons.append(f"{shown(path[:60])}... is nested deeper than {MAX_DEPTH} folders")
                else:
                    folders.append(path)
    return found


def _candidates(mirror: Mirror, snapshot: Snapshot, found: dict[str, Stamp]) -> set[str]:
    """What may have changed: all but the provably untouched and the ignored."""
    touched = {path for path, stamp in found.items() if not snapshot.is_untouched(path, stamp)}
    return touched - ignored_paths(mirror, snapshot, sorted(touched - snapshot.files.keys()))


@dataclass(frozen=True, slots=True)
class _Rules:
    """What may be published of a path."""

    tree: Path
    snapshot: Snapshot
    allowed: pathspec.PathSpec[pathspec.Pattern]
    file_bytes: int

    def examine(self, path: str, stamp: Stamp | None) -> FileChange | None:
        """The change at `path`, None where there is none. Raises ChangeRefused."""
        known = self.snapshot.files.get(path)
        if stamp is None:
            mode, content = (known.mode if known else FileMode.REGULAR), None
        else:
            mode = file_mode(path, stamp)
            content = self._read(path, mode)
            if known is not None and known.mode is mode and pygit2.hash(content) == known.blob:
                return None
            if len(content) > self.file_bytes:
                raise ChangeRefused(
                    [f"{shown(path)} has {stamp.size / _MB:.1f} MB, at most {self.file_bytes // _MB} are allowed"]
                )
        self._check_place(path)
        if mode is FileMode.LINK and content is not None:
            check_link(path, os.fsdecode(content))
        return FileChange(path, mode, content)

    def _read(self, path: str, mode: FileMode) -> bytes:
        """The content, but no more of a too large one than tells that it is: unless the base has one as large."""
        known = self.snapshot.files.get(path)
        limit = max(self.file_bytes, known.stamp.size if known else 0)
        with parent_of(self.tree, path, create=False) as (folder, name):
            if mode is FileMode.LINK:
                return os.fsencode(os.readlink(name, dir_fd=folder))
            with os.fdopen(open_unlocked(folder, name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                return file.read(limit + 1)

    def _check_place(self, path: str) -> None:
        check_name(path)
        for submodule in self.snapshot.submodules:
            if path == submodule or path.startswith(f"{submodule}/") or submodule.startswith(f"{path}/"):
                raise ChangeRefused([f"{shown(path)} is in the place of the submodule {shown(submodule)}"])
        if not self.allowed.match_file(path):
            raise ChangeRefused([_not_among(path)])


def _not_among(path: str) -> str:
    return f"{shown(path)} is not among the paths that the policy may change"


def file_mode(path: str, stamp: Stamp) -> FileMode:
    if stat.S_ISLNK(stamp.mode):
        return FileMode.LINK
    if not stat.S_ISREG(stamp.mode):
        raise ChangeRefused([f"{shown(path)} is a device, a pipe or a socket"])
    return FileMode.EXECUTABLE if stamp.mode & stat.S_IXUSR else FileMode.REGULAR


def check_name(path: str) -> None:
    """Raises ChangeRefused for a path that not everybody could read."""
    try:
        os.fsencode(path).decode()
    except UnicodeDecodeError:
        raise ChangeRefused([f"the name {shown(path)} is not UTF-8"]) from None
    if _CONTROL.search(path):  # it could hide from a pattern, or play tricks on a terminal
        raise ChangeRefused([f"the name {shown(path)} has a control character in it"])


def check_link(path: str, target: str) -> None:
    """A new link may climb as far as the tree's root, and only at its start: a `..` behind a name may climb out of a link."""
    parts = [part for part in target.split("/") if part not in ("", ".")]
    climbs = next((position for position, part in enumerate(parts) if part != ".."), len(parts))
    if target.startswith("/") or climbs > path.count("/") or ".." in parts[climbs:]:
        raise ChangeRefused([f"the link {shown(path)} points out of the repository: {shown(target)}"])
    if any(map(is_dot_git, parts)):
        raise ChangeRefused([f"the link {shown(path)} points into git's own folder: {shown(target)}"])


def _patterns(paths: Sequence[str]) -> pathspec.PathSpec[pathspec.Pattern]:
    try:
        return pathspec.PathSpec.from_lines(GitIgnoreSpecPattern, paths)
    except ValueError as error:
        raise ChangeRefused([f"the paths that may be changed cannot be read: {error}"]) from error


def told(reasons: Sequence[str]) -> list[str]:
    rest = len(reasons) - REASONS_TOLD
    return [*reasons[:REASONS_TOLD], *([f"and {rest} more"] if rest > 0 else [])]


def shown(path: str) -> str:
    """Quoted, with every control character and undecodable byte escaped."""
    return ascii(path) if not path.isprintable() else repr(path)
