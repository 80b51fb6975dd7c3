"""The pull requests of a campaign, many at once: told before, done one by one, and none stops another."""

from __future__ import annotations

import pytest

from bot.campaigns.bulk import Action, Preview, carry_out, chosen, preview
from bot.domain.pull_requests import CheckReport
from bot.domain.repositories import Repository
from bot.errors import HostError, HostLimited
from bot.hosts.local import LocalHost
from bot.store import audit
from tests.fakes import repositories
from tests.fakes.world import World

NAMES = ("one", "three", "two")


@pytest.fixture
def campaign(world: World) -> str:
    """With a pull request in each of three repositories."""
    for name in NAMES:
        world.repository(name)
    made = world.start()
    world.work()
    return made


def place(name: str) -> Repository:
    return Repository("acme", name, "main", None)


def look(world: World, campaign: str, action: Action, *states: str, only: tuple[str, ...] = ()) -> Preview:
    return preview(action, chosen(world.services, world.campaign(campaign), states, only))


def touched(found: Preview) -> list[str]:
    return [each.change.repository for each in found.touched]


def left_out(found: Preview) -> dict[str, str]:
    return {each.change.repository: reason for each, reason in found.left_out}


def do(world: World, campaign: str, action: Action, words: str = "") -> dict[str, str]:
    """What could not be done, by repository."""
    wanted = look(world, campaign, action)
    results = carry_out(world.services, world.campaign(campaign), wanted, actor="alice", words=words)
    return {each.publication.change.repository: each.error for each in results}


def actions(world: World) -> list[str]:
    with world.database.reading() as tx:
        return [f"{event['action']} {event['subject']} by {event['actor']}" for event in audit.events(tx, "acme")]


class TestPreview:
    def test_it_is_as_the_host_has_it_now(self, world: World, campaign: str) -> None:
        world.local.close(place("two"), 1, by="bob")
        found = look(world, campaign, Action.CLOSE)
        assert (touched(found), left_out(found)) == (["one", "three"], {"two": "it is closed already"})

    def test_only_some(self, world: World, campaign: str) -> None:
        world.local.review(place("one"), 1, author="bob", verdict="approved")
        assert touched(look(world, campaign, Action.COMMENT, "approved")) == ["one"]
        assert touched(look(world, campaign, Action.COMMENT, only=("t*",))) == ["three", "two"]
        assert touched(look(world, campaign, Action.COMMENT, "approved", "failed")) == []

    def test_what_is_not_to_be_merged(self, world: World, campaign: str) -> None:
        head = world.open_pull_requests("one")[0].head
        world.local.report_check(place("one"), head, CheckReport("ci", False, "t", ""))
        world.local.review(place("two"), 1, author="bob", verdict="changes_requested", body="Not yet.")
        bare = world.folder / "host" / "acme" / "three.git"
        repositories.commit(repositories.opened(bare), {"NOTE.md": b"another\n"})
        assert left_out(look(world, campaign, Action.MERGE)) == {
            "one": "its checks have failed",
            "two": "changes are asked for: Not yet.",
            "three": "it conflicts with its base",
        }


class TestDoing:
    def test_merged_with_who_asked_for_it(self, world: World, campaign: str) -> None:
        assert set(do(world, campaign, Action.MERGE).values()) == {""}
        assert {found.state for name in NAMES for found in world.pull_requests(name)} == {"merged"}
        assert actions(world)[-4:] == [
            f"bulk.merge {campaign} by alice",
            *(f"pull_request.merged acme/{name}#1 by alice" for name in NAMES),
        ]
        found = world.publication("one")
        assert found is not None
        assert (found.state, found.closed_by) == ("merged", "alice")

    def test_one_that_fails_stops_no_other(self, world: World, campaign: str) -> None:
        class Stubborn(LocalHost):
            def merge_pull_request(self, repository: Repository, number: int, *, head: str) -> None:
                if repository.name == "three":
                    raise HostError("the base is protected", mend="ask an owner")
                super().merge_pull_request(repository, number, head=head)

        world.host = Stubborn(world.folder / "host", now=world.clock.now)
        errors = do(world, campaign, Action.MERGE)
        assert errors == {"one": "", "three": "the base is protected (ask an owner)", "two": ""}
        assert len(world.open_pull_requests("three")) == 1

    def test_a_limit_that_is_met_is_told_of_the_rest(self, world: World, campaign: str) -> None:
        class Limited(LocalHost):
            def comment(self, repository: Repository, number: int, body: str, *, marker: str) -> None:
                if repository.name != "one":
                    raise HostLimited("80 comments a minute", retry_after=40)
                super().comment(repository, number, body, marker=marker)

        world.host = Limited(world.folder / "host", now=world.clock.now)
        errors = do(world, campaign, Action.COMMENT, "Hello")
        assert errors["one"] == ""
        assert errors["two"] == errors["three"] == "not tried: 80 comments a minute; in 40 seconds they let it pass"

    def test_a_comment_is_said_once(self, world: World, campaign: str) -> None:
        for _ in range(2):
            do(world, campaign, Action.COMMENT, "The freeze ends on Monday.")
        do(world, campaign, Action.COMMENT, "It has ended.")
        said = [comment.body.splitlines()[0] for comment in world.pull_requests("one")[0].comments]
        assert said == ["The freeze ends on Monday.", "It has ended."]

    def test_closed_ones_stay_closed(self, world: World, campaign: str) -> None:
        do(world, campaign, Action.CLOSE, "We have thought better of it.")
        plan, _ = world.plan()
        assert not plan.targets
        found = world.publication("one")
        assert found is not None
        assert (found.closed_by, found.closed_reason) == ("alice", "We have thought better of it.")

    def test_drafts_are_made_ready(self, world: World) -> None:
        world.repository("tool")
        campaign = world.start(pull_request={"draft": True})
        world.work()
        assert touched(look(world, campaign, Action.READY)) == ["tool"]
        assert do(world, campaign, Action.READY) == {"tool": ""}
        assert not world.open_pull_requests("tool")[0].text.draft
        assert left_out(look(world, campaign, Action.READY)) == {"tool": "it is no draft"}

    def test_rebased_on_the_base_as_it_is_now(self, world: World, campaign: str) -> None:
        bare = repositories.opened(world.folder / "host" / "acme" / "one.git")
        base = repositories.commit(bare, {"README.md": b"# Moved on\n"})
        assert set(do(world, campaign, Action.REBASE).values()) == {""}
        world.work()
        [pull_request] = world.open_pull_requests("one")
        assert str(bare[pull_request.head].parents[0].id) == base
