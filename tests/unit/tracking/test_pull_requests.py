"""What became of the pull requests, and of intents whose attempt died."""

from __future__ import annotations

import pytest

from bot.domain.pull_requests import CheckReport, PullRequestText
from bot.domain.repositories import Repository
from bot.domain.states import Outcome
from bot.pipeline.lease import LEASE
from bot.store import audit, publications, runs
from bot.store.publications import Facts
from bot.store.runs import Run
from bot.tracking.pull_requests import refresh as refresh_publication
from bot.tracking.pull_requests import refresh_all, refresh_publications, settle_lost
from tests.fakes import repositories
from tests.fakes.queue import intend
from tests.fakes.world import World

TOOL = Repository("acme", "tool", "main", None)


@pytest.fixture
def opened(world: World) -> World:
    """A world with the pull request #1 open."""
    world.repository("tool")
    world.start()
    world.work()
    return world


def refresh(world: World) -> int:
    return refresh_publications(world.services, world.local, "acme")


def state(world: World) -> str:
    found = world.publication("tool")
    assert found is not None
    return found.state


def last_event(world: World) -> tuple[str, str, str]:
    with world.database.reading() as tx:
        *_, event = audit.events(tx, "acme")
    return event["actor"], event["action"], event["subject"]


def test_an_open_one_stays_so(opened: World) -> None:
    assert refresh(opened) == 0
    assert state(opened) == "open"


def test_a_merge_and_who_did_it(opened: World) -> None:
    opened.local.merge(TOOL, 1, by="bob")
    assert refresh(opened) == 1
    assert refresh(opened) == 0
    assert (state(opened), last_event(opened)) == ("merged", ("bob", "pull_request.merged", "acme/tool#1"))


def test_a_close_and_who_did_it(opened: World) -> None:
    opened.local.close(TOOL, 1, by="bob")
    refresh_all(opened.services, [opened.org])
    assert (state(opened), last_event(opened)) == ("closed", ("bob", "pull_request.closed", "acme/tool#1"))
    opened.require_tidy()


def test_a_repository_that_is_gone_takes_no_place(opened: World) -> None:
    bare = opened.folder / "host" / "acme" / "tool.git"
    bare.rename(bare.with_suffix(".gone"))
    assert refresh(opened) == 1
    assert (state(opened), last_event(opened)[1]) == ("closed", "pull_request.closed")
    found = opened.publication("tool")
    assert found is not None
    assert found.closed_by == ""
    assert found.closed_reason.startswith("the repository is gone: ")


def test_only_the_policys_own_are_asked_for(opened: World) -> None:
    opened.local.close(TOOL, 1, by="bob")
    assert refresh_publications(opened.services, opened.local, "acme", "another") == 0
    assert state(opened) == "open"


def test_one_that_is_opened_again_is_found_though_no_webhook_told_of_it(opened: World) -> None:
    opened.local.close(TOOL, 1, by="bob")
    refresh_all(opened.services, [opened.org])
    opened.local.reopen(TOOL, 1)
    refresh_all(opened.services, [opened.org])
    assert state(opened) == "closed"  # it was looked at just now
    opened.clock.advance(3600)
    refresh_all(opened.services, [opened.org])
    assert state(opened) == "open"


def test_one_of_an_archived_repository_stays_settled_though_its_host_has_it_open(opened: World) -> None:
    refresh_all(opened.services, [opened.org])
    found = opened.publication("tool")
    assert found is not None
    settle_lost(opened.services, found, "mia", "the repository was archived")
    opened.clock.advance(7200)
    refresh_all(opened.services, [opened.org])
    assert state(opened) == "closed"


class TestIntents:
    """An attempt has written down that it will publish, and died."""

    @pytest.fixture
    def run(self, world: World) -> Run:
        world.repository("tool")
        campaign = world.start()
        [item] = world.dispatch()
        with world.database.transaction() as tx:
            run = runs.claim(tx, item.run_id, item.fence, worker="w", now=world.clock.now(), lease=LEASE)
            intend(tx, world.clock, publications.Change("acme", "notes", "tool", "main"))
        assert run is not None
        assert run.campaign_id == campaign
        return run

    def give_up(self, world: World, run: Run) -> None:
        with world.database.transaction() as tx:
            runs.end(tx, run, Outcome.FAILED, "died", now=world.clock.now())

    def test_while_a_run_is_at_work_it_stays(self, world: World, run: Run) -> None:
        assert refresh(world) == 0
        assert state(world) == "intent"

    def test_one_that_came_to_nothing_gives_its_place_back(self, world: World, run: Run) -> None:
        self.give_up(world, run)
        refresh_all(world.services, [world.org])
        assert state(world) == "closed"

    def publish(self, world: World) -> None:
        """What the attempt did on the host, and could not write down any more."""
        bare = world.folder / "host" / "acme" / "tool.git"
        repositories.commit(repositories.opened(bare), {"x": b"x"}, branch="whimbrel/notes", start="main")
        text = PullRequestText("T", "B", (), (), draft=False)
        world.local.open_pull_request(TOOL, branch="whimbrel/notes", base="main", text=text)

    def found(self, world: World) -> publications.Publication:
        found = world.publication("tool")
        assert found is not None
        return found

    def test_one_that_came_about_is_found(self, world: World, run: Run) -> None:
        self.publish(world)
        self.give_up(world, run)
        assert refresh(world) == 1
        found = self.found(world)
        assert (found.state, found.number, found.revision) == ("open", 1, "")

    def test_one_that_is_merged_by_then_is_told_as_merged(self, world: World, run: Run) -> None:
        self.publish(world)
        world.local.merge(TOOL, 1, by="bob")
        self.give_up(world, run)
        assert refresh(world) == 1
        found = self.found(world)
        assert (found.state, found.number, found.closed_by) == ("merged", 1, "bob")
        assert last_event(world) == ("bob", "pull_request.merged", "acme/tool#1")
        assert refresh(world) == 0

    def test_one_that_a_person_closed_by_then_stays_closed_for_its_revision(self, world: World, run: Run) -> None:
        self.publish(world)
        world.local.add_comment(TOOL, 1, "Not here.", author="bob")
        world.local.close(TOOL, 1, by="bob")
        self.give_up(world, run)
        assert refresh(world) == 1
        found = self.found(world)
        assert (found.state, found.closed_by, found.closed_reason) == ("closed", "bob", "Not here.")
        world.start()
        world.work()
        assert [each.number for each in world.pull_requests("tool")] == [1]

    def test_one_that_was_settled_before_is_not_taken_for_it(self, world: World) -> None:
        world.repository("tool")
        world.start()
        world.work()
        world.local.merge(TOOL, 1, by="bob")
        refresh(world)
        with world.database.transaction() as tx:
            intend(tx, world.clock, publications.Change("acme", "notes", "tool", "main"))
        assert refresh(world) == 1
        found = self.found(world)
        assert (found.state, found.number, found.closed_by) == ("closed", 1, "")


class TestFacts:
    """What the host tells of an open one is kept, with a timeline."""

    def facts(self, world: World) -> Facts:
        found = world.publication("tool")
        assert found is not None
        return found.facts

    def timeline(self, world: World) -> list[tuple[str, str, str]]:
        found = world.publication("tool")
        assert found is not None
        with world.database.reading() as tx:
            return [(event.kind, event.actor, event.words) for event in publications.events_of(tx, found.id)]

    def test_checks(self, opened: World) -> None:
        [pull_request] = opened.open_pull_requests("tool")
        for passed, state in ((None, "pending"), (False, "failed"), (True, "passed")):
            opened.local.report_check(TOOL, pull_request.head, CheckReport("ci", passed, "t", ""))
            refresh(opened)
            assert self.facts(opened).ci == state
        assert [words for kind, _, words in self.timeline(opened) if kind == "checks"] == [
            "checks pending",
            "checks have failed",
            "checks have passed",
        ]

    def test_reviews_count_by_the_last_verdict_of_each(self, opened: World) -> None:
        for author, verdict, state in (
            ("bob", "changes_requested", "changes_requested"),
            ("mia", "approved", "changes_requested"),
            ("bob", "commented", "changes_requested"),
            ("bob", "approved", "approved"),
        ):
            opened.local.review(TOOL, 1, author=author, verdict=verdict, body=f"{author} says so")
            refresh(opened)
            assert self.facts(opened).review == state
        assert [event for event in self.timeline(opened) if event[0] == "review"] == [
            ("review", "bob", "changes requested: bob says so"),
            ("review", "", "approved"),
        ]

    def test_the_words_of_who_asks_for_changes_are_kept_until_they_are_taken_back(self, opened: World) -> None:
        opened.local.review(TOOL, 1, author="bob", verdict="changes_requested", body="Not\nhere.")
        refresh(opened)
        found = opened.publication("tool")
        assert found is not None
        assert found.closed_reason == "Not here."
        opened.local.review(TOOL, 1, author="bob", verdict="approved")
        refresh(opened)
        found = opened.publication("tool")
        assert found is not None
        assert found.closed_reason == ""

    def test_a_conflict_comes_and_goes(self, opened: World) -> None:
        bare = opened.folder / "host" / "acme" / "tool.git"
        refresh(opened)
        assert self.facts(opened).conflicts is False
        repositories.commit(repositories.opened(bare), {"NOTE.md": b"other\n"})
        refresh(opened)
        assert self.facts(opened).conflicts is True
        assert self.timeline(opened)[-1] == ("conflicts", "", "conflicts with main")

    def test_commits_by_people_are_counted(self, opened: World) -> None:
        bare = opened.folder / "host" / "acme" / "tool.git"
        refresh(opened)
        assert self.facts(opened).edited == 0
        person = repositories.commit(repositories.opened(bare), {"x": b"x"}, branch="whimbrel/notes", start="whimbrel/notes")
        refresh(opened)
        assert (self.facts(opened).edited, self.facts(opened).seen_head) == (1, str(person))
        opened.local.merge(TOOL, 1, by="bob")
        refresh(opened)
        assert self.facts(opened).edited == 1

    def test_who_closed_it_and_why(self, opened: World) -> None:
        opened.local.add_comment(TOOL, 1, "We do not want it: see our wiki.", author="bob")
        opened.local.add_comment(TOOL, 1, "Me neither.", author="mia")
        opened.local.close(TOOL, 1, by="bob")
        refresh(opened)
        found = opened.publication("tool")
        assert found is not None
        assert (found.closed_by, found.closed_reason) == ("bob", "We do not want it: see our wiki.")
        assert found.settled_at == opened.clock.now()
        assert [kind for kind, _, _ in self.timeline(opened)] == ["pushed", "opened", "closed"]

    def test_one_that_is_reopened_is_not_settled(self, opened: World) -> None:
        opened.local.close(TOOL, 1, by="bob")
        refresh(opened)
        opened.local.reopen(TOOL, 1)
        found = opened.publication("tool")
        assert found is not None
        assert refresh_publication(opened.services, opened.local, found)
        found = opened.publication("tool")
        assert found is not None
        assert (found.state, found.closed_by, found.settled_at) == ("open", "", None)
