from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pygit2
import pytest

from bot.domain.changesets import Changeset, FileChange, FileMode
from bot.errors import ChangeRefused, GitError
from bot.git import (
    Signature,
    apply_changeset,
    changed_lines,
    checkout,
    collect,
    commits_between,
    diff,
    read_blob,
    read_changeset,
    write_commit,
)
from tests.fakes import hostile, repositories
from tests.fakes.checkouts import Checkout, Origin
from tests.fakes.repositories import Executable, Files, Link

Make = Callable[[Files], Checkout]


def regular(path: str, content: bytes | None) -> FileChange:
    return FileChange(path, FileMode.REGULAR, content)


BASE: Files = {"a": b"1\n", "d/b": b"2\n", "d/e/c": b"3\n", "d-x": b"", "gone/only": b"", "link": Link(b"a")}
CHANGES = [
    pytest.param([regular("a", b"2\n")], {"a": b"2\n"}, id="edit"),
    pytest.param([regular("x/y/z", b"")], {"x/y/z": b""}, id="new folders"),
    pytest.param([regular("gone/only", None)], {"gone/only": None}, id="a folder is left empty"),
    pytest.param([regular("d", b"file"), regular("d/b", None), regular("d/e/c", None)],
                 {"d": b"file", "d/b": None, "d/e/c": None}, id="a folder becomes a file"),
    pytest.param([regular("a", None), regular("a/b", b"below")], {"a": None, "a/b": b"below"}, id="a file becomes a folder"),
    pytest.param([FileChange("a", FileMode.EXECUTABLE, b"1\n")], {"a": Executable(b"1\n")}, id="mode"),
    pytest.param([FileChange("link", FileMode.LINK, b"d/b")], {"link": Link(b"d/b")}, id="link"),
    pytest.param([regular("link", b"file")], {"link": b"file"}, id="a link becomes a file"),
    pytest.param([FileChange("a", FileMode.LINK, b"d")], {"a": Link(b"d")}, id="a file becomes a link"),
    pytest.param([regular("d", None), regular("d-x", None)], None, id="what is not there cannot be deleted"),
    pytest.param([regular("d-y", b""), regular("d/a", b""), regular("d.z", b"")],
                 {"d-y": b"", "d/a": b"", "d.z": b""}, id="names that sort around a folder's"),
    pytest.param([regular(path, None) for path in sorted(BASE)], dict.fromkeys(BASE), id="everything goes"),
]  # fmt: skip


class TestWriteCommit:
    @pytest.mark.parametrize(("changes", "effect"), CHANGES)
    def test_the_tree_is_the_base_with_the_changes(
        self, make_checkout: Make, when: Signature, changes: list[FileChange], effect: Files | None
    ) -> None:
        made = make_checkout(BASE)
        changeset = Changeset(made.base, tuple(changes))
        if effect is None:
            with pytest.raises(GitError, match="is to be deleted"):
                write_commit(made.mirror, replace(changeset, files=(regular("d/none", None),)), "x\n", when)
            return
        commit = write_commit(made.mirror, changeset, "Change\n", when)
        wanted = {path: content for path, content in {**BASE, **effect}.items() if content is not None}
        assert repositories.files_at(made.mirror.repository, commit) == wanted
        read = read_changeset(made.mirror, commit)
        assert (read.base, set(read.paths), list(read.paths)) == (made.base, set(changeset.paths), sorted(read.paths))
        assert write_commit(made.mirror, read, "Change\n", when) == commit

    def test_who_when_and_why(self, make_checkout: Make, when: Signature) -> None:
        made = make_checkout(BASE)
        message = "Größer\n\nBody.\n\nWhimbrel-Policy: standardize\n"
        commit = made.mirror.commit(write_commit(made.mirror, Changeset(made.base, (regular("a", b""),)), message, when))
        assert commit.message == message
        assert [str(parent) for parent in commit.parent_ids] == [made.base]
        for signature in (commit.author, commit.committer):
            assert (signature.name, signature.email, signature.offset) == ("Whimbrel", "whimbrel@localhost", -300)
            assert datetime.fromtimestamp(signature.time, UTC) == when.at.replace(microsecond=0)

    def test_the_same_change_has_the_same_id(self, make_checkout: Make, when: Signature) -> None:
        made = make_checkout(BASE)
        changeset = Changeset(made.base, (regular("a", b"new"),))
        assert write_commit(made.mirror, changeset, "m", when) == write_commit(made.mirror, changeset, "m", when)

    def test_a_submodule_stays_in_its_place(self, origin: Origin, when: Signature) -> None:
        repository = repositories.opened(origin.bare)
        inner = repositories.raw_tree(repository, ("160000", b"sub", pygit2.Oid(hex="12" * 20)))
        base = repositories.commit_tree(repository, repositories.raw_tree(repository, ("40000", b"d", inner)))
        mirror = origin.mirror()
        mirror.fetch(origin.remote, ["main"])
        commit = write_commit(mirror, Changeset(base, (regular("d/x", b""),)), "m", when)
        assert str(mirror.commit(commit).tree["d/sub"].id) == "12" * 20

    def test_no_attribute_changes_a_byte_and_nothing_runs(self, make_checkout: Make, when: Signature, tmp_path: Path) -> None:
        canary = tmp_path / "canary"
        made = make_checkout(hostile.files(canary))
        (made.tree / "lf.txt").write_bytes(b"one\r\ntwo\n$Id$\n")
        (made.tree / "new.lfs").write_bytes(b"large")
        changeset = made.collect()
        commit = write_commit(made.mirror, changeset, "Change\n", when)
        assert diff(made.mirror, made.base, commit)
        found = repositories.files_at(made.mirror.repository, commit)
        assert (found["lf.txt"], found["new.lfs"]) == (b"one\r\ntwo\n$Id$\n", b"large")
        assert not canary.exists()


class TestApply:
    @pytest.mark.parametrize(("changes", "effect"), [param for param in CHANGES if param.values[1] is not None])
    def test_a_checkout_with_the_changeset_is_the_commits_checkout(
        self, make_checkout: Make, when: Signature, tmp_path: Path, changes: list[FileChange], effect: Files
    ) -> None:
        made = make_checkout(BASE)
        changeset = Changeset(made.base, tuple(changes))
        apply_changeset(made.tree, changeset)
        collected = {change.path: change.content for change in made.collect().files}
        assert collected == {change.path: change.content for change in changes}
        commit = write_commit(made.mirror, changeset, "m", when)
        snapshot = checkout(made.mirror, commit, tmp_path / "again")
        assert _listing(made.tree) == _listing(tmp_path / "again")
        assert not collect(made.mirror, commit, tmp_path / "again", snapshot, paths=["**"])

    def test_no_link_is_written_through(self, make_checkout: Make, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "file").write_bytes(b"safe")
        made = make_checkout({"folder": Link(bytes(outside)), "file": Link(bytes(outside / "file")), "a": b""})
        with pytest.raises(ChangeRefused):
            apply_changeset(made.tree, Changeset(made.base, (regular("folder/new", b"evil"),)))
        with pytest.raises(ChangeRefused):
            apply_changeset(made.tree, Changeset(made.base, (regular("folder/file", None),)))
        apply_changeset(made.tree, Changeset(made.base, (regular("file", b"mine"), regular("folder", None))))
        assert (made.tree / "file").read_bytes() == b"mine"
        assert [(path.name, path.read_bytes()) for path in outside.iterdir()] == [("file", b"safe")]

    @pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", ".git/config", "sub/.GIT/config", "", "a//b", "./a"])
    def test_no_path_leads_out(self, make_checkout: Make, path: str) -> None:
        made = make_checkout({"a": b""})
        with pytest.raises(ChangeRefused):
            apply_changeset(made.tree, Changeset(made.base, (regular(path, b"evil"),)))


class TestDiff:
    def test_text_renames_and_binaries(self, make_checkout: Make, when: Signature) -> None:
        long = b"".join(b"line %d\n" % number for number in range(30))
        made = make_checkout({"text": b"old\nsame\n", "moved": long, "bin": b"\0\1"})
        changes = [
            regular("bin", b"\0\2"),
            regular("moved", None),
            regular("text", b"new\nsame\nmore\n"),
            regular("where", long),
        ]
        commit = write_commit(made.mirror, Changeset(made.base, tuple(changes)), "m", when)
        text = diff(made.mirror, made.base, commit)
        assert "-old\n+new\n same\n+more\n" in text
        assert "rename from moved\nrename to where\n" in text
        assert "Binary files a/bin and b/bin differ" in text
        assert changed_lines(made.mirror, made.base, commit) == (2, 1)

    def test_bytes_that_are_no_text_survive(self, make_checkout: Make, when: Signature) -> None:
        made = make_checkout({"a": b"x\n"})
        commit = write_commit(made.mirror, Changeset(made.base, (regular("a", b"caf\xe9\n"),)), "m", when)
        assert b"+caf\xe9\n" in diff(made.mirror, made.base, commit).encode("utf-8", "surrogateescape")

    def test_nobodys_configuration_changes_it(
        self, make_checkout: Make, when: Signature, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / ".gitconfig").write_text("[diff]\n\tnoprefix = true\n\tcontext = 0\n")
        monkeypatch.setenv("HOME", str(tmp_path))
        made = make_checkout({"a": b"x\ny\n"})
        commit = write_commit(made.mirror, Changeset(made.base, (regular("a", b"x\nz\n"),)), "m", when)
        assert "--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n x\n-y\n+z\n" in diff(made.mirror, made.base, commit)


class TestRead:
    def test_commits_between(self, origin: Origin) -> None:
        base = repositories.head(origin.bare)
        origin.commit({"ours": b""}, branch="x")
        repositories.commit(
            repositories.opened(origin.bare),
            {"theirs": b""},
            branch="x",
            message="By hand\n",
            author=("Bob", "bob@example.org"),
        )
        mirror = origin.mirror()
        head = mirror.fetch(origin.remote, ["main", "x"])["x"]
        assert base is not None
        assert head is not None
        found = commits_between(mirror, base, head)
        assert [(commit.author_email, commit.message) for commit in found] == [
            ("alice@example.org", "Change\n"),
            ("bob@example.org", "By hand\n"),
        ]
        assert found[-1].id == head
        assert commits_between(mirror, head, base) == []

    @pytest.mark.parametrize(
        ("path", "content"),
        [
            ("a", b"1\n"),
            ("d/e/c", b"3\n"),
            ("link", None),
            ("d", None),
            ("none", None),
            ("", None),
            ("/a", None),
            ("a/b", None),
        ],
    )
    def test_a_blob(self, make_checkout: Make, path: str, content: bytes | None) -> None:
        made = make_checkout(BASE)
        assert read_blob(made.mirror, made.base, path) == content


def _listing(tree: Path) -> dict[str, object]:
    return {
        str(path.relative_to(tree)): path.readlink()
        if path.is_symlink()
        else path.is_dir() or (path.stat().st_mode, path.read_bytes())
        for path in tree.rglob("*")
    }
