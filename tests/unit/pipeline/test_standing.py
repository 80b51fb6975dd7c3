"""Whose is the branch: the bot's own commits give way to newer ones, and what people have pushed to it is never lost."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pygit2
import pytest

from bot.campaigns import control, refreshing
from bot.domain.repositories import Repository
from bot.hosts.local_git import merge_branch
from bot.store import publications, runs
from bot.store.publications import Change
from tests.fakes import repositories
from tests.fakes.repositories import Content, Files
from tests.fakes.world import World

TOOL = Repository("acme", "tool", "main", None)
BRANCH = "whimbrel/notes"


def run(world: World, note: str = "Be kind.", **policy: object) -> str:
    """Start a campaign, work, and tell how its first run ended."""
    world.clock.advance(1)
    campaign = world.start(note, **policy)
    world.work()
    return world.ended(world.run(campaign))


def push(bare: Path, files: Files, *, branch: str = BRANCH, start: str | None = None) -> str:
    """A person's commit."""
    return repositories.commit(repositories.opened(bare), files, branch=branch, start=start)


def rebase(world: World) -> str:
    return again(world, takeover=False)


def again(world: World, *, takeover: bool) -> str:
    """What `/whimbrel rebase` and `/whimbrel takeover` do, and what comes of it."""
    change = Change("acme", "notes", "tool", "main")
    (opened,) = world.open_pull_requests("tool")
    with world.database.transaction() as tx:
        found, publication = runs.newest(tx, change), publications.find(tx, change)
        assert found is not None
        assert publication is not None
        if takeover:
            refreshing.take_over(tx, world.services, publication, found, opened.head, actor="mia")
        else:
            control.rebase_alone(tx, world.services, found, actor="mia")
    world.work()
    return world.ended(found)


def on_branch(bare: Path) -> Mapping[str, Content]:
    return repositories.files_at(bare, BRANCH)


def has(bare: Path, commit: str, branch: str = BRANCH) -> bool:
    """Is the commit in the branch's history?"""
    head = repositories.head(bare, branch)
    assert head is not None
    return head == commit or repositories.opened(bare).descendant_of(head, commit)


def button(bare: Path) -> str:
    """What the host's button does that brings a branch up to date with its base."""
    repository = repositories.opened(bare)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return merge_branch(repository, base=BRANCH, branch="main", message="Update branch", by="mia", at=at)


@pytest.fixture
def bare(world: World) -> Path:
    """A repository with an open pull request of the bot's."""
    made = world.repository("tool")
    assert run(world, "Be brief.").startswith("published: ")
    return made


class TestOnTop:
    def test_manual_commits_are_not_nuked_by_the_next_update(self, world: World, bare: Path) -> None:
        """Sourcegraph #33664."""
        first = repositories.head(bare, BRANCH)
        theirs = push(bare, {"mine": b"work\n"})
        assert run(world, "Be kind.").startswith("published: ")
        assert on_branch(bare)["NOTE.md"] == b"# tool\n\nBe kind.\n"
        assert on_branch(bare)["mine"] == b"work\n"
        head = repositories.opened(bare).revparse_single(BRANCH).peel(pygit2.Commit)
        assert str(head.parent_ids[0]) == theirs
        assert first is not None
        assert has(bare, first)
        assert [opened.number for opened in world.pull_requests("tool")] == [1]
        assert world.pull_requests("tool")[0].comments == ()

    def test_nor_by_the_ones_after_it(self, world: World, bare: Path) -> None:
        pushed = []
        for number, note in enumerate(["Be kind.", "Be fast.", "Be right."]):
            pushed.append(push(bare, {f"mine-{number}": b"work\n"}))
            assert run(world, note).startswith("published: ")
        assert all(has(bare, each) for each in pushed)
        assert {"mine-0", "mine-1", "mine-2"} <= on_branch(bare).keys()
        assert on_branch(bare)["NOTE.md"] == b"# tool\n\nBe right.\n"

    def test_what_they_took_out_of_the_bots_change_stays_out(self, world: World) -> None:
        bare = world.repository("tool")
        steps = [{"template": "note.md.j2", "to": "OTHER.md"}]
        run(world, "Be kind.", steps=steps)
        push(bare, {"OTHER.md": None})
        repositories.commit(repositories.opened(bare), {"README.md": b"# Moved on\n"})
        assert rebase(world).startswith("published: ")
        assert on_branch(bare).keys() == {"README.md", "NOTE.md"}
        assert on_branch(bare)["README.md"] == b"# Moved on\n"

    def test_the_new_base_comes_with_it(self, world: World, bare: Path) -> None:
        theirs = push(bare, {"mine": b"work\n"})
        base = push(bare, {"README.md": b"# Moved on\n"}, branch="main")
        assert rebase(world).startswith("published: ")
        assert has(bare, theirs)
        assert has(bare, base)
        assert world.open_pull_requests("tool")[0].conflicts is False

    def test_what_they_have_done_themselves_is_not_done_again(self, world: World, bare: Path) -> None:
        theirs = push(bare, {"NOTE.md": b"# tool\n\nBe kind.\n"})
        assert run(world, "Be kind.").startswith("published: ")
        assert repositories.head(bare, BRANCH) == theirs

    def test_theirs_and_ours_together_are_what_is_checked(self, world: World, bare: Path) -> None:
        theirs = push(bare, {"mine": b"work\n"})
        world.sandbox.answers["test ! -e mine"] = lambda tree: int((tree / "mine").exists())
        checks = [{"run": "test ! -e mine"}]
        assert run(world, "Be kind.", checks=checks).startswith("rejected: a check failed")
        assert repositories.head(bare, BRANCH) == theirs
        push(bare, {"mine": None})
        assert run(world, "Be kind and kinder.", checks=checks).startswith("published: ")


class TestFrozen:
    def test_a_conflict_with_theirs_freezes_the_branch_and_says_so_once_a_head(self, world: World, bare: Path) -> None:
        reason = "1 commit by people, with which the bot's change conflicts"
        theirs = push(bare, {"NOTE.md": b"# tool\n\nBe brave.\n"})
        for note in ("Be kind.", "Be fast."):
            assert run(world, note) == f"skipped: the branch {BRANCH} has {reason}: left as it is"
        assert repositories.head(bare, BRANCH) == theirs
        [comment] = world.pull_requests("tool")[0].comments
        assert comment.body.startswith(f"This branch has {reason}, so it is theirs")
        assert "--takeover" in comment.body
        publication = world.publication("tool")
        assert publication is not None
        assert publication.frozen == reason
        push(bare, {"more": b"work\n"})
        run(world, "Be kind.")
        assert len(world.pull_requests("tool")[0].comments) == 2

    def test_a_comment_tells_of_the_command_where_comments_direct_the_policy(self, world: World) -> None:
        bare = world.repository("tool")
        run(world, "Be brief.", on={"comment": True})
        push(bare, {"NOTE.md": b"# tool\n\nBe brave.\n"})
        run(world, "Be kind.", on={"comment": True})
        assert "`/whimbrel takeover`" in world.pull_requests("tool")[0].comments[0].body

    def test_a_branch_that_the_bot_never_made(self, world: World) -> None:
        bare = world.repository("tool")
        theirs = push(bare, {"mine": b"work\n"}, start="main")
        assert run(world).startswith(f"skipped: the branch {BRANCH} has 1 commit by people, and none of the bot's")
        assert repositories.head(bare, BRANCH) == theirs

    def test_one_whose_history_a_person_rewrote(self, world: World, bare: Path) -> None:
        """No step is made for it, and no model paid."""
        repositories.opened(bare).references.delete(f"refs/heads/{BRANCH}")
        theirs = push(bare, {"NOTE.md": b"# tool\n\nBe brave.\n"}, start="main")
        assert run(world, steps=[{"run": "never"}]).startswith("skipped: ")
        assert repositories.head(bare, BRANCH) == theirs

    def test_it_is_the_bots_again_once_the_conflict_is_gone(self, world: World, bare: Path) -> None:
        push(bare, {"NOTE.md": b"# tool\n\nBe brave.\n"})
        assert run(world, "Be kind.").startswith("skipped: ")
        push(bare, {"NOTE.md": b"# tool\n\nBe brief.\n", "mine": b"work\n"})
        assert run(world, "Be kind.").startswith("published: ")
        publication = world.publication("tool")
        assert publication is not None
        assert publication.frozen == ""


class TestTakenOver:
    def test_the_files_are_the_bots_and_the_commits_stay(self, world: World, bare: Path) -> None:
        theirs = push(bare, {"NOTE.md": b"# tool\n\nBe brave.\n", "mine": b"work\n"})
        assert run(world, "Be kind.").startswith("skipped: ")
        assert again(world, takeover=True).startswith("published: ")
        assert on_branch(bare) == {"README.md": b"# Hello\n", "NOTE.md": b"# tool\n\nBe kind.\n"}
        assert has(bare, theirs)
        assert [opened.number for opened in world.open_pull_requests("tool")] == [1]
        assert run(world, "Be fast.").startswith("published: ")
        assert on_branch(bare)["NOTE.md"] == b"# tool\n\nBe fast.\n"
        assert has(bare, theirs)

    def test_what_they_push_afterwards_is_theirs_again(self, world: World, bare: Path) -> None:
        push(bare, {"NOTE.md": b"# tool\n\nBe brave.\n"})
        assert run(world, "Be kind.").startswith("skipped: ")
        again(world, takeover=True)
        push(bare, {"later": b"work\n"})
        assert run(world, "Be fast.").startswith("published: ")
        assert on_branch(bare)["later"] == b"work\n"
        push(bare, {"NOTE.md": b"# tool\n\nBe brave.\n"})
        assert "1 commit by people" not in run(world, "Be right.")
        assert run(world, "Be right.").startswith("skipped: ")

    def test_a_branch_whose_history_was_rewritten_comes_back_too(self, world: World, bare: Path) -> None:
        repositories.opened(bare).references.delete(f"refs/heads/{BRANCH}")
        theirs = push(bare, {"NOTE.md": b"# tool\n\nBe brave.\n"}, start="main")
        assert run(world).startswith("skipped: ")
        assert again(world, takeover=True).startswith("published: ")
        assert has(bare, theirs)
        assert on_branch(bare)["NOTE.md"] == b"# tool\n\nBe kind.\n"


class TestTheBaseMerged:
    def test_the_hosts_button_is_nobodys_work_and_is_kept(self, world: World, bare: Path) -> None:
        """Whatever the bot's change becomes, it applies: the merge has nothing of its own to conflict with."""
        push(bare, {"README.md": b"# Moved on\n"}, branch="main")
        update = button(bare)
        push(bare, {"README.md": b"# And on\n"}, branch="main")
        assert run(world, "Be kind.").startswith("published: ")
        assert has(bare, update)
        assert on_branch(bare) == {"README.md": b"# And on\n", "NOTE.md": b"# tool\n\nBe kind.\n"}

    def test_with_somebodys_work_on_top_it_does_not_stand_in_the_way(self, world: World, bare: Path) -> None:
        push(bare, {"README.md": b"# Moved on\n"}, branch="main")
        button(bare)
        theirs = push(bare, {"mine": b"work\n"})
        push(bare, {"README.md": b"# And on\n"}, branch="main")
        assert run(world, "Be kind.").startswith("published: ")
        assert has(bare, theirs)
        assert on_branch(bare) == {"README.md": b"# And on\n", "NOTE.md": b"# tool\n\nBe kind.\n", "mine": b"work\n"}


class TestTheBasesHistory:
    def test_a_base_that_was_rewritten_takes_its_commits_along(self, world: World, bare: Path) -> None:
        """What the bot's commit stood on is no work of anybody's on this branch."""
        lost = push(bare, {"lost": b"x\n"}, branch="main")
        assert rebase(world).startswith("published: ")
        assert has(bare, lost)
        repository = repositories.opened(bare)
        repository.references.create("refs/heads/main", repository[lost].parents[0].id, force=True)  # type: ignore[attr-defined]
        push(bare, {"README.md": b"# Instead\n"}, branch="main")
        assert rebase(world).startswith("published: ")
        assert not has(bare, lost)
        assert on_branch(bare).keys() == {"README.md", "NOTE.md"}


def test_the_open_pull_requests_branch_is_used_whatever_the_policy_calls_it_now(world: World, bare: Path) -> None:
    assert run(world, "Be kind.", pull_request={"branch": "bot/{{ policy }}"}).startswith("published: ")
    assert [opened.number for opened in world.open_pull_requests("tool")] == [1]
    assert repositories.head(bare, "bot/notes") is None
