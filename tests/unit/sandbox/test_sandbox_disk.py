from __future__ import annotations

import os
from pathlib import Path

from bot.sandbox.disk import DiskUse

KB = 1024


def use(*roots: Path, pids: tuple[int, ...] = ()) -> DiskUse:
    return DiskUse(roots, lambda: pids)


def make(path: Path, kilobytes: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * kilobytes * KB)
    return path


def test_every_file_below_every_root_counts(tmp_path: Path) -> None:
    make(tmp_path / "a" / "deep" / "er" / "file", 100)
    make(tmp_path / "b" / "file", 200)
    assert 300 * KB <= use(tmp_path / "a", tmp_path / "b").total() < 350 * KB


def test_links_count_once_and_lead_nowhere(tmp_path: Path) -> None:
    outside = make(tmp_path / "outside" / "file", 500)
    file = make(tmp_path / "root" / "file", 100)
    (tmp_path / "root" / "again").hardlink_to(file)
    (tmp_path / "root" / "link").symlink_to(outside.parent)
    assert 100 * KB <= use(tmp_path / "root").total() < 150 * KB


def test_a_hole_costs_nothing_and_an_empty_file_something(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 30)
    before = use(tmp_path).total()
    assert before < 50 * KB
    for name in range(100):
        (tmp_path / f"{name}").touch()
    assert use(tmp_path).total() >= before + 100 * 4 * KB


def test_a_removed_file_counts_as_long_as_it_is_held_open(tmp_path: Path) -> None:
    with make(tmp_path / "file", 300).open() as held:
        Path(held.name).unlink()
        assert use(tmp_path, pids=(os.getpid(),)).total() >= 300 * KB
    assert use(tmp_path, pids=(os.getpid(),)).total() < 50 * KB


def test_what_lies_deeper_than_a_path_leads_is_told(tmp_path: Path) -> None:
    disk = use(tmp_path)
    make(tmp_path / "d" / "file", 1)
    disk.total()
    assert not disk.bottomless
    descriptor = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):  # by descriptors: no path is that long
        os.mkdir("d" * 250, dir_fd=descriptor)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    disk.total()
    assert disk.bottomless


def test_steps_come_to_the_total(tmp_path: Path) -> None:
    for name in range(300):
        make(tmp_path / f"{name % 7}" / f"{name}", 4)
    disk = use(tmp_path)
    seen = [disk.step() for _ in range(50)]
    assert seen == sorted(seen)
    assert seen[-1] == disk.total()


def test_free_is_what_the_file_system_says(tmp_path: Path) -> None:
    found = os.statvfs(tmp_path)
    assert 0 < use(tmp_path).free() <= found.f_blocks * found.f_frsize
