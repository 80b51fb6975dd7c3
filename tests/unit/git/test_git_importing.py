from __future__ import annotations

import os
from pathlib import Path

import pytest

from bot.errors import ChangeRefused
from bot.git import Ceilings, Mirror, Signature, checkout, import_folder, read_blob, same_at

DEEP = "/".join(["d"] * 140)


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror.open(tmp_path / "mirrors", "exec", "folder")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    return made


def put(folder: Path, path: str, text: str = "x\n") -> Path:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_a_folder_becomes_a_commit_that_checks_out_as_it_was(
    mirror: Mirror, folder: Path, when: Signature, tmp_path: Path
) -> None:
    put(folder, "src/run.py", "print(1)\r\n").chmod(0o755)
    put(folder, "README.md").chmod(0o400)
    (folder / "link").symlink_to("src")
    (folder / "src" / "up").symlink_to("../README.md")
    imported = import_folder(mirror, folder, when)
    assert imported.paths == ("README.md", "link", "src/run.py", "src/up")
    tree = tmp_path / "tree"
    checkout(mirror, imported.commit, tree)
    assert (tree / "src/run.py").read_bytes() == b"print(1)\r\n"
    assert os.access(tree / "src/run.py", os.X_OK)
    assert (tree / "link").readlink() == Path("src")
    assert (tree / "src/up").readlink() == Path("../README.md")


def test_the_folder_stays_as_it_is(mirror: Mirror, folder: Path, when: Signature) -> None:
    put(folder, "a").chmod(0o444)
    folder.chmod(0o555)
    before = folder.stat()
    import_folder(mirror, folder, when)
    assert folder.stat().st_mode == before.st_mode
    assert [file.name for file in folder.iterdir()] == ["a"]
    folder.chmod(0o755)


def test_gits_own_folder_what_is_ignored_and_what_is_named_stay_out(mirror: Mirror, folder: Path, when: Signature) -> None:
    put(folder, ".git/config", "[core]\n")
    put(folder, ".gitignore", "node_modules/\n.env\n!kept.env\n")
    put(folder, ".env", "KEY=secret\n")
    put(folder, "node_modules/dep/.git/HEAD")
    put(folder, "node_modules/dep/index.js")
    put(folder, "sub/.gitignore", "*.log\n")
    put(folder, "sub/a.log")
    put(folder, "sub/a.txt")
    put(folder, "state/audit.key")
    imported = import_folder(mirror, folder, when, without=[folder / "sub" / ".." / "state"])
    assert imported.paths == (".gitignore", "sub/.gitignore", "sub/a.txt")


def test_a_worktrees_git_file_stays_out_too(mirror: Mirror, folder: Path, when: Signature) -> None:
    put(folder, ".git", "gitdir: /elsewhere\n")
    put(folder, "a")
    assert import_folder(mirror, folder, when).paths == ("a",)


def test_every_problem_is_told_at_once(mirror: Mirror, folder: Path, when: Signature) -> None:
    put(folder, "vendored/.git/HEAD")
    put(folder, "sub/.GIT", "gitdir: ../x\n")
    put(folder, "large.bin", "x" * 2_000_000)
    put(folder, "two\nlines")
    (folder / "out").symlink_to("/etc")
    (folder / "sub" / "up").symlink_to("../../up")
    os.mkfifo(folder / "pipe")
    with pytest.raises(ChangeRefused) as caught:
        import_folder(mirror, folder, when, ceilings=Ceilings(file_mb=1))
    assert list(caught.value.reasons) == [
        "'large.bin' has 1.9 MB, at most 1 are allowed",
        "the link 'out' points out of the repository: '/etc'",
        "'pipe' is a device, a pipe or a socket",
        "'sub/.GIT' is, or could be taken for, git's own folder",
        "the link 'sub/up' points out of the repository: '../../up'",
        "the name 'two\\nlines' has a control character in it",
        "'vendored/.git' is, or could be taken for, git's own folder",
    ]


def test_an_ignore_file_that_is_a_link_or_a_folder_ignores_nothing(mirror: Mirror, folder: Path, when: Signature) -> None:
    put(folder, "rules", "a\n")
    put(folder, "a")
    put(folder, "sub/.gitignore/a")
    (folder / ".gitignore").symlink_to("rules")
    assert import_folder(mirror, folder, when).paths == (".gitignore", "a", "rules", "sub/.gitignore/a")


@pytest.mark.parametrize("ceilings", [Ceilings(files=2), Ceilings(total_mb=0)])
def test_a_folder_that_is_too_large_is_refused(mirror: Mirror, folder: Path, when: Signature, ceilings: Ceilings) -> None:
    for name in "abc":
        put(folder, name)
    with pytest.raises(ChangeRefused, match="the folder is too large"):
        import_folder(mirror, folder, when, ceilings=ceilings)


def test_a_folder_that_is_too_deep_is_refused(mirror: Mirror, folder: Path, when: Signature) -> None:
    put(folder, f"{DEEP}/a")
    with pytest.raises(ChangeRefused, match="nested deeper"):
        import_folder(mirror, folder, when)


def test_an_empty_folder_is_an_empty_commit(mirror: Mirror, folder: Path, when: Signature) -> None:
    assert import_folder(mirror, folder, when).paths == ()


def test_what_is_the_same_at_a_path_in_two_commits(mirror: Mirror, folder: Path, when: Signature) -> None:
    for name in ("same", "edited", "mode", "gone"):
        put(folder, name)
    one = import_folder(mirror, folder, when).commit
    put(folder, "edited", "y\n")
    put(folder, "new")
    (folder / "mode").chmod(0o755)
    (folder / "gone").unlink()
    other = import_folder(mirror, folder, when).commit
    paths = ("same", "edited", "mode", "gone", "new", "never")
    assert [path for path in paths if same_at(mirror, one, other, path)] == ["same", "never"]
    assert read_blob(mirror, other, "edited") == b"y\n"
