from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pygit2
import pytest

from bot.domain.changesets import FileChange, FileMode
from bot.errors import ChangeRefused
from bot.git import Ceilings, Signature, write_commit
from bot.git.collecting import REASONS_TOLD
from bot.git.names import MAX_DEPTH
from tests.fakes import hostile, repositories
from tests.fakes.checkouts import Checkout, Origin
from tests.fakes.nobody import NOBODY, as_nobody
from tests.fakes.repositories import Executable, Files, Link

Make = Callable[[Files], Checkout]


def refused(made: Checkout, *paths: str, ceilings: Ceilings | None = None) -> list[str]:
    with pytest.raises(ChangeRefused) as caught:
        made.collect(*paths, ceilings=ceilings)
    return list(caught.value.reasons)


class TestChanges:
    def test_nothing_changed(self, make_checkout: Make, tmp_path: Path) -> None:
        changeset = make_checkout(hostile.files(tmp_path / "canary")).collect()
        assert not changeset
        assert not (tmp_path / "canary").exists()

    def test_all_kinds_of_change(self, make_checkout: Make) -> None:
        made = make_checkout(
            {
                "edit": b"old\n",
                "remove": b"",
                "d/remove": Executable(b""),
                "mode": b"same",
                "link": Link(b"edit"),
                "to-link": b"x",
            }
        )
        (made.tree / "edit").write_bytes(b"new\r\n\xff")
        (made.tree / "remove").unlink()
        shutil.rmtree(made.tree / "d")
        (made.tree / "mode").chmod(0o755)
        (made.tree / "link").unlink()
        (made.tree / "link").symlink_to("mode")
        (made.tree / "to-link").unlink()
        (made.tree / "to-link").symlink_to("edit")
        (made.tree / "new" / "deep").mkdir(parents=True)
        (made.tree / "new" / "deep" / "größe.txt").write_bytes(b"1")
        (made.tree / "empty-folder").mkdir()
        changeset = made.collect()
        assert changeset.base == made.base
        assert changeset.files == (
            FileChange("d/remove", FileMode.EXECUTABLE, None),
            FileChange("edit", FileMode.REGULAR, b"new\r\n\xff"),
            FileChange("link", FileMode.LINK, b"mode"),
            FileChange("mode", FileMode.EXECUTABLE, b"same"),
            FileChange("new/deep/größe.txt", FileMode.REGULAR, b"1"),
            FileChange("remove", FileMode.REGULAR, None),
            FileChange("to-link", FileMode.LINK, b"edit"),
        )

    def test_a_file_in_the_place_of_a_folder_and_the_other_way_round(self, make_checkout: Make) -> None:
        made = make_checkout({"folder/a": b"", "file": b""})
        shutil.rmtree(made.tree / "folder")
        (made.tree / "folder").write_bytes(b"now a file")
        (made.tree / "file").unlink()
        (made.tree / "file").mkdir()
        (made.tree / "file" / "below").write_bytes(b"")
        changes = {change.path: change.content for change in made.collect().files}
        assert changes == {"folder": b"now a file", "folder/a": None, "file": None, "file/below": b""}

    def test_a_file_written_with_its_old_content_is_no_change(self, make_checkout: Make) -> None:
        made = make_checkout({"a": b"same", "link": Link(b"a")})
        (made.tree / "a").write_bytes(b"other")
        (made.tree / "a").write_bytes(b"same")
        os.utime(made.tree / "a", (1, 1))
        assert not made.collect()

    def test_a_change_that_hides_its_time_and_size_is_found(self, make_checkout: Make) -> None:
        made = make_checkout({"a": b"same", "b": b"", "c": b""})
        before = (made.tree / "a").stat()
        (made.tree / "a").write_bytes(b"SAME")
        os.utime(made.tree / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
        assert made.collect().paths == ("a",)

    def test_a_change_within_the_clocks_tick_is_found(self, make_checkout: Make) -> None:
        """The checkout and the change take less than a tick together, most of the times."""
        made = make_checkout({"a": b"0000"})
        for number in range(1, 30):
            with (made.tree / "a").open("r+b") as file:
                file.write(b"%04d" % number)
            assert [change.content for change in made.collect().files] == [b"%04d" % number]

    def test_a_submodule_stays_as_it_is(self, origin: Origin, tmp_path: Path) -> None:
        repository = repositories.opened(origin.bare)
        blob = repository.create_blob(b"")
        tree = repositories.raw_tree(repository, ("100644", b"a", blob), ("160000", b"sub", pygit2.Oid(hex="12" * 20)))
        repositories.commit_tree(repository, tree)
        made = origin.checkout(tmp_path / "tree")
        (made.tree / "sub").rmdir()
        assert not made.collect()
        (made.tree / "sub").mkdir()
        (made.tree / "sub" / "file").write_bytes(b"")
        assert refused(made) == ["'sub/file' is in the place of the submodule 'sub'"]


class TestIgnored:
    def test_untracked_files_that_the_base_ignores_are_left_out(self, make_checkout: Make) -> None:
        made = make_checkout({
            ".gitignore": b"*.log\n!keep.log\n/build/\nnode_modules/\n\\#odd\n",
            "sub/.gitignore": b"local\n!*.log\n",
            "tracked.log": b"tracked although ignored",
        })  # fmt: skip
        left_out = ["a.log", "build/x", "sub/node_modules/.keep/y", "sub/local", "#odd", ":(top)odd.log", "line\nbreak.log"]
        left_out += ["sp ace.log", "größe.log", "-x.log", "*.log"]
        taken = ["keep.log", "local", "sub/b.log", "sub/build/x", "tracked.log"]
        for path in [*left_out, *taken]:
            (made.tree / path).parent.mkdir(parents=True, exist_ok=True)
            (made.tree / path).write_bytes(b"changed")
        assert list(made.collect().paths) == taken

    def test_it_is_the_bases_gitignore_that_counts(self, make_checkout: Make) -> None:
        made = make_checkout({".gitignore": b"*.log\n"})
        (made.tree / ".gitignore").write_bytes(b"evil.py\n")
        (made.tree / "evil.py").write_bytes(b"")
        (made.tree / "a.log").write_bytes(b"")
        assert made.collect().paths == (".gitignore", "evil.py")

    def test_a_gitignore_that_is_a_link_is_not_followed(self, make_checkout: Make, tmp_path: Path) -> None:
        (tmp_path / "outside").write_text("*\n")
        made = make_checkout({".gitignore": Link(os.fsencode(tmp_path / "outside")), "sub/.gitignore": b"x\n"})
        (made.tree / "new").write_bytes(b"")
        assert made.collect().paths == ("new",)

    def test_special_files_that_are_ignored_are_left_out(self, make_checkout: Make) -> None:
        made = make_checkout({".gitignore": b"run/\n"})
        (made.tree / "run").mkdir()
        os.mkfifo(made.tree / "run" / "pipe")
        assert not made.collect()

    def test_the_operators_own_ignores_do_not_count(
        self, make_checkout: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "home" / ".config" / "git").mkdir(parents=True)
        (tmp_path / "home" / ".config" / "git" / "ignore").write_text("*.py\n")
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        made = make_checkout({".gitignore": b"*.log\n"})
        (made.tree / "a.py").write_bytes(b"")
        assert made.collect().paths == ("a.py",)


class TestPaths:
    @pytest.mark.parametrize(
        ("patterns", "allowed"),
        [
            (["**"], {"a.py", "ci/x.yml", "ci/deep/y.yml", "docs/ci/z"}),
            (["**", "!ci/"], {"a.py"}),
            (["**", "!/ci/"], {"a.py", "docs/ci/z"}),
            (["**", "!ci/deep/"], {"a.py", "ci/x.yml", "docs/ci/z"}),
            (["**", "!*.yml"], {"a.py", "docs/ci/z"}),
            (["*.py"], {"a.py"}),
            (["/ci/*"], {"ci/x.yml", "ci/deep/y.yml"}),
            (["**", "!/ci/*"], {"a.py", "docs/ci/z"}),
            (["**", "!ci/", "/ci/deep/"], {"a.py", "ci/deep/y.yml"}),
            (["docs", "a.py"], {"a.py", "docs/ci/z"}),
            ([], set()),
        ],
    )
    def test_changes_elsewhere_are_refused(self, make_checkout: Make, patterns: list[str], allowed: set[str]) -> None:
        made = make_checkout({"a.py": b"1", "ci/x.yml": b"1"})
        paths = {"a.py", "ci/x.yml", "ci/deep/y.yml", "docs/ci/z"}
        for path in paths - {"a.py"}:
            (made.tree / path).parent.mkdir(parents=True, exist_ok=True)
            (made.tree / path).write_bytes(b"2")
        (made.tree / "a.py").unlink()
        if allowed == paths:
            assert set(made.collect(*patterns).paths) == paths
        else:
            told = [f"'{path}' is not among the paths that the policy may change" for path in sorted(paths - allowed)]
            assert refused(made, *(patterns or ["!**"])) == told

    def test_a_pattern_that_cannot_be_read(self, make_checkout: Make) -> None:
        assert "cannot be read" in refused(make_checkout({"a": b""}), "!")[0]


class TestRefused:
    @pytest.mark.parametrize(
        ("path", "target"),
        [
            ("link", "/etc/passwd"),
            ("link", "../outside"),
            ("deep/er/link", "../../../outside"),
            ("link", "sub/../../outside"),
            ("link", "sub/.."),
            ("link", "./../x"),
            ("link", "/"),
            ("link", "//workspace/a"),
        ],
    )
    def test_a_link_out_of_the_tree(self, make_checkout: Make, path: str, target: str) -> None:
        made = make_checkout({"a": b""})
        (made.tree / path).parent.mkdir(parents=True, exist_ok=True)
        (made.tree / path).symlink_to(target)
        assert refused(made) == [f"the link {path!r} points out of the repository: {target!r}"]

    @pytest.mark.parametrize(
        ("path", "target"), [("link", "a"), ("deep/er/link", "../../a"), ("link", "missing"), ("link", "deep/x"), ("link", ".")]
    )
    def test_a_link_within_the_tree_is_fine(self, make_checkout: Make, path: str, target: str) -> None:
        made = make_checkout({"a": b""})
        (made.tree / path).parent.mkdir(parents=True, exist_ok=True)
        (made.tree / path).symlink_to(target)
        assert made.collect().paths == (path,)

    def test_a_link_into_gits_own_folder(self, make_checkout: Make) -> None:
        made = make_checkout({"a": b""})
        (made.tree / "link").symlink_to("sub/.GIT/config")
        assert "points into git's own folder" in refused(made)[0]

    def test_a_link_out_of_the_tree_that_the_base_has_may_stay_but_not_change(self, make_checkout: Make) -> None:
        made = make_checkout({"old": Link(b"/etc/passwd"), "other": Link(b"../up")})
        assert not made.collect()
        (made.tree / "old").unlink()
        (made.tree / "old").symlink_to("/etc/shadow")
        (made.tree / "other").unlink()
        assert refused(made) == ["the link 'old' points out of the repository: '/etc/shadow'"]

    def test_a_folder_that_became_a_link_is_not_walked_into(self, make_checkout: Make, tmp_path: Path) -> None:
        made = make_checkout({"d/a": b"", "d/b": b""})
        shutil.move(made.tree / "d", tmp_path / "outside")
        (tmp_path / "outside" / "secret").write_bytes(b"secret")
        (made.tree / "d").symlink_to(tmp_path / "outside")
        assert refused(made) == [f"the link 'd' points out of the repository: {str(tmp_path / 'outside')!r}"]

    @pytest.mark.parametrize(
        "place", [".git", "sub/.git", "sub/.GIT", "node_modules/x/.git", "git~1", "sub/.git ", ".g\u200cit"]
    )
    @pytest.mark.parametrize("kind", ["file", "folder", "link"])
    def test_git_in_the_tree(self, make_checkout: Make, place: str, kind: str) -> None:
        made = make_checkout({"a": b"", ".gitignore": b"node_modules/\n"})
        planted = made.tree / place
        planted.parent.mkdir(parents=True, exist_ok=True)
        {"file": planted.touch, "folder": planted.mkdir, "link": lambda: planted.symlink_to("a")}[kind]()
        (reason,) = refused(made)
        assert "git's own folder" in reason

    def test_nested_repositories_run_nothing(self, make_checkout: Make, tmp_path: Path) -> None:
        canary = tmp_path / "canary"
        made = make_checkout(hostile.files(canary))
        for place in (".", "sub", "deep/er"):
            hostile.nested_repository(made.tree / place, canary)
        (made.tree / "lf.txt").write_text("changed")
        (made.tree / "new.lfs").write_text("new")
        assert len(refused(made)) == 3
        assert not canary.exists()

    def test_pipes_sockets_and_devices(self, make_checkout: Make) -> None:
        made = make_checkout({"a": b""})
        os.mkfifo(made.tree / "pipe")
        (made.tree / "a").unlink()
        os.mkfifo(made.tree / "a")
        with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"{short}/s")
            shutil.move(f"{short}/s", made.tree / "socket")
            reasons = refused(made)
        assert reasons == [f"'{name}' is a device, a pipe or a socket" for name in ("a", "pipe", "socket")]

    def test_a_large_file(self, make_checkout: Make) -> None:
        made = make_checkout({"a": b""})
        with (made.tree / "sparse").open("wb") as file:
            file.truncate(3 * 1024**3)
        (made.tree / "just-right").write_bytes(b"x" * 1024**2)
        assert refused(made, ceilings=Ceilings(file_mb=1)) == ["'sparse' has 3072.0 MB, at most 1 are allowed"]

    def test_a_large_file_of_the_base_may_stay_and_go_but_not_change(self, make_checkout: Make) -> None:
        large = b"x" * (1024**2 + 1)
        made = make_checkout({"stay": large, "touch": large, "go": large})
        os.utime(made.tree / "touch")
        (made.tree / "go").unlink()
        assert made.collect(ceilings=Ceilings(file_mb=1)).paths == ("go",)
        (made.tree / "stay").write_bytes(large + b"more")
        assert refused(made, ceilings=Ceilings(file_mb=1)) == ["'stay' has 1.0 MB, at most 1 are allowed"]

    def test_too_much(self, make_checkout: Make) -> None:
        made = make_checkout({"a": b""})
        for number in range(4):
            (made.tree / str(number)).write_bytes(b"x" * 1024**2)
        assert len(made.collect(ceilings=Ceilings(files=4, total_mb=4)).files) == 4
        for ceilings in (Ceilings(files=3), Ceilings(total_mb=3)):
            assert "the change is too large" in refused(made, ceilings=ceilings)[0]

    def test_a_name_that_is_not_utf8(self, make_checkout: Make) -> None:
        made = make_checkout({"a": b""})
        (made.tree / os.fsdecode(b"caf\xe9")).write_bytes(b"")
        assert refused(made) == ["the name 'caf\\udce9' is not UTF-8"]

    @pytest.mark.parametrize("name", ["ci/\n.yml", "a\n", "\x1b[2Jx", "x\x9b", "tab\t"])
    def test_a_name_with_a_control_character(self, make_checkout: Make, name: str) -> None:
        made = make_checkout({"a": b"", "ci/x": b""})
        (made.tree / name).write_bytes(b"")
        assert refused(made, "**/*.yml", "a", "!ci/") == [f"the name {name!r} has a control character in it"]

    def test_a_bottomless_tree(self, make_checkout: Make) -> None:
        made = make_checkout({"a": b""})
        deep = made.tree
        descriptor = os.open(deep, os.O_RDONLY)
        for _ in range(3 * MAX_DEPTH):  # by descriptors: such a path is longer than the system takes
            os.mkdir("d" * 30, dir_fd=descriptor)
            below = os.open("d" * 30, os.O_RDONLY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        os.close(descriptor)
        (reason,) = refused(made)
        assert f"is nested deeper than {MAX_DEPTH} folders" in reason
        assert len(reason) < 200

    def test_every_problem_is_told_up_to_a_point(self, make_checkout: Make) -> None:
        made = make_checkout({"a": b""})
        for number in range(REASONS_TOLD + 5):
            (made.tree / f"{number:03}").symlink_to("/")
        reasons = refused(made)
        assert len(reasons) == REASONS_TOLD + 1
        assert reasons[-1] == "and 5 more"


class TestUnreadable:
    """What an agent took its own permissions from. Root would read it all the same, so root steps down here."""

    @pytest.fixture
    def nobodys(self, origin: Origin) -> Iterator[Checkout]:
        origin.commit({"a": b"1", "run": Executable(b"x"), "d/b": b"2", "d/e/c": b"3"})
        folder = Path(tempfile.mkdtemp())
        made = origin.checkout(folder / "tree")
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", folder], check=True)
        with as_nobody():
            yield made
        subprocess.run(["chmod", "-R", "u+rwX", folder], check=True)
        shutil.rmtree(folder)

    def test_it_is_read_and_its_mode_collected(self, nobodys: Checkout) -> None:
        tree = nobodys.tree
        (tree / "new").write_bytes(b"new")
        (tree / "d" / "b").write_bytes(b"changed")
        for path, mode in [("new", 0), ("run", 0), ("d/b", 0), ("d/e", 0o100), ("d", 0), (".", 0o400)]:
            (tree / path).chmod(mode)
        with pytest.raises(PermissionError):
            (tree / "new").read_bytes()
        assert nobodys.collect().files == (
            FileChange("d/b", FileMode.REGULAR, b"changed"),
            FileChange("new", FileMode.REGULAR, b"new"),
            FileChange("run", FileMode.REGULAR, b"x"),
        )
        assert not stat.S_IMODE((tree / "new").stat().st_mode) & 0o111


def test_the_commit_of_what_is_collected_is_what_is_in_the_tree(make_checkout: Make, when: Signature) -> None:
    made = make_checkout({"a": b"1", "d/b": b"2", "d/c": Executable(b"3"), "e": Link(b"a")})
    (made.tree / "d" / "b").unlink()
    (made.tree / "f" / "g").mkdir(parents=True)
    (made.tree / "f" / "g" / "h").write_bytes(b"4")
    commit = write_commit(made.mirror, made.collect(), "Change\n", when)
    found = repositories.files_at(made.mirror.repository, commit)
    assert found == {"a": b"1", "d/c": Executable(b"3"), "e": Link(b"a"), "f/g/h": b"4"}
