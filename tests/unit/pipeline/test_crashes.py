"""An attempt dies at each of its boundaries in turn, and the run goes on: one pull request, no money held, no trace."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bot.domain.pull_requests import PullRequestState
from bot.domain.repositories import Repository
from bot.domain.states import RunState
from bot.pipeline.housekeeping import discard_leftovers
from bot.store import runs
from bot.store.runs import Dispatch
from bot.tracking.leases import reclaim_expired
from tests.fakes import repositories
from tests.fakes.blade import Blade, BladedDatabase, Killed, WatchedHost
from tests.fakes.world import World

NewWorld = Callable[..., World]
Prepare = Callable[[World], str]


def die_everywhere(new_world: NewWorld, prepare: Prepare, check: Callable[[World, str], None]) -> list[str]:
    """Attempt the run that `prepare` starts, dying at the first moment, then in another world at the second, and so on.

    Each time the run is taken up by another attempt, and checked. Returns all the moments.
    """
    at = 0
    while True:
        at += 1
        world, blade = new_world(BladedDatabase), Blade(at)
        campaign = prepare(world)
        [item] = world.dispatch()
        if not dies(world, item, blade):
            return blade.moments
        recover(world, campaign)
        check(world, campaign)
        world.require_tidy()


def dies(world: World, item: Dispatch, blade: Blade) -> bool:
    assert isinstance(world.database, BladedDatabase)
    world.host, world.database.blade = WatchedHost(world.local, blade.pass_under), blade
    try:
        world.attempt(item, "dead")
    except Killed:
        return True
    return False


def recover(world: World, campaign: str) -> None:
    """What scheduler and workers do, until the run has ended."""
    with world.database.reading() as tx:
        waiting = runs.dispatched(tx)
    for item in waiting:  # the job is still in the queue
        world.attempt(item)
    world.clock.advance(61)
    reclaim_expired(world.services)
    world.clock.advance(60)
    world.work()
    discard_leftovers(world.services)
    assert world.run(campaign).state is RunState.ENDED


def first_campaign(world: World) -> str:
    world.repository("tool")
    return world.start()


def one_pull_request(world: World, campaign: str) -> None:
    [opened] = world.pull_requests("tool")
    publication = world.publication("tool")
    assert publication is not None
    assert world.ended(world.run(campaign)).startswith("published: ")
    assert (opened.state, opened.number) == (PullRequestState.OPEN, 1)
    assert (publication.state, publication.number, publication.head) == ("open", 1, opened.head)
    assert publication.revision == world.campaign(campaign).revision
    bare = world.folder / "host" / "acme" / "tool.git"
    assert repositories.head(bare, "whimbrel/notes") == opened.head
    assert repositories.files_at(bare, "whimbrel/notes")["NOTE.md"] == b"# tool\n\nBe kind.\n"


def test_a_first_pull_request(new_world: NewWorld) -> None:
    moments = die_everywhere(new_world, first_campaign, one_pull_request)
    assert moments.count("before a commit") == moments.count("after a commit") >= 10
    assert {"after remote", "before open_pull_request", "after open_pull_request"} <= set(moments)


def closed_under_an_earlier_revision(world: World) -> str:
    world.repository("tool")
    world.start("Be brief.")
    world.work()
    world.local.close(Repository("acme", "tool", "main", None), 1, by="bob")
    world.clock.advance(1)
    return world.start()


def a_second_pull_request(world: World, campaign: str) -> None:
    first, second = world.pull_requests("tool")
    publication = world.publication("tool")
    assert publication is not None
    assert (first.state, second.state) == (PullRequestState.CLOSED, PullRequestState.OPEN)
    assert (publication.state, publication.number, publication.head) == ("open", 2, second.head)
    assert world.ended(world.run(campaign)).startswith("published: ")


@pytest.mark.slow
def test_a_new_revision_after_one_that_was_closed(new_world: NewWorld) -> None:
    """A person closed it for the revision that it was, and the new one is published whenever the attempt dies."""
    die_everywhere(new_world, closed_under_an_earlier_revision, a_second_pull_request)


def open_with_an_earlier_revision(world: World) -> str:
    world.repository("tool")
    world.start("Be brief.")
    world.work()
    world.clock.advance(1)
    return world.start()


@pytest.mark.slow
def test_a_new_revision_of_an_open_one(new_world: NewWorld) -> None:
    die_everywhere(new_world, open_with_an_earlier_revision, one_pull_request)


def open_with_a_persons_commit(world: World) -> str:
    bare = world.repository("tool")
    world.start("Be brief.")
    world.work()
    theirs = repositories.commit(repositories.opened(bare), {"mine": b"work\n"}, branch="whimbrel/notes")
    repositories.opened(bare).references.create("refs/heads/theirs", theirs)
    world.clock.advance(1)
    return world.start()


def one_with_theirs_below_ours(world: World, campaign: str) -> None:
    one_pull_request(world, campaign)
    repository = repositories.opened(world.folder / "host" / "acme" / "tool.git")
    head, theirs = (repositories.head(repository, branch) for branch in ("whimbrel/notes", "theirs"))
    assert head is not None
    assert theirs is not None
    assert repository.descendant_of(head, theirs)
    assert repositories.files_at(repository, head)["mine"] == b"work\n"


@pytest.mark.slow
def test_ours_on_top_of_a_persons_commit(new_world: NewWorld) -> None:
    die_everywhere(new_world, open_with_a_persons_commit, one_with_theirs_below_ours)


def test_an_aborted_run_leaves_no_branch_without_its_pull_request(new_world: NewWorld) -> None:
    """multi-gitter, pull request #369: what was aborted between the push and the pull request was a branch that nobody saw."""
    world = new_world(BladedDatabase)
    campaign = first_campaign(world)
    [item] = world.dispatch()
    bare = world.folder / "host" / "acme" / "tool.git"

    def abort(moment: str) -> None:
        if moment == "before open_pull_request":
            raise Killed(moment)

    world.host = WatchedHost(world.local, abort)
    with pytest.raises(Killed):
        world.attempt(item, "dead")
    assert repositories.head(bare, "whimbrel/notes") is not None
    assert not world.pull_requests("tool")
    world.host = world.local
    recover(world, campaign)
    one_pull_request(world, campaign)
