"""What only the local host does; what it does as every host is in tests/conformance/test_host.py."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pygit2
import pytest

from bot.domain.pull_requests import PullRequestState, PullRequestText
from bot.domain.repositories import Repository
from bot.errors import HostError, NotFound
from bot.hosts.local import LocalHost
from tests.fakes import hostile, repositories
from tests.fakes.nobody import as_nobody

TEXT = PullRequestText("A change", "Its reasons.", ("whimbrel",), ("alice",))
NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
TOOL = Repository("acme", "tool", "main", None)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "host" / "acme").mkdir(parents=True)
    return tmp_path / "host"


@pytest.fixture
def host(root: Path) -> LocalHost:
    return LocalHost(root, now=lambda: NOW)


@pytest.fixture
def tool(root: Path) -> pygit2.Repository:
    """acme/tool, whose branch `x` is one commit ahead of main."""
    made = repositories.make(root / "acme" / "tool.git", {"a": b"1\n2\n3\n", "b": b"b\n"})
    repositories.commit(made, {"a": b"1\n2\nthree\n"}, branch="x", start="main")
    return made


@pytest.fixture
def number(host: LocalHost, tool: pygit2.Repository) -> int:
    return host.open_pull_request(TOOL, branch="x", base="main", text=TEXT).number


class TestListing:
    def test_folders_that_are_no_repositories_are_no_matter(self, root: Path, host: LocalHost, tool: pygit2.Repository) -> None:
        (root / "acme" / "notes").mkdir()
        (root / "acme" / "empty-group" / "sub").mkdir(parents=True)
        (root / "acme" / "tool.meta").mkdir()
        (root / "acme" / "file.git").write_text("not a folder")
        (root / "acme" / "README").write_text("hello")
        (root / "acme" / "loop").symlink_to(root)
        assert [found.name for found in host.repositories("acme")] == ["tool"]

    def test_a_broken_repository_is_listed_with_what_is_wrong(
        self, root: Path, host: LocalHost, tool: pygit2.Repository
    ) -> None:
        for name in ("no-head", "no-object", "wrong-head", "detached", "record"):
            repositories.make(root / "acme" / f"{name}.git", {"a": b""})
        (root / "acme" / "folder.git").mkdir()
        (root / "acme" / "no-head.git" / "HEAD").write_bytes(b"\0")
        shutil.rmtree(root / "acme" / "no-object.git" / "objects")
        (root / "acme" / "no-object.git" / "objects").mkdir()
        (root / "acme" / "wrong-head.git" / "HEAD").write_text("ref: refs/heads/master\n")
        (root / "acme" / "detached.git" / "HEAD").write_text(f"{repositories.head(root / 'acme' / 'detached.git')}\n")
        (root / "acme" / "record.meta").mkdir()
        (root / "acme" / "record.meta" / "repository.json").write_text('{"archived": "maybe"}')
        found = {each.name: each for each in host.repositories("acme")}
        assert not found.pop("tool").unusable
        assert sorted(found) == ["detached", "folder", "no-head", "no-object", "record", "wrong-head"]
        assert all(each.head is None and each.unusable.startswith("it cannot be read: ") for each in found.values())
        assert "git symbolic-ref HEAD refs/heads/main" in found["wrong-head"].unusable
        assert "is missing" in found["no-object"].unusable
        assert "record.meta/repository.json: archived" in found["record"].unusable

    def test_a_key_that_is_not_known_is_told(self, root: Path, host: LocalHost, tool: pygit2.Repository) -> None:
        (root / "acme" / "tool.meta").mkdir()
        (root / "acme" / "tool.meta" / "repository.json").write_text(json.dumps({"archive": True}))
        assert "archive: Extra inputs are not permitted" in host.repository("acme", "tool").unusable

    def test_one_repository(self, host: LocalHost, tool: pygit2.Repository) -> None:
        assert host.repository("acme", "tool") == next(iter(host.repositories("acme")))
        with pytest.raises(NotFound, match="acme/none"):
            host.repository("acme", "none")

    def test_languages_are_those_with_a_tenth_of_the_bytes(self, root: Path, host: LocalHost) -> None:
        files = {
            "a.py": b"x" * 800,
            "b.TS": b"x" * 150,
            "c.sh": b"x" * 50,
            "README.md": b"x" * 9000,
            "py": b"x",
            "empty.go": b"",
        }
        repositories.make(root / "acme" / "many.git", files)
        assert host.repository("acme", "many").languages == {"python", "typescript"}

    def test_nothing_runs_and_nobodys_configuration_counts(
        self, root: Path, host: LocalHost, tool: pygit2.Repository, number: int, tmp_path: Path
    ) -> None:
        canary = tmp_path / "canary"
        hostile.plant_hooks(root / "acme" / "tool.git", canary)
        with (root / "acme" / "tool.git" / "config").open("a") as config:
            config.write(hostile.configuration(canary))
        repositories.commit(tool, {"a": b"0\n1\n2\n3\n", **hostile.files(canary)})
        assert host.list_paths(TOOL)
        assert host.merge(TOOL, number, by="alice").state is PullRequestState.MERGED
        assert not canary.exists()


class TestMerge:
    def test_the_base_is_moved_forward_where_that_does(self, host: LocalHost, tool: pygit2.Repository, number: int) -> None:
        merged = host.merge(TOOL, number, by="alice")
        assert (merged.state, merged.closed_by) == (PullRequestState.MERGED, "alice")
        assert repositories.head(tool) == repositories.head(tool, "x") == merged.head

    def test_else_a_merge_commit_joins_them(self, host: LocalHost, tool: pygit2.Repository, number: int) -> None:
        main = repositories.commit(tool, {"a": b"one\n2\n3\n", "c": b""})
        host.merge(TOOL, number, by="alice")
        commit = tool.references["refs/heads/main"].peel(pygit2.Commit)
        assert [str(parent) for parent in commit.parent_ids] == [main, repositories.head(tool, "x")]
        assert repositories.files_at(tool) == {"a": b"one\n2\nthree\n", "b": b"b\n", "c": b""}
        assert (commit.author.name, commit.author.time) == ("alice", int(NOW.timestamp()))
        assert commit.message == f"Merge pull request #{number} from x\n\nA change\n"

    def test_a_conflict_is_refused_and_changes_nothing(self, host: LocalHost, tool: pygit2.Repository, number: int) -> None:
        main = repositories.commit(tool, {"a": b"1\n2\ndrei\n"})
        with pytest.raises(HostError, match="conflicts with its base in a") as caught:
            host.merge(TOOL, number, by="alice")
        assert not caught.value.retryable
        assert repositories.head(tool) == main
        assert host.pull_request(TOOL, number).state is PullRequestState.OPEN

    def test_what_is_merged_already_by_hand_is_only_recorded(
        self, host: LocalHost, tool: pygit2.Repository, number: int
    ) -> None:
        tool.references["refs/heads/main"].set_target(tool.references["refs/heads/x"].target)
        later = repositories.commit(tool, {"later": b""})
        assert host.merge(TOOL, number, by="alice").state is PullRequestState.MERGED
        assert repositories.head(tool) == later

    def test_a_base_that_is_being_moved_is_worth_another_try(
        self, host: LocalHost, tool: pygit2.Repository, root: Path, number: int
    ) -> None:
        lock = root / "acme" / "tool.git" / "refs" / "heads" / "main.lock"
        lock.touch()
        with pytest.raises(HostError) as caught:
            host.merge(TOOL, number, by="alice")
        assert caught.value.retryable
        lock.unlink()
        assert host.merge(TOOL, number, by="alice").state is PullRequestState.MERGED

    def test_a_branch_that_is_gone(self, host: LocalHost, tool: pygit2.Repository, number: int) -> None:
        tool.references.delete("refs/heads/x")
        with pytest.raises(NotFound, match="no branch x"):
            host.merge(TOOL, number, by="alice")

    def test_a_draft_is_not_merged(self, host: LocalHost, tool: pygit2.Repository) -> None:
        draft = host.open_pull_request(TOOL, branch="x", base="main", text=PullRequestText("A", "b", draft=True))
        with pytest.raises(HostError, match="is a draft"):
            host.merge(TOOL, draft.number, by="alice")

    def test_of_many_at_once_one_merges(self, root: Path, host: LocalHost, tool: pygit2.Repository, number: int) -> None:
        with ProcessPoolExecutor(6, mp_context=get_context("fork")) as pool:
            ends = list(pool.map(partial(_merge, root), [number] * 6))
        assert sorted(ends) == ["#1 is merged already"] * 5 + ["merged"]


class TestCloseAndReopen:
    def test_its_head_stays_what_it_was(self, host: LocalHost, tool: pygit2.Repository, number: int) -> None:
        seen = repositories.commit(tool, {"more": b""}, branch="x")
        closed = host.close(TOOL, number, by="alice")
        assert (closed.state, closed.closed_by, closed.head) == (PullRequestState.CLOSED, "alice", seen)
        repositories.commit(tool, {"later": b""}, branch="x")
        assert host.pull_request(TOOL, number).head == seen

    def test_reopened_it_follows_its_branch_again(self, host: LocalHost, tool: pygit2.Repository, number: int) -> None:
        host.close(TOOL, number, by="alice")
        later = repositories.commit(tool, {"later": b""}, branch="x")
        reopened = host.reopen(TOOL, number)
        assert (reopened.state, reopened.closed_by, reopened.head) == (PullRequestState.OPEN, "", later)

    def test_what_does_not_go(self, host: LocalHost, tool: pygit2.Repository, number: int) -> None:
        with pytest.raises(HostError, match="#1 is open: only a closed one"):
            host.reopen(TOOL, number)
        host.close(TOOL, number, by="alice")
        for end in (partial(host.close, by="bob"), partial(host.merge, by="bob")):
            with pytest.raises(HostError, match="#1 is closed already"):
                end(TOOL, number)
        again = host.open_pull_request(TOOL, branch="x", base="main", text=TEXT)
        with pytest.raises(HostError, match=f"#{again.number} is open for x already"):
            host.reopen(TOOL, number)
        host.merge(TOOL, again.number, by="bob")
        with pytest.raises(HostError, match="#2 is merged: only a closed one"):
            host.reopen(TOOL, again.number)


class TestRecords:
    def test_reviews_and_comments(self, host: LocalHost, number: int) -> None:
        host.add_comment(TOOL, number, "Why?", author="alice")
        host.add_comment(TOOL, number, "Why?", author="alice")
        found = host.review(TOOL, number, author="bob", verdict="approved", body="Fine.")
        assert [(comment.author, comment.body, comment.at) for comment in found.comments] == [
            ("alice", "Why?", "2026-03-01T12:30:00+00:00")
        ] * 2
        assert [(review.author, review.verdict, review.body) for review in found.reviews] == [("bob", "approved", "Fine.")]

    def test_all_of_an_org(self, root: Path, host: LocalHost, number: int) -> None:
        other = repositories.make(root / "acme" / "group" / "lib.git", {"a": b""})
        repositories.commit(other, {"b": b""}, branch="x", start="main")
        host.open_pull_request(Repository("acme", "group/lib", "main", None), branch="x", base="main", text=TEXT)
        assert [(name, found.number) for name, found in host.list_pull_requests("acme")] == [("group/lib", 1), ("tool", number)]

    def test_they_are_plain_files(self, root: Path, number: int) -> None:
        file = root / "acme" / "tool.meta" / "pulls" / f"{number}.json"
        record = json.loads(file.read_text())
        assert (record["state"], record["title"], record["author"]) == ("open", "A change", "whimbrel")
        assert record["created_at"] == record["updated_at"] == "2026-03-01T12:30:00+00:00"

    def test_a_broken_one_is_named(self, root: Path, host: LocalHost, number: int) -> None:
        (root / "acme" / "tool.meta" / "pulls" / "1.json").write_text("{")
        with pytest.raises(HostError, match=r"pulls/1\.json: Invalid JSON"):
            host.pull_request(TOOL, number)

    def test_a_killed_writer_leaves_it_whole(self, root: Path, host: LocalHost, number: int) -> None:
        """A writer that rewrites it over and over is killed in the midst of it."""
        script = (
            "from pathlib import Path; from bot.hosts.local import LocalHost; from bot.domain.repositories import Repository\n"
            f"host, tool = LocalHost(Path({str(root)!r})), Repository('acme', 'tool', 'main', None)\n"
            f"while True: host.add_comment(tool, {number}, 'x' * 50_000, author='a'); print('one', flush=True)\n"
        )
        writer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        with writer.stdout:
            lines = [writer.stdout.readline() for _ in range(5)]
            writer.send_signal(signal.SIGKILL)
            written = len(lines) + len(writer.stdout.readlines())
        writer.wait()
        assert written <= len(host.pull_request(TOOL, number).comments) <= written + 1
        host.add_comment(TOOL, number, "after", author="a")
        assert os.listdir(root / "acme" / "tool.meta" / "pulls") == ["1.json"]  # noqa: PTH208


class TestPermission:
    @pytest.mark.parametrize(("mode", "permission"), [(0o777, "write"), (0o555, "read"), (0o444, "none"), (0o000, "none")])
    def test_it_is_what_the_file_system_says(self, mode: int, permission: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)
            (Path(folder) / "acme").mkdir()
            (Path(folder) / "acme").chmod(mode)
            with as_nobody():
                assert LocalHost(Path(folder)).permission("acme", "alice") == permission


def _merge(root: Path, number: int) -> str:
    try:
        return LocalHost(root).merge(TOOL, number, by="alice").state.value
    except HostError as error:
        return str(error)
