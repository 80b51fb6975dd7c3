"""Repositories that are renamed, transferred, archived, deleted, or protect the bot's branches, while the bot is at work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.campaigns.inbox import Inbox
from bot.domain.events import RepositoryChanged, RepositoryRef
from bot.hosts.github import GitHubHost, github_host
from bot.hosts.github_events import normalise_github
from bot.store import audit, deliveries, opt_outs
from bot.store.database import Database
from bot.store.opt_outs import OptOut
from bot.store.publications import Publication
from bot.tracking.changes import repository_changed
from bot.tracking.pull_requests import refresh_publications
from tests.databases import SqliteDatabases
from tests.fakes.clock import ManualClock
from tests.fakes.deliveries import Payload, commented, encode
from tests.fakes.github import FakeGitHub, Pull
from tests.fakes.github_subject import app_of
from tests.fakes.world import World

BRANCH = "whimbrel/notes"


@pytest.fixture
def host(hub: FakeGitHub, clock: ManualClock) -> GitHubHost:
    hub.create_org("acme")
    hub.create_repository("acme", "one", files={"README.md": "hi\n"})
    hub.add_user("ada", orgs={"acme": "admin"})
    hub.install("acme")
    return github_host(hub.url, app_of(hub), "acme", now=clock.now)


@pytest.fixture
def world(tmp_path: Path, sqlite_databases: SqliteDatabases, clock: ManualClock, host: GitHubHost) -> Iterator[World]:
    database = Database(sqlite_databases.upgraded())
    made = World(tmp_path / "world", database, clock)
    made.host = host
    yield made
    database.dispose()


def publish(world: World, note: str = "Be kind.") -> str:
    """Work on a campaign until nothing more can be done; how its first run ended."""
    campaign = world.start(note)
    return work(world, campaign)


def work(world: World, campaign: str) -> str:
    for _ in range(3):
        world.work()
        world.clock.advance(3600)
    return world.ended(world.run(campaign))


def pulls(hub: FakeGitHub, name: str) -> list[Pull]:
    return hub.repository(f"acme/{name}").pulls


def publication(world: World, name: str) -> Publication:
    found = world.publication(name)
    assert found is not None
    return found


def told(world: World, action: str) -> list[tuple[str, str]]:
    with world.database.reading() as tx:
        events = [each for each in audit.events(tx, "acme") if each["action"] == action]
    return [(str(each["actor"]), str(each["subject"])) for each in events]


def renamed(new: str, old: str, org: str = "acme") -> RepositoryChanged:
    return RepositoryChanged(RepositoryRef("local", org, new), "renamed", "ada", f"acme/{old}")


class TestRenamed:
    def test_by_an_event_everything_follows_at_once(self, world: World, hub: FakeGitHub) -> None:
        publish(world)
        with world.database.transaction() as tx:
            opt_outs.record(tx, "acme", OptOut("one", "ada", "a comment on #1", world.clock.now()))
        hub.as_user("ada").rename("acme/one", "uno")
        repository_changed(world.services, world.org, renamed("uno", "one"))
        assert world.publication("one") is None
        followed = publication(world, "uno")
        assert (followed.number, followed.state) == (1, "open")
        assert "/acme/uno/" in followed.url
        with world.database.transaction() as tx:
            assert list(opt_outs.of_org(tx, "acme")) == ["uno"]
            opt_outs.lift(tx, "acme", "uno")
        mirrors = world.services.mirrors / "acme"
        assert (mirrors / "uno.git").is_dir()
        assert not (mirrors / "one.git").exists()
        assert told(world, "repository.renamed") == [("ada", "acme/uno")]
        assert publish(world, "Be kinder.").startswith("published")
        assert [(pull.number, pull.state) for pull in pulls(hub, "uno")] == [(1, "open")]
        world.require_tidy()

    @pytest.mark.slow
    def test_old_news_move_nothing(self, world: World, hub: FakeGitHub) -> None:
        """The event is told once more, and another repository has the old name by now."""
        hub.as_user("ada").rename("acme/one", "uno")
        hub.create_repository("acme", "one", files={"README.md": "another\n"})
        publish(world)
        repository_changed(world.services, world.org, renamed("uno", "one"))
        assert publication(world, "one").state == publication(world, "uno").state == "open"
        assert told(world, "repository.renamed") == []

    @pytest.mark.parametrize("state", ["open", "closed"])
    def test_where_the_event_was_missed_the_next_plan_follows(self, world: World, hub: FakeGitHub, state: str) -> None:
        publish(world)
        ada = hub.as_user("ada")
        if state == "closed":
            ada.close("acme/one", 1)
            refresh_publications(world.services, world.host, "acme")
        ada.rename("acme/one", "uno")
        (entry,) = world.plan()[0].entries
        assert str(entry.skip_reason).startswith({"open": "already open: #1", "closed": "#1 was closed"}[state])
        assert (world.publication("one"), publication(world, "uno").state) == (None, state)
        assert told(world, "repository.renamed") == [("whimbrel", "acme/uno")]

    def test_the_tracker_follows_what_the_host_tells(self, world: World, hub: FakeGitHub) -> None:
        publish(world)
        ada = hub.as_user("ada")
        ada.rename("acme/one", "uno")
        ada.merge("acme/uno", 1)
        assert refresh_publications(world.services, world.host, "acme") == 1
        assert publication(world, "uno").state == "merged"

    def test_a_run_that_waits_goes_on_under_the_new_name(self, world: World, hub: FakeGitHub) -> None:
        campaign = world.start()
        hub.as_user("ada").rename("acme/one", "uno")
        assert work(world, campaign).startswith("published")
        assert [pull.state for pull in pulls(hub, "uno")] == ["open"]
        assert world.run(campaign).repository.name == "uno"
        assert (world.publication("one"), publication(world, "uno").number) == (None, 1)

    def test_one_that_is_renamed_between_its_push_and_its_opening(self, world: World, hub: FakeGitHub) -> None:
        campaign = world.start()
        hub.fail(method="POST", path_pattern=r"/pulls$", status=502)
        world.work()
        hub.as_user("ada").rename("acme/one", "uno")
        world.clock.advance(3600)
        assert work(world, campaign).startswith("published")
        assert [(pull.number, pull.state) for pull in pulls(hub, "uno")] == [(1, "open")]
        assert (world.publication("one"), publication(world, "uno").state) == (None, "open")

    @pytest.mark.slow
    def test_two_that_have_changed_their_names_with_each_other(self, world: World, hub: FakeGitHub) -> None:
        hub.create_repository("acme", "two", files={"README.md": "hi\n"})
        publish(world)
        before = {name: publication(world, name).id for name in ("one", "two")}
        ada = hub.as_user("ada")
        for old, new in (("one", "three"), ("two", "one"), ("three", "two")):
            ada.rename(f"acme/{old}", new)
        world.plan()
        assert {name: publication(world, name).id for name in ("two", "one")} == {"two": before["one"], "one": before["two"]}

    def test_a_comment_that_is_told_by_the_old_name_is_answered_under_the_new_one(
        self, world: World, hub: FakeGitHub, host: GitHubHost
    ) -> None:
        world.talker = host
        ada = hub.as_user("ada")
        number = ada.open_issue("acme/one", "Notes").number
        said = ada.comment("acme/one", number, "/whimbrel help")
        ada.rename("acme/one", "uno")
        assert handled(world, "issue_comment", commented("/whimbrel help", said.id, number, "ada")) == "done"
        assert [reaction.content for reaction in said.reactions] == ["eyes"]
        assert len(hub.repository("acme/uno").issues[number].comments) == 2


class TestGone:
    def test_a_transferred_one_is_told_and_its_pull_request_followed_no_more(self, world: World, hub: FakeGitHub) -> None:
        publish(world)
        campaign = world.start("Be kinder.")
        hub.create_org("rival")
        hub.as_user("ada").transfer("acme/one", "rival")
        ended = work(world, campaign)
        assert ended.startswith("failed: ")
        assert "transferred" in ended
        refresh_publications(world.services, world.host, "acme")
        assert publication(world, "one").state == "closed"
        assert "transferred" in publication(world, "one").closed_reason
        assert len(hub.repository("rival/one").pulls) == 1

    @pytest.mark.slow
    def test_one_that_has_left_for_where_the_bot_is_too(self, world: World, hub: FakeGitHub) -> None:
        """The other org has a policy of its own, or none: nothing is done there for this one."""
        publish(world)
        campaign = world.start("Be kinder.")
        hub.create_org("rival")
        hub.install("rival")
        hub.as_user("ada").transfer("acme/one", "rival")
        assert "transferred" in work(world, campaign)
        assert publication(world, "one").state in ("open", "closed")
        assert len(hub.repository("rival/one").pulls) == 1

    def test_a_deleted_one(self, world: World, hub: FakeGitHub) -> None:
        publish(world)
        campaign = world.start("Be kinder.")
        hub.as_user("ada").delete_repository("acme/one")
        ended = work(world, campaign)
        assert ended.startswith("failed: ")
        assert "not there" in ended or "not installed" in ended
        refresh_publications(world.services, world.host, "acme")
        assert publication(world, "one").state == "closed"

    def test_one_that_turned_archived(self, world: World, hub: FakeGitHub) -> None:
        campaign = world.start()
        hub.as_user("ada").archive("acme/one")
        ended = work(world, campaign)
        assert "archived" in ended
        assert not pulls(hub, "one")

    def test_one_that_protects_the_bots_branches(self, world: World, hub: FakeGitHub) -> None:
        hub.protect("acme/one", "whimbrel/*")
        ended = publish(world)
        assert ended.startswith("failed: ")
        assert "GH006" in ended or "rotected" in ended
        assert not pulls(hub, "one")


def handled(world: World, event: str, payload: Payload) -> str:
    """What became of a delivery."""
    payload["repository"]["name"] = "one"
    with world.database.transaction() as tx:
        about = {"host": "github", "event": event, "body": encode(payload), "signers": ["local"]}
        deliveries.receive(tx, id="d1", now=world.clock.now(), **about)
    while Inbox(world.services, {"github": normalise_github}).handle_pending():
        pass
    with world.database.reading() as tx:
        ((state, _),) = deliveries.counts(tx).items()
    return state
