"""Opening bare repositories in process, by libgit2."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pygit2
from pygit2.enums import ConfigLevel, RepositoryOpenFlag

_AS_IT_IS = RepositoryOpenFlag.BARE | RepositoryOpenFlag.NO_SEARCH


def open_bare(folder: Path) -> pygit2.Repository:
    """The repository at exactly this folder, read without anybody's configuration but its own. Raises pygit2.GitError."""
    _isolate()
    return pygit2.Repository(folder, _AS_IT_IS)


@cache
def _isolate() -> None:
    """Nobody's ~/.gitconfig, nothing of /etc: a setting there could change what a diff looks like."""
    for level in (ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL, ConfigLevel.PROGRAMDATA):
        pygit2.settings.search_path[level] = ""
