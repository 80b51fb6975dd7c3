"""The disposable folders of one attempt."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.ports import Workspace


@contextmanager
def workspace(root: Path) -> Iterator[Workspace]:
    """Fresh folders below `root`, which is removed at the end, whatever an agent made of its permissions."""
    discard(root)
    made = Workspace(tree=root / "tree", home=root / "home", scratch=root / "scratch")
    root.mkdir(parents=True, mode=0o700)
    for folder in (made.tree, made.home, made.scratch):
        folder.mkdir(mode=0o700)
    try:
        yield made
    finally:
        discard(root)


def discard(root: Path) -> None:
    """Remove a folder and all below it; links are removed, never followed."""
    if not root.exists():
        return
    shutil.rmtree(root, onerror=lambda *_: None)
    if root.exists():
        _open_up(root)
        shutil.rmtree(root)


def _open_up(root: Path) -> None:
    for folder, _, _ in os.walk(root, followlinks=False):
        Path(folder).chmod(0o700)
