"""The disposable folders of one attempt."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bot.ports import Workspace


@contextmanager
def workspace(root: Path, owner: int | None) -> Iterator[Workspace]:
    """Fresh folders below `root`, which is removed at the end, whatever an agent made of its permissions.

    The tree and the home are made `owner`'s (a uid); None: they stay the bot's.
    """
    discard(root)
    made = Workspace(tree=root / "tree", home=root / "home", scratch=root / "scratch")
    root.mkdir(parents=True, mode=0o700)
    for folder in (made.tree, made.home, made.scratch):
        folder.mkdir(mode=0o700)
    if owner is not None:
        for folder in (made.tree, made.home):
            os.chown(folder, owner, owner)
    try:
        yield made
    finally:
        discard(root)


def discard(root: Path) -> None:
    """Remove a folder and all below it, however deep and whatever its permissions; links are removed, never followed."""
    with suppress(RecursionError):
        shutil.rmtree(root, onerror=lambda *_: None)
    if root.exists():
        # Closed, or nested deeper than Python can follow: these two walk by descriptors, and open what is closed on their way.
        subprocess.run(["chmod", "-R", "u+rwX", "--", root], check=True)
        subprocess.run(["rm", "-rf", "--", root], check=True)
