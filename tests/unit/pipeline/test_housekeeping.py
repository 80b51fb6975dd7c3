from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from bot.pipeline.housekeeping import discard_leftovers
from bot.pipeline.workspaces import discard, workspace
from bot.tracking.leases import reclaim_expired
from tests.fakes.nobody import as_nobody
from tests.fakes.world import World
from tests.unit.pipeline.test_lease import begin


def test_only_folders_that_nobody_works_in_are_removed(world: World) -> None:
    discard_leftovers(world.services)
    run = begin(world)
    at_work = world.services.attempts / run.attempt_key
    for folder in (at_work, at_work.with_name(f"{run.id}.0"), at_work.with_name("c0-1.1"), at_work.with_name("strange")):
        (folder / "tree").mkdir(parents=True)
    discard_leftovers(world.services)
    assert list(world.services.attempts.iterdir()) == [at_work]
    world.clock.advance(61)
    reclaim_expired(world.services)
    discard_leftovers(world.services)
    assert list(world.services.attempts.iterdir()) == []


def test_a_workspace_is_fresh_and_goes_whatever_was_made_of_it(tmp_path: Path) -> None:
    root = tmp_path / "a" / "b"
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "tree").mkdir(parents=True)
    (root / "tree" / "old").touch()

    def spoil() -> None:
        with workspace(root, None) as place:
            assert list(place.tree.iterdir()) == list(place.home.iterdir()) == list(place.scratch.iterdir()) == []
            (place.tree / "link").symlink_to(outside)
            (place.tree / "closed").mkdir()
            (place.tree / "closed" / "file").touch()
            (place.tree / "closed").chmod(0)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        spoil()
    assert not root.exists()
    assert outside.is_dir()


def test_a_bottomless_folder_goes_too(tmp_path: Path) -> None:
    """Deeper than Python recurses, and than any path is long."""
    root = tmp_path / "root"
    root.mkdir()
    descriptor = os.open(root, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d" * 30, dir_fd=descriptor)
        below = os.open("d" * 30, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    discard(root)
    assert not root.exists()


def test_folders_that_were_closed_one_in_the_other_go_too() -> None:
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o777)
        root = Path(parent) / "root"
        with as_nobody():
            (root / "a" / "b" / "c").mkdir(parents=True)
            (root / "a" / "b" / "c" / "file").touch()
            for folder in (root / "a" / "b" / "c", root / "a" / "b", root / "a", root):
                folder.chmod(0)
            discard(root)
        assert not root.exists()
