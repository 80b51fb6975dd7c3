"""Whose branch may be moved, and which pull request is left alone."""

from __future__ import annotations

from bot.domain.pull_requests import PullRequestText
from bot.domain.repositories import Repository
from tests.fakes import repositories
from tests.fakes.world import World

TOOL = Repository("acme", "tool", "main", None)
BRANCH = "whimbrel/notes"


def run(world: World, note: str = "Be kind.", **policy: object) -> str:
    """Start a campaign, work, and tell how its first run ended."""
    world.clock.advance(1)
    campaign = world.start(note, **policy)
    world.work()
    return world.ended(world.run(campaign))


def test_it_says_what_the_policy_has_it_say(world: World) -> None:
    world.repository("tool", {"README.md": b"# T\n", ".github/CODEOWNERS": b"*.md @alice @acme/docs\n"})
    assert run(world, pull_request={"labels": ["bot"], "draft": True}) == "published: 1 file changed, no checks to pass"
    [opened] = world.pull_requests("tool")
    assert opened.text.title == "Every repository has a note"
    assert opened.text.body.endswith(": NOTE.md\n")
    assert (opened.text.labels, opened.text.draft) == (("bot",), True)
    assert opened.text.reviewers == ("@acme/docs", "@alice")


def test_the_same_change_keeps_the_commit_that_its_reviewers_saw(world: World) -> None:
    bare = world.repository("tool")
    run(world)
    first = repositories.head(bare, BRANCH)
    assert (
        run(world, variables={"note": "Be kind."}, description="In other words")
        == "published: 1 file changed, no checks to pass"
    )
    [opened] = world.pull_requests("tool")
    publication = world.publication("tool")
    assert publication is not None
    assert repositories.head(bare, BRANCH) == first == publication.head
    assert opened.text.title == "In other words"


def test_another_change_moves_its_own_branch(world: World) -> None:
    bare = world.repository("tool")
    run(world, "Be brief.")
    assert run(world).startswith("published: ")
    assert repositories.files_at(bare, BRANCH)["NOTE.md"] == b"# tool\n\nBe kind.\n"
    assert [opened.number for opened in world.pull_requests("tool")] == [1]


def test_a_branch_with_nothing_of_its_own_is_taken(world: World) -> None:
    bare = world.repository("tool")
    repository = repositories.opened(bare)
    repository.references.create(f"refs/heads/{BRANCH}", repository.references["refs/heads/main"].target)
    assert run(world).startswith("published: ")


def test_closed_by_a_person_stays_closed_for_this_revision(world: World) -> None:
    """Also where it was closed after the plan was made."""
    world.repository("tool")
    run(world)
    planned = world.plan(earlier="nothing")
    world.local.close(TOOL, 1, by="bob")
    campaign = world.activate(*planned).campaign_id
    world.work()
    assert world.ended(world.run(campaign)) == (
        "skipped: #1 was closed without being merged, and stays closed for this revision of the policy"
    )
    assert len(world.pull_requests("tool")) == 1


def test_another_revision_opens_another_one(world: World) -> None:
    world.repository("tool")
    run(world, "Be brief.")
    world.local.close(TOOL, 1, by="bob")
    assert run(world).startswith("published: ")
    assert [opened.number for opened in world.open_pull_requests("tool")] == [2]


def test_a_closed_one_that_the_bot_did_not_open_stays_closed(world: World) -> None:
    bare = world.repository("tool")
    repositories.commit(repositories.opened(bare), {"x": b"x"}, branch=BRANCH, start="main")
    world.local.open_pull_request(TOOL, branch=BRANCH, base="main", text=PullRequestText("T", "B", (), (), draft=False))
    world.local.close(TOOL, 1, by="bob")
    repositories.opened(bare).references.delete(f"refs/heads/{BRANCH}")
    assert run(world).startswith("skipped: #1 was closed")


def test_after_a_merge_a_new_change_is_a_new_pull_request(world: World) -> None:
    world.repository("tool")
    run(world, "Be brief.")
    world.local.merge(TOOL, 1, by="bob")
    assert run(world).startswith("published: ")
    assert [opened.number for opened in world.open_pull_requests("tool")] == [2]
    assert run(world, "Be brief and kind.").startswith("published: ")
    assert [opened.number for opened in world.open_pull_requests("tool")] == [2]
