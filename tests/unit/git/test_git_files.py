from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.errors import ChangeRefused
from bot.git import read_file, write_file
from bot.git.files import MAX_FILE_BYTES, open_folder
from bot.git.names import is_dot_git, is_safe
from tests.fakes.nobody import NOBODY, as_nobody


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    (tmp_path / "tree" / "d").mkdir(parents=True)
    (tmp_path / "tree" / "d" / "file").write_bytes(b"content")
    return tmp_path / "tree"


class TestRead:
    def test_a_file_and_none(self, tree: Path) -> None:
        assert read_file(tree, "d/file") == b"content"
        assert read_file(tree, "d/none") is None
        assert read_file(tree, "none/none") is None

    def test_no_link_is_followed(self, tree: Path) -> None:
        (tree / "link").symlink_to("d/file")
        (tree / "folder").symlink_to("../outside")
        for path in ("link", "folder/secret", "d/file/below"):
            with pytest.raises(ChangeRefused):
                read_file(tree, path)

    def test_what_is_no_file(self, tree: Path) -> None:
        os.mkfifo(tree / "pipe")
        for path in ("pipe", "d"):
            with pytest.raises(ChangeRefused, match="no regular file"):
                read_file(tree, path)

    def test_a_file_too_large_for_the_memory(self, tree: Path) -> None:
        with (tree / "sparse").open("wb") as file:
            file.truncate(MAX_FILE_BYTES + 1)
        with pytest.raises(ChangeRefused, match="larger than 32 MB"):
            read_file(tree, "sparse")


class TestWrite:
    def test_a_file_with_the_folders_that_it_needs(self, tree: Path) -> None:
        write_file(tree, "new/deep/file", b"new")
        assert (tree / "new" / "deep" / "file").read_bytes() == b"new"
        assert not os.access(tree / "new" / "deep" / "file", os.X_OK)

    def test_the_mode_is_kept_or_given(self, tree: Path) -> None:
        (tree / "d" / "file").chmod(0o755)
        write_file(tree, "d/file", b"again")
        assert (tree / "d" / "file").stat().st_mode & 0o777 == 0o755
        write_file(tree, "d/file", b"again", executable=False)
        assert (tree / "d" / "file").stat().st_mode & 0o777 == 0o644
        write_file(tree, "run", b"", executable=True)
        assert (tree / "run").stat().st_mode & 0o777 == 0o755

    def test_a_hard_links_other_name_keeps_its_content(self, tree: Path) -> None:
        (tree / "other").hardlink_to(tree / "d" / "file")
        write_file(tree, "d/file", b"new")
        assert (tree / "other").read_bytes() == b"content"

    def test_no_link_is_written_through(self, tree: Path) -> None:
        (tree / "link").symlink_to("../outside/secret")
        (tree / "folder").symlink_to("../outside")
        (tree / "dangling").symlink_to("../outside/made")
        for path in ("link", "folder/secret", "folder/made", "dangling", "dangling/below", "d/file/below", "d"):
            with pytest.raises(ChangeRefused):
                write_file(tree, path, b"evil")
        assert [path.read_bytes() for path in (tree.parent / "outside").iterdir()] == [b"secret"]

    @pytest.mark.parametrize(
        "path", ["", "/etc/x", "../x", "d/../../x", "./x", "d//x", "d/", "a\0b", ".git/x", "d/.GIT", "git~1"]
    )
    def test_no_path_leads_out(self, tree: Path, path: str) -> None:
        for use in (read_file, lambda tree, path: write_file(tree, path, b"evil")):
            with pytest.raises(ChangeRefused):
                use(tree, path)


class TestLocked:
    """Files and folders whose mode keeps their owner out."""

    @pytest.fixture
    def locked(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "d").mkdir()
            (Path(folder) / "d" / "file").write_bytes(b"content")
            (Path(folder) / "d" / "file").chmod(0)
            (Path(folder) / "d").chmod(0)
            if os.geteuid() == 0:
                subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", folder], check=True)
            with as_nobody():
                yield Path(folder)
            subprocess.run(["chmod", "-R", "u+rwX", folder], check=True)

    def test_they_are_read(self, locked: Path) -> None:
        with pytest.raises(PermissionError):
            (locked / "d" / "file").read_bytes()
        assert read_file(locked, "d/file") == b"content"

    def test_they_are_written(self, locked: Path) -> None:
        write_file(locked, "d/file", b"new")
        write_file(locked, "d/other/file", b"new")
        assert read_file(locked, "d/file") == read_file(locked, "d/other/file") == b"new"

    def test_a_folder_is_listed(self, locked: Path) -> None:
        with open_folder(locked, "d") as folder:
            assert os.listdir(folder) == ["file"]  # noqa: PTH208 - a descriptor


@pytest.mark.parametrize("name", [".gitignore", ".github", "git", "git~2", ".gi", ".git-x", "x.git", ".gitmodules", "GIT"])
def test_a_name_that_only_looks_like_it(name: str) -> None:
    assert not is_dot_git(name)
    assert is_safe(name)
