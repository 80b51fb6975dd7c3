"""Laying a changeset over a fresh checkout of its base."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from bot.domain.changesets import Changeset, FileChange, FileMode
from bot.git.files import parent_of, settle, write_file


def apply_changeset(tree: Path, changeset: Changeset) -> None:
    """Make `tree`, a checkout of the changeset's base, what the changeset's commit will be.

    Raises ChangeRefused for a path that leads through a link.
    """
    for change in changeset.files:
        if change.deleted:
            _remove(tree, change.path)
    for change in changeset.files:
        if change.content is not None:
            _put(tree, change, change.content)


def _remove(tree: Path, path: str) -> None:
    """Git knows no empty folders: those that the removal leaves empty go too."""
    with parent_of(tree, path, create=False) as (folder, name):
        os.unlink(name, dir_fd=folder)
    with contextlib.suppress(OSError):
        while path := path.rpartition("/")[0]:
            with parent_of(tree, path, create=False) as (folder, name):
                os.rmdir(name, dir_fd=folder)


def _put(tree: Path, change: FileChange, content: bytes) -> None:
    with parent_of(tree, change.path, create=True) as (folder, name), contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    if change.mode is not FileMode.LINK:
        write_file(tree, change.path, content, executable=change.mode is FileMode.EXECUTABLE)
        return
    with parent_of(tree, change.path, create=True) as (folder, name):
        os.symlink(content, os.fsencode(name), dir_fd=folder)
        settle(folder, name)
