from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pygit2
import pytest

from bot.errors import ChangeRefused, GitError
from bot.git import Mirror, checkout, write_file
from bot.git.names import MAX_DEPTH
from tests.fakes import hostile, repositories
from tests.fakes.checkouts import Checkout, Origin
from tests.fakes.repositories import Executable, Files, Link

Make = Callable[[Files], Checkout]


def test_every_file_is_there_byte_for_byte(make_checkout: Make, tmp_path: Path) -> None:
    files = dict(hostile.files(tmp_path / "canary"))
    made = make_checkout(files)
    found = {path: (made.tree / path).read_bytes() for path in files}
    assert found == {path: content.content if isinstance(content, Executable) else content for path, content in files.items()}
    assert not (tmp_path / "canary").exists()


def test_there_is_no_git_in_it(make_checkout: Make) -> None:
    made = make_checkout({"a/b": b""})
    assert [folder for folder, _, _ in os.walk(made.tree)] == [str(made.tree), str(made.tree / "a")]


def test_modes_and_links_are_kept(make_checkout: Make) -> None:
    tree = make_checkout(
        {
            "run": Executable(b"#!/bin/sh\n"),
            "plain": b"",
            "in": Link(b"plain"),
            "out": Link(b"/etc/passwd"),
            "up": Link(b"../../x"),
        }
    ).tree
    assert os.access(tree / "run", os.X_OK)
    assert not (tree / "plain").stat().st_mode & 0o111
    assert {name: str((tree / name).readlink()) for name in ("in", "out", "up")} == {
        "in": "plain",
        "out": "/etc/passwd",
        "up": "../../x",
    }


def test_awkward_names(make_checkout: Make) -> None:
    names = [
        "-rf",
        "--help",
        "line\nbreak",
        "tab\t",
        "größe.txt",
        ":(top)x",
        " ",
        "a b",
        "*",
        "\x1b[31m",
        ".gitignore",
        ".git-x",
        "git",
    ]
    made = make_checkout({name: name.encode() for name in names})
    assert sorted(path.name for path in made.tree.iterdir()) == sorted(names)
    assert sorted(made.snapshot.files) == sorted(names)


def test_a_name_that_is_not_utf8(origin: Origin, tmp_path: Path) -> None:
    repository = repositories.opened(origin.bare)
    blob = repository.create_blob(b"coffee\n")
    repositories.commit_tree(repository, repositories.raw_tree(repository, ("100644", b"caf\xe9", blob)))
    made = origin.checkout(tmp_path / "tree")
    assert os.listdir(os.fsencode(made.tree)) == [b"caf\xe9"]  # noqa: PTH208 - names as bytes
    assert made.collect().files == ()


def test_a_submodule_is_an_empty_folder(origin: Origin, tmp_path: Path) -> None:
    repository = repositories.opened(origin.bare)
    tree = repositories.raw_tree(repository, ("160000", b"sub", pygit2.Oid(hex="12" * 20)))
    repositories.commit_tree(repository, tree)
    made = origin.checkout(tmp_path / "tree")
    assert list((made.tree / "sub").iterdir()) == []
    assert made.snapshot.submodules == {"sub"}


HOSTILE_NAMES = [
    b".git", b".GIT", b".Git", b"..", b".", b"a/b", b"../x", b"/etc", b"git~1", b"GIT~1", b".git ", b".git.", b".git...",
    b".git::$INDEX_ALLOCATION", b".git\\hooks", b"x\\.git", ".g\u200cit".encode(), ".\ufeffgit".encode(), ".git\u200d".encode(),
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_NAMES)
@pytest.mark.parametrize("deep", [False, True])
def test_a_hostile_name_is_refused(origin: Origin, tmp_path: Path, name: bytes, deep: bool) -> None:
    repository = repositories.opened(origin.bare)
    tree = repositories.raw_tree(repository, ("100644", name, repository.create_blob(b"evil")))
    if deep:
        tree = repositories.raw_tree(repository, ("40000", b"sub", tree))
    mirror, commit = _fetched(origin, repositories.commit_tree(repository, tree))
    with pytest.raises(GitError, match="must not be checked out"):
        checkout(mirror, commit, tmp_path / "tree")
    assert not list((tmp_path / "tree").rglob("*[gG][iI][tT]*"))


def test_a_link_and_a_folder_of_one_name(origin: Origin, tmp_path: Path) -> None:
    """The old trick: the link is written, and the folder's files are written through it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    repository = repositories.opened(origin.bare)
    below = repositories.raw_tree(repository, ("100644", b"canary", repository.create_blob(b"evil")))
    link = repository.create_blob(os.fsencode(outside))
    tree = repositories.raw_tree(repository, ("120000", b"a", link), ("40000", b"a", below))
    mirror, commit = _fetched(origin, repositories.commit_tree(repository, tree))
    with pytest.raises(GitError, match="cannot be checked out"):
        checkout(mirror, commit, tmp_path / "tree")
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("target", [b"", b"a\0b", b"x" * 5000])
def test_a_link_that_no_disk_takes(origin: Origin, tmp_path: Path, target: bytes) -> None:
    repository = repositories.opened(origin.bare)
    tree = repositories.raw_tree(repository, ("120000", b"a", repository.create_blob(target)))
    mirror, commit = _fetched(origin, repositories.commit_tree(repository, tree))
    with pytest.raises(GitError, match="cannot be checked out"):
        checkout(mirror, commit, tmp_path / "tree")


def test_a_bottomless_tree_is_refused(origin: Origin, tmp_path: Path) -> None:
    repository = repositories.opened(origin.bare)
    tree = repositories.raw_tree(repository, ("100644", b"file", repository.create_blob(b"")))
    for _ in range(MAX_DEPTH + 1):
        tree = repositories.raw_tree(repository, ("40000", b"d", tree))
    mirror, commit = _fetched(origin, repositories.commit_tree(repository, tree))
    with pytest.raises(GitError, match="nested deeper"):
        checkout(mirror, commit, tmp_path / "tree")


def test_files_are_never_written_over(origin: Origin, tmp_path: Path) -> None:
    mirror, commit = _fetched(origin, repositories.head(origin.bare) or "")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "README.md").write_text("mine")
    with pytest.raises(GitError, match="cannot be checked out"):
        checkout(mirror, commit, tmp_path / "tree")
    assert (tmp_path / "tree" / "README.md").read_text() == "mine"


def _fetched(origin: Origin, commit: str) -> tuple[Mirror, str]:
    """Every git since 2.14 refuses to transfer some of these trees when asked to check; the mirror takes them as they are."""
    mirror = origin.mirror()
    assert mirror.fetch(origin.remote, ["main"])["main"] == commit
    return mirror, commit


PARTLY: Files = {
    ".gitignore": b"*.log\n",
    "docs/.gitignore": b"*.tmp\n",
    "docs/guide/a.md": b"a\n",
    "docs/guide/b.md": b"b\n",
    "docs/guide/deep/.gitignore": b"*\n",
    "link": Link(b"docs"),
    "src/a.py": b"",
}


def test_only_what_is_asked_for_and_what_leads_to_it(make_checkout: Make, tmp_path: Path) -> None:
    whole, tree = make_checkout(PARTLY), tmp_path / "part"
    snapshot = checkout(whole.mirror, whole.base, tree, only=["docs/guide/a.md", "link/x", "new/y"])
    assert set(snapshot.files) == {".gitignore", "docs/.gitignore", "docs/guide/a.md", "link"}
    there = {str(found.relative_to(tree)) for found in tree.rglob("*") if found.is_symlink() or found.is_file()}
    assert there == set(snapshot.files)
    with pytest.raises(ChangeRefused, match="is a link"):
        write_file(tree, "link/x", b"")


def test_of_a_part_the_same_changes_are_collected(make_checkout: Make, tmp_path: Path) -> None:
    written = ["docs/guide/a.md", "docs/new.tmp", "new/x.log", "new/y"]
    whole, tree = make_checkout(PARTLY), tmp_path / "part"
    part = Checkout(whole.mirror, whole.base, tree, checkout(whole.mirror, whole.base, tree, only=written))
    for made in (whole, part):
        for path in written:
            write_file(made.tree, path, b"new")
    assert part.collect() == whole.collect()
    assert part.collect().paths == ("docs/guide/a.md", "new/y")
