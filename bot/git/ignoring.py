"""What .gitignore files match, decided by git itself."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pygit2

from bot.domain.changesets import FileMode
from bot.git.checkouts import Snapshot
from bot.git.files import write_file
from bot.git.mirrors import Mirror
from bot.git.porcelain import failure, git

GITIGNORE = ".gitignore"
_NONE_IGNORED = 1
_HERE = b"./"
"""Before each path, so that none of them is read as a pathspec's magic (`:!secret`)."""


def ignored_paths(mirror: Mirror, base: Snapshot, untracked: Sequence[str]) -> frozenset[str]:
    """Those of the untracked paths that the base's .gitignore files match: as the base has them, not as they are now."""
    ignores = {
        path: mirror.read(known.blob, pygit2.Blob).data
        for path, known in base.files.items()
        if path.rpartition("/")[2] == GITIGNORE and known.mode is not FileMode.LINK
    }
    return ignored_by(mirror, ignores, untracked)


def ignored_by(mirror: Mirror, ignores: Mapping[str, bytes], paths: Sequence[str]) -> frozenset[str]:
    """Those of the paths that these .gitignore files, given by their own paths, match."""
    if not paths or not ignores:
        return frozenset()
    with tempfile.TemporaryDirectory(prefix="whimbrel-ignore-") as scratch:
        for path, content in ignores.items():
            write_file(Path(scratch), path, content)
        output = git(
            ["check-ignore", "--no-index", "-z", "--stdin"],
            mirror.folder,
            work_tree=Path(scratch),
            stdin=b"".join(_HERE + os.fsencode(path) + b"\0" for path in paths),
            timeout_seconds=60,
        )
    if output.status not in (0, _NONE_IGNORED):
        raise failure("cannot tell which files are ignored", output)
    return frozenset(os.fsdecode(path.removeprefix(_HERE)) for path in output.stdout.split(b"\0") if path)
