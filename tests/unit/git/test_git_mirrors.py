from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pygit2
import pytest

from bot.domain.repositories import Remote
from bot.errors import GitError, StaleHead
from bot.git import Mirror, checkout, forget_dead
from tests.fakes import repositories
from tests.fakes.checkouts import Origin

BRANCH = "whimbrel/standardize"


class TestFetch:
    def test_it_tells_the_heads_and_brings_the_commits(self, origin: Origin) -> None:
        main = repositories.head(origin.bare)
        ours = origin.commit({"new": b""}, branch=BRANCH)
        mirror = origin.mirror()
        assert mirror.fetch(origin.remote, ["main", BRANCH]) == {"main": main, BRANCH: ours}
        assert mirror.has(ours)

    def test_a_missing_branch_is_none(self, origin: Origin) -> None:
        main = repositories.head(origin.bare)
        assert origin.mirror().fetch(origin.remote, ["main", BRANCH]) == {"main": main, BRANCH: None}
        assert origin.mirror().fetch(origin.remote, ["gone", BRANCH]) == {"gone": None, BRANCH: None}

    def test_a_branch_deleted_on_the_remote_disappears(self, origin: Origin) -> None:
        origin.commit({"new": b""}, branch=BRANCH)
        origin.commit({"other": b""}, branch="release")
        mirror = origin.mirror()
        mirror.fetch(origin.remote, ["release", BRANCH])
        repository = repositories.opened(origin.bare)
        repository.references.delete(f"refs/heads/{BRANCH}")
        repository.references.delete("refs/heads/release")
        assert mirror.fetch(origin.remote, ["main", BRANCH])[BRANCH] is None
        assert mirror.fetch(origin.remote, ["release"]) == {"release": None}

    def test_a_branch_that_was_rewritten_is_followed(self, origin: Origin) -> None:
        origin.mirror().fetch(origin.remote, ["main"])
        repository = repositories.opened(origin.bare)
        repository.references.delete("refs/heads/main")
        anew = repositories.commit(repository, {"anew": b""})
        assert origin.mirror().fetch(origin.remote, ["main"]) == {"main": anew}

    def test_a_branch_in_the_place_of_a_folder_of_branches(self, origin: Origin) -> None:
        origin.commit({"a": b""}, branch="whimbrel")
        mirror = origin.mirror()
        mirror.fetch(origin.remote, ["whimbrel"])
        repositories.opened(origin.bare).references.delete("refs/heads/whimbrel")
        below = origin.commit({"b": b""}, branch="whimbrel/x")
        assert mirror.fetch(origin.remote, ["main", "whimbrel/x"])["whimbrel/x"] == below

    def test_a_known_head_that_is_here_is_not_asked_for(self, origin: Origin) -> None:
        head = origin.mirror().fetch(origin.remote, ["main"])["main"]
        assert head is not None
        shutil.rmtree(origin.bare)
        assert origin.mirror().fetch(origin.remote, ["main"], known={"main": head}) == {"main": head}
        with pytest.raises(GitError):
            origin.mirror().fetch(origin.remote, ["main"], known={"main": "0" * 40})

    def test_a_repository_that_is_gone_is_not_worth_another_try(self, origin: Origin, tmp_path: Path) -> None:
        with pytest.raises(GitError, match="does not appear to be a git repository") as caught:
            origin.mirror().fetch(Remote(str(tmp_path / "none.git")), ["main"])
        assert not caught.value.retryable

    def test_an_unreachable_host_is(self, origin: Origin) -> None:
        with pytest.raises(GitError, match="onnect") as caught:
            origin.mirror().fetch(Remote("http://127.0.0.1:9/tool.git"), ["main"])
        assert caught.value.retryable

    @pytest.mark.parametrize("branch", ["", "a..b", "x*", "a:b", "refs heads", "-x/", "x.lock"])
    def test_no_branch_name_becomes_anything_else(self, origin: Origin, branch: str) -> None:
        with pytest.raises(GitError, match="no branch name"):
            origin.mirror().fetch(origin.remote, [branch])

    def test_many_processes_at_once(self, origin: Origin) -> None:
        head = repositories.head(origin.bare)
        with ProcessPoolExecutor(6, mp_context=get_context("fork")) as pool:
            heads = list(pool.map(_open_and_fetch, [origin] * 12))
        assert heads == [{"main": head}] * 12


class TestOpen:
    def test_what_is_no_repository_is_made_anew(self, origin: Origin) -> None:
        folder = origin.mirrors / "acme" / "tool.git"
        (folder / "objects").mkdir(parents=True)
        (folder / "HEAD").write_text("ref: refs/hea")
        assert origin.mirror().fetch(origin.remote, ["main"])["main"] == repositories.head(origin.bare)

    def test_a_broken_object_store_is_made_anew(self, origin: Origin, tmp_path: Path) -> None:
        head = origin.mirror().fetch(origin.remote, ["main"])["main"]
        assert head is not None
        for pack in origin.mirrors.glob("acme/tool.git/objects/pack/*.pack"):
            pack.chmod(0o600)
            pack.write_bytes(pack.read_bytes()[:40])
        assert origin.mirror().fetch(origin.remote, ["main"])["main"] == head
        checkout(origin.mirror(), head, tmp_path / "tree")
        assert (tmp_path / "tree" / "README.md").read_bytes() == b"# Tool\n"

    def test_a_broken_configuration_is_made_anew(self, origin: Origin) -> None:
        mirror = origin.mirror()
        (mirror.folder / "config").write_text("[core\n")
        assert mirror.fetch(origin.remote, ["main"])["main"] == repositories.head(origin.bare)

    def test_a_missing_blob_condemns_the_mirror(self, origin: Origin, tmp_path: Path) -> None:
        mirror = origin.mirror()
        author = pygit2.Signature("a", "a@example.org", 1, 0)
        tree = repositories.raw_tree(mirror.repository, ("100644", b"a", pygit2.Oid(hex="12" * 20)))
        commit = str(mirror.repository.create_commit(None, author, author, "", tree, []))
        with pytest.raises(GitError, match="is broken") as caught:
            checkout(mirror, commit, tmp_path / "tree")
        assert caught.value.retryable
        assert not origin.mirror().has(commit)

    def test_what_a_killed_fetch_leaves_is_in_nobodys_way(self, origin: Origin) -> None:
        mirror = origin.mirror()
        mirror.fetch(origin.remote, ["main"])
        moved = origin.commit({"more": b""})
        leftovers = [mirror.folder / "refs/remotes/origin/main.lock", mirror.folder / "packed-refs.lock"]
        leftovers.append(mirror.folder / "objects/pack/tmp_pack_Xyz")
        for leftover in leftovers:
            leftover.write_bytes(b"")
        assert mirror.fetch(origin.remote, ["main"]) == {"main": moved}
        assert not any(leftover.exists() for leftover in leftovers)

    def test_the_lock_lives_as_long_as_git_does(self, origin: Origin, tmp_path: Path) -> None:
        """A worker is killed while its git goes on: nobody else may take git's lock files for leftovers."""
        slow = tmp_path / "slow-ssh"
        started = tmp_path / "started"
        os.mkfifo(started)
        slow.write_text(f"#!/bin/sh\necho $$ > {started}\nexec sleep 60\n")
        slow.chmod(0o755)
        script = (
            "from pathlib import Path; from bot.git import Mirror; from bot.domain.repositories import Remote\n"
            f"Mirror.open(Path({str(origin.mirrors)!r}), 'acme', 'tool').fetch("
            f"Remote('ssh://nowhere/x', {{'GIT_SSH': {str(slow)!r}, 'GIT_SSH_VARIANT': 'simple'}}), ['main'])"
        )
        worker = subprocess.Popen([sys.executable, "-c", script])
        with started.open() as fifo:
            ssh = int(fifo.read())
        worker.kill()
        worker.wait()
        with (origin.mirrors / "acme" / "tool.lock").open() as lock:
            try:
                with pytest.raises(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            finally:
                os.kill(ssh, signal.SIGKILL)
            fcntl.flock(lock, fcntl.LOCK_EX)

    @pytest.mark.parametrize(
        ("org", "name"), [("..", "tool"), ("acme", "../../x"), ("acme", ""), ("acme", "a/.git"), (".git", "a")]
    )
    def test_no_name_leads_out_of_the_folder(self, tmp_path: Path, org: str, name: str) -> None:
        with pytest.raises(GitError, match="no repository's name"):
            Mirror.open(tmp_path / "mirrors", org, name)

    def test_a_name_may_have_slashes(self, tmp_path: Path) -> None:
        folder = tmp_path / "acme" / "group" / "tool.git"
        assert Mirror.open(tmp_path, "acme", "group/tool").folder == folder
        assert Mirror.open(tmp_path, "acme/group", "tool").folder == folder


class TestKeep:
    def test_a_kept_commit_has_a_ref_until_it_is_forgotten(self, origin: Origin) -> None:
        mirror = origin.mirror()
        head = mirror.fetch(origin.remote, ["main"])["main"]
        assert head is not None
        mirror.keep("r-1.2", head)
        mirror.keep("r-1.2", head)
        assert str(mirror.repository.references["refs/whimbrel/attempts/r-1.2"].target) == head
        mirror.forget("r-1.2")
        mirror.forget("r-1.2")
        assert "refs/whimbrel/attempts/r-1.2" not in mirror.repository.references


class TestPush:
    @pytest.fixture
    def mirror(self, origin: Origin) -> Mirror:
        mirror = origin.mirror()
        mirror.fetch(origin.remote, ["main"])
        return mirror

    def test_a_new_branch(self, origin: Origin, mirror: Mirror) -> None:
        commit = _commit_in(mirror, "one")
        mirror.push(origin.remote, commit, BRANCH, expected=None)
        assert repositories.head(origin.bare, BRANCH) == commit

    def test_a_branch_where_it_was_seen_is_moved(self, origin: Origin, mirror: Mirror) -> None:
        one, two = _commit_in(mirror, "one"), _commit_in(mirror, "two")
        mirror.push(origin.remote, one, BRANCH, expected=None)
        mirror.push(origin.remote, two, BRANCH, expected=one)
        assert repositories.head(origin.bare, BRANCH) == two

    def test_a_branch_that_is_there_already_is_fine(self, origin: Origin, mirror: Mirror) -> None:
        one = _commit_in(mirror, "one")
        mirror.push(origin.remote, one, BRANCH, expected=None)
        mirror.push(origin.remote, one, BRANCH, expected=None)
        assert repositories.head(origin.bare, BRANCH) == one

    def test_a_branch_that_somebody_moved_is_left_alone(self, origin: Origin, mirror: Mirror) -> None:
        one, two = _commit_in(mirror, "one"), _commit_in(mirror, "two")
        mirror.push(origin.remote, one, BRANCH, expected=None)
        theirs = origin.commit({"by-hand": b""}, branch=BRANCH)
        for expected in (one, None):
            with pytest.raises(StaleHead) as caught:
                mirror.push(origin.remote, two, BRANCH, expected=expected)
            assert not caught.value.retryable
        assert repositories.head(origin.bare, BRANCH) == theirs

    def test_a_branch_that_somebody_deleted_is_not_made_again(self, origin: Origin, mirror: Mirror) -> None:
        one, two = _commit_in(mirror, "one"), _commit_in(mirror, "two")
        mirror.push(origin.remote, one, BRANCH, expected=None)
        repositories.opened(origin.bare).references.delete(f"refs/heads/{BRANCH}")
        with pytest.raises(StaleHead):
            mirror.push(origin.remote, two, BRANCH, expected=one)

    def test_of_many_pushes_one_wins(self, origin: Origin, mirror: Mirror) -> None:
        commits = [_commit_in(mirror, f"number {number}") for number in range(6)]
        with ProcessPoolExecutor(6, mp_context=get_context("fork")) as pool:
            ends = list(pool.map(_push, [origin] * 6, commits))
        assert sorted(ends) == ["stale"] * 5 + ["won"]
        assert repositories.head(origin.bare, BRANCH) == commits[ends.index("won")]

    def test_a_repository_that_is_gone_is_not_worth_another_try(self, origin: Origin, mirror: Mirror) -> None:
        shutil.rmtree(origin.bare)
        with pytest.raises(GitError, match="does not appear to be a git repository") as caught:
            mirror.push(origin.remote, _commit_in(mirror, "one"), BRANCH, expected=None)
        assert not caught.value.retryable

    def test_an_unreachable_host_is(self, mirror: Mirror) -> None:
        with pytest.raises(GitError) as caught:
            mirror.push(Remote("http://127.0.0.1:9/tool.git"), _commit_in(mirror, "one"), BRANCH, expected=None)
        assert caught.value.retryable
        assert not isinstance(caught.value, StaleHead)


class TestHistory:
    def test_ancestors(self, origin: Origin) -> None:
        first = repositories.head(origin.bare)
        ours = origin.commit({"ours": b""}, branch=BRANCH)
        second = origin.commit({"more": b""})
        mirror = origin.mirror()
        mirror.fetch(origin.remote, ["main", BRANCH])
        assert first is not None
        assert mirror.is_ancestor(first, second)
        assert mirror.is_ancestor(second, second)
        assert not mirror.is_ancestor(second, first)
        assert not mirror.is_ancestor(ours, second)

    def test_the_same_change(self, origin: Origin) -> None:
        mirror = origin.mirror()
        mirror.fetch(origin.remote, ["main"])
        one, other = _commit_in(mirror, "one"), _commit_in(mirror, "other words")
        assert one != other
        assert mirror.same_change(one, other)
        assert not mirror.same_change(one, str(mirror.commit(one).parent_ids[0]))

    def test_a_commit_that_was_never_fetched(self, origin: Origin) -> None:
        with pytest.raises(GitError, match="is not in the mirror"):
            origin.mirror().commit("12" * 20)


def _commit_in(mirror: Mirror, message: str) -> str:
    """An empty commit on main that only the mirror has."""
    main = mirror.repository.references["refs/remotes/origin/main"].peel(pygit2.Commit)
    author = pygit2.Signature("Whimbrel", "whimbrel@localhost", 1_700_000_000, 0)
    return str(mirror.repository.create_commit(None, author, author, message, main.tree_id, [main.id]))


def _open_and_fetch(origin: Origin) -> dict[str, str | None]:
    return origin.mirror().fetch(origin.remote, ["main"])


def _push(origin: Origin, commit: str) -> str:
    try:
        origin.mirror().push(origin.remote, commit, BRANCH, expected=None)
    except GitError as error:
        return "stale" if isinstance(error, StaleHead) or error.retryable else str(error)
    return "won"


def test_what_was_kept_for_attempts_that_are_dead_is_forgotten_in_every_mirror(origin: Origin) -> None:
    def mirrors() -> list[Mirror]:
        return [Mirror.open(origin.mirrors, "acme", name) for name in ("tool", "group/of/others")]

    for mirror in mirrors():
        head = mirror.fetch(origin.remote, ["main"])["main"]
        assert head is not None
        for attempt in ("c1-1.1", "c1-1.2"):
            mirror.keep(attempt, head)
    forget_dead(origin.mirrors, lambda attempt: attempt == "c1-1.2")
    for mirror in mirrors():
        kept = [name for name in mirror.repository.references if name.startswith("refs/whimbrel/")]
        assert kept == ["refs/whimbrel/attempts/c1-1.2"]


def test_where_there_are_no_mirrors_nothing_is_kept(tmp_path: Path) -> None:
    forget_dead(tmp_path / "none", lambda _: False)
