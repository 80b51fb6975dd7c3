"""Pull requests that others have opened for the same change are adopted: tracked, counted, not doubled, never pushed to.

Asked for as turbolift #215, "adopting pull requests that another tool opened".
"""

from __future__ import annotations

import pytest

from bot.campaigns.adopting import adopt
from bot.campaigns.bulk import Action, chosen, preview
from bot.domain.policy_files import revision
from bot.domain.pull_requests import PullRequestRef, PullRequestText
from bot.domain.repositories import Repository
from bot.policy_store import Chosen
from bot.store import audit, publications, reports
from bot.tracking.pull_requests import refresh_all
from tests.fakes import repositories
from tests.fakes.world import TEMPLATES, World

TOOL = Repository("acme", "tool", "main", None)
BRANCH = "mias-own"


@pytest.fixture
def theirs(world: World) -> int:
    """The number of mia's pull request in acme/tool; there is acme/lib, too."""
    for name in ("lib", "tool"):
        world.repository(name)
    bare = repositories.opened(world.folder / "host" / "acme" / "tool.git")
    repositories.commit(bare, {"NOTE.md": b"By hand.\n"}, branch=BRANCH, start="main")
    text = PullRequestText("A note by hand", "Because.")
    return world.local.open_pull_request(TOOL, branch=BRANCH, base="main", text=text, author="mia").number


def take(world: World, *refs: PullRequestRef) -> list[str]:
    """Adopt them for the policy of the tests; what was said of each."""
    _, policy = world.plan()
    made = revision(policy, {name: text.encode() for name, text in TEMPLATES.items()})
    found = adopt(world.services, Chosen(world.org, policy, TEMPLATES, made), refs, actor="alice")
    return [each.error or each.words for each in found]


def heads(world: World) -> dict[str, str | None]:
    bare = repositories.opened(world.folder / "host" / "acme" / "tool.git")
    return {name: repositories.head(bare, name) for name in bare.branches.local if name != "main"}


def test_it_is_tracked_and_not_doubled(world: World, theirs: int) -> None:
    assert take(world, PullRequestRef("tool", theirs)) == ["mia's, into main: followed from now on"]
    before = heads(world)
    plan, _ = world.plan()
    assert {entry.target.repository: entry.skip_reason for entry in plan.entries} == {
        "lib": None,
        "tool": "#1 is open for it: mia has opened it",
    }
    world.start()
    world.work()
    assert heads(world) == before  # nothing was pushed
    assert [found.number for found in world.local.pull_requests(TOOL, BRANCH)] == [theirs]
    assert not world.pull_requests("tool")


def test_it_is_counted(world: World, theirs: int) -> None:
    take(world, PullRequestRef("tool", theirs))
    campaign = world.start()
    world.work()
    with world.database.reading() as tx:
        status = reports.campaign_status(tx, world.campaign(campaign))
        left = publications.room(tx, "acme", world.org.ceilings, world.clock.now())
    assert (status["pull_requests"]["open"], status["pull_requests"]["adopted"], status["finished"]) == (2, 1, False)
    assert left.open_left == world.org.ceilings.open_pull_requests - 2
    for name, number, branch in (("tool", theirs, BRANCH), ("lib", 1, "whimbrel/notes")):
        assert world.local.merge(Repository("acme", name, "main", None), number, by="bob").branch == branch
    refresh_all(world.services, [world.org])
    with world.database.reading() as tx:
        status = reports.campaign_status(tx, world.campaign(campaign))
    assert (status["pull_requests"]["merged"], status["finished"]) == (2, True)


def test_a_run_that_waited_for_that_target_is_ended(world: World, theirs: int) -> None:
    campaign = world.start()
    take(world, PullRequestRef("tool", theirs))
    world.work()
    with world.database.reading() as tx:
        by_target = {run["target"]: (run["outcome"], run["reason"]) for run in reports.campaign_runs(tx, campaign)}
    assert by_target["tool"] == ("skipped", "#1 is open for it: mia has opened it")
    assert by_target["lib"][0] == "published"


def test_a_newer_revision_leaves_it_alone_too(world: World, theirs: int) -> None:
    take(world, PullRequestRef("tool", theirs))
    before = heads(world)
    world.start("Be brief.")
    world.work()
    assert heads(world) == before


def test_who_adopted_it_is_on_the_audit_trail(world: World, theirs: int) -> None:
    take(world, PullRequestRef("tool", theirs))
    with world.database.reading() as tx:
        *_, event = audit.events(tx, "acme")
    assert (event["actor"], event["action"], event["subject"]) == ("alice", "pull_request.adopted", "acme/tool#1")
    world.require_tidy()


def test_twice_is_once(world: World, theirs: int) -> None:
    refs = PullRequestRef("tool", theirs)
    take(world, refs)
    assert take(world, refs) == ["it is followed already"]


def test_one_that_cannot_be_adopted_keeps_no_other_from_it(world: World, theirs: int) -> None:
    said = take(world, PullRequestRef("lib", 7), PullRequestRef("gone", 1), PullRequestRef("tool", theirs))
    assert said == ["there is none, or the bot may not see it"] * 2 + ["mia's, into main: followed from now on"]


class TestRefused:
    def test_what_is_closed(self, world: World, theirs: int) -> None:
        world.local.close(TOOL, theirs, by="mia")
        assert take(world, PullRequestRef("tool", theirs)) == ["it is closed already"]

    def test_the_bots_own_and_a_second_one(self, world: World, theirs: int) -> None:
        world.start()
        world.work()
        [own] = world.open_pull_requests("tool")
        assert take(world, PullRequestRef("tool", own.number), PullRequestRef("tool", theirs)) == [
            "the bot has opened it itself",
            f"#{own.number} is open for it already: there is at most one",
        ]

    def test_one_into_another_branch(self, world: World, theirs: int) -> None:
        bare = repositories.opened(world.folder / "host" / "acme" / "tool.git")
        repositories.commit(bare, {"x": b"x"}, branch="develop", start="main")
        text = PullRequestText("A note", "Because.")
        other = world.local.open_pull_request(TOOL, branch=BRANCH, base="develop", text=text, author="mia")
        assert take(world, PullRequestRef("tool", other.number)) == ["it goes into develop, the policy's target is main"]


def test_in_bulk_it_is_neither_closed_nor_rebased(world: World, theirs: int) -> None:
    take(world, PullRequestRef("tool", theirs))
    campaign = world.start()
    world.work()
    found = chosen(world.services, world.campaign(campaign), (), ("tool",))
    for action in (Action.CLOSE, Action.REBASE, Action.READY):
        assert [reason for _, reason in preview(action, found).left_out] == ["it is not the bot's: mia has opened it"]
    for action in (Action.MERGE, Action.COMMENT):
        assert len(preview(action, found).touched) == 1


def test_once_it_is_closed_it_stays_so_for_this_revision(world: World, theirs: int) -> None:
    take(world, PullRequestRef("tool", theirs))
    world.local.close(TOOL, theirs, by="mia")
    refresh_all(world.services, [world.org])
    plan, _ = world.plan()
    assert [entry.target.repository for entry in plan.targets] == ["lib"]
    world.start("Be brief.")
    world.work()
    assert [found.branch for found in world.open_pull_requests("tool")] == ["whimbrel/notes"]
