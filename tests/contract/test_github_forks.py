"""Fork and pull: attempts that propose, from a fork, what the bot may not push to the repository itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pygit2
import pytest

from bot.domain.repositories import Repository
from bot.errors import HostError, HostUnavailable
from bot.hosts.github import GitHubHost, github_host
from bot.hosts.github_credentials import Token
from bot.store.database import Database
from bot.tracking.pull_requests import refresh_publications
from tests.databases import SqliteDatabases
from tests.fakes.clock import ManualClock
from tests.fakes.github import FakeGitHub, Pull
from tests.fakes.github_subject import app_of
from tests.fakes.world import World

ONE, BRANCH = Repository("acme", "one", "main", None), "whimbrel/notes"
READS = {"metadata": "read", "contents": "read", "pull_requests": "write", "issues": "write", "checks": "write"}
MAKES = {"metadata": "read", "contents": "write", "administration": "write", "workflows": "write"}
FORK = {"fork": True}


@pytest.fixture
def acme(hub: FakeGitHub) -> FakeGitHub:
    """acme/one, which everybody may read: robot is nobody there, mia an admin. The org acme-forks is robot's too."""
    hub.create_org("acme")
    hub.create_org("acme-forks")
    hub.create_repository("acme", "one", files={"README.md": "hi\n"}, visibility="public")
    hub.add_user("mia", permissions={"acme/one": "admin"})
    hub.add_user("robot", orgs={"acme-forks": "admin"})
    return hub


@pytest.fixture
def as_person(acme: FakeGitHub, clock: ManualClock) -> GitHubHost:
    return github_host(acme.url, Token(acme.personal_token("robot")), "acme", now=clock.now)


@pytest.fixture
def as_app(acme: FakeGitHub, clock: ManualClock) -> GitHubHost:
    """Installed on acme, where it may not write contents, and on acme-forks, where it may make repositories."""
    acme.app.permissions = {**MAKES, **READS, "contents": "write"}
    acme.install("acme", permissions=READS)
    acme.install("acme-forks", permissions=MAKES)
    return github_host(acme.url, app_of(acme), "acme", now=clock.now)


@pytest.fixture
def world(tmp_path: Path, sqlite_databases: SqliteDatabases, clock: ManualClock) -> Iterator[World]:
    database = Database(sqlite_databases.upgraded())
    yield World(tmp_path / "world", database, clock)
    database.dispose()


def publish(world: World, note: str = "Be kind.", **policy: Any) -> str:
    """Work on a campaign until nothing more can be done; how its run ended."""
    campaign = world.start(note, **({"pull_request": FORK} | policy))
    for _ in range(4):
        world.work()
        world.clock.advance(3600)
    return world.ended(world.run(campaign))


def pulls(hub: FakeGitHub) -> list[Pull]:
    return hub.repository("acme/one").pulls


def tip(hub: FakeGitHub, full_name: str) -> pygit2.Commit:
    return pygit2.Repository(hub.repository(full_name).path).branches[BRANCH].peel(pygit2.Commit)


def forks_made(hub: FakeGitHub) -> int:
    return sum(each.parent is hub.repository("acme/one") for each in hub.state.repositories.values())


class TestAttempts:
    @pytest.mark.parametrize(
        ("who", "owner"),
        [("as_person", "robot"), pytest.param("as_person", "acme-forks", marks=pytest.mark.slow), ("as_app", "acme-forks")],
    )
    def test_one_pull_request_comes_from_the_fork_and_follows_its_policy(
        self, world: World, acme: FakeGitHub, who: str, owner: str, request: pytest.FixtureRequest
    ) -> None:
        world.host = request.getfixturevalue(who)
        world.org = world.org.model_copy(update={"forks": None if owner == "robot" else owner})
        acme.state.fork_seconds = 20
        assert publish(world).startswith("published")
        (pull,) = pulls(acme)
        first = tip(acme, f"{owner}/one")
        assert (pull.head_repository.full_name, pull.head_ref, pull.head_sha) == (f"{owner}/one", BRANCH, str(first.id))
        assert publish(world, "Be kinder.").startswith("published")
        second = tip(acme, f"{owner}/one")
        assert (pulls(acme), pull.state, pull.head_sha) == ([pull], "open", str(second.id))
        assert second.id != first.id
        assert set(pygit2.Repository(acme.repository("acme/one").path).branches.local) == {"main"}
        published = world.publication("one")
        assert published is not None
        assert (published.branch, published.number, published.state) == (f"{owner}:{BRANCH}", 1, "open")
        assert forks_made(acme) == 1
        world.require_tidy()

    def test_no_fork_is_made_where_there_is_nothing_to_propose(
        self, world: World, acme: FakeGitHub, as_person: GitHubHost
    ) -> None:
        acme.as_user("mia").push("acme/one", "main", {"NOTE.md": "# one\n\nBe kind.\n"})
        world.host = as_person
        assert publish(world).startswith("no_change")
        assert forks_made(acme) == 0

    def test_where_the_bot_may_push_it_needs_none(self, world: World, acme: FakeGitHub, clock: ManualClock) -> None:
        world.host = github_host(acme.url, Token(acme.personal_token("mia")), "acme", now=clock.now)
        assert publish(world).startswith("published")
        assert [pull.head_repository.full_name for pull in pulls(acme)] == ["acme/one"]
        assert forks_made(acme) == 0

    @pytest.mark.slow
    def test_a_policy_that_does_not_allow_it_pushes_nowhere(
        self, world: World, acme: FakeGitHub, as_person: GitHubHost
    ) -> None:
        world.host = as_person
        assert "cannot push whimbrel/notes" in publish(world, pull_request={})
        assert forks_made(acme) == 0

    def test_a_persons_commit_in_the_fork_is_never_lost(self, world: World, acme: FakeGitHub, as_person: GitHubHost) -> None:
        world.host = as_person
        publish(world)
        theirs = acme.as_user("mia").push("robot/one", BRANCH, {"more.txt": "mine\n"})
        assert publish(world, "Be kinder.").startswith("published")
        git = pygit2.Repository(acme.repository("robot/one").path)
        assert git.descendant_of(tip(acme, "robot/one").id, theirs)
        (pull,) = pulls(acme)
        assert pull.head_sha == str(tip(acme, "robot/one").id)

    def test_closed_by_a_person_stays_closed(self, world: World, acme: FakeGitHub, as_person: GitHubHost) -> None:
        world.host = as_person
        publish(world)
        acme.as_user("mia").close("acme/one", 1)
        (entry,) = world.plan(pull_request=FORK)[0].entries
        assert "stays closed" in str(entry.skip_reason)
        campaign = world.activate(*world.plan(pull_request=FORK, earlier="nothing")).campaign_id
        world.work()
        assert "#1 was closed without being merged" in world.ended(world.run(campaign))
        assert len(pulls(acme)) == 1

    def test_a_merged_one_is_seen(self, world: World, acme: FakeGitHub, as_person: GitHubHost) -> None:
        world.host = as_person
        publish(world)
        acme.as_user("mia").merge("acme/one", 1)
        assert refresh_publications(world.services, as_person, "acme") == 1
        published = world.publication("one")
        assert published is not None
        assert published.state == "merged"

    def test_a_right_that_is_taken_away_opens_no_second_one(self, world: World, acme: FakeGitHub, clock: ManualClock) -> None:
        world.host = github_host(acme.url, Token(acme.personal_token("mia")), "acme", now=clock.now)
        publish(world)
        acme.repository("acme/one").roles["mia"] = "read"
        assert "open from whimbrel/notes, where the bot may not push any more" in publish(world, "Be kinder.")
        assert [pull.head_repository.full_name for pull in pulls(acme)] == ["acme/one"]

    def test_a_right_that_is_given_opens_no_second_one(self, world: World, acme: FakeGitHub, as_person: GitHubHost) -> None:
        world.host = as_person
        publish(world)
        acme.repository("acme/one").roles["robot"] = "write"
        assert publish(world, "Be kinder.").startswith("published")
        assert "no fork of robot is to be pushed to" in publish(world, "Be kindest.", pull_request={})
        assert [pull.head_repository.full_name for pull in pulls(acme)] == ["robot/one"]

    @pytest.mark.slow
    def test_the_branch_of_an_open_one_is_kept_when_the_policy_names_another(
        self, world: World, acme: FakeGitHub, as_person: GitHubHost
    ) -> None:
        world.host = as_person
        publish(world)
        assert publish(world, "Be kinder.", pull_request={**FORK, "branch": "whimbrel/other"}).startswith("published")
        assert [pull.head_ref for pull in pulls(acme)] == [BRANCH]

    def test_a_verified_commit_is_pushed_and_told(self, world: World, acme: FakeGitHub, as_app: GitHubHost) -> None:
        world.host = as_app
        world.org = world.org.model_copy(update={"forks": "acme-forks"})
        assert publish(world, commits="verified").startswith("published")
        assert not tip(acme, "acme-forks/one").gpg_signature[0]

    @pytest.mark.slow
    def test_workflows_that_the_repository_has_changed_reach_an_older_fork(
        self, world: World, acme: FakeGitHub, as_app: GitHubHost
    ) -> None:
        """GitHub counts them as pushed by whoever pushes the branch."""
        world.host = as_app
        world.org = world.org.model_copy(update={"forks": "acme-forks"})
        as_app.make_fork(ONE, "acme-forks")
        acme.as_user("mia").push("acme/one", "main", {".github/workflows/ci.yml": "on: push\n"})
        assert publish(world).startswith("published")

    def test_an_app_is_told_to_say_where(self, world: World, as_app: GitHubHost) -> None:
        world.host = as_app
        assert "`forks: OWNER` in policies/orgs/acme.yaml" in publish(world)


class TestForks:
    def test_one_that_is_being_made_is_waited_for(self, acme: FakeGitHub, as_person: GitHubHost, clock: ManualClock) -> None:
        acme.state.fork_seconds = 20
        for ask in (as_person.make_fork, as_person.find_fork, as_person.make_fork):
            with pytest.raises(HostUnavailable, match="still making the fork robot/one") as caught:
                ask(ONE, "robot")
            assert caught.value.retry_after == 15
        clock.advance(20)
        made = as_person.make_fork(ONE, "robot")
        assert (made.full_name, made.default_branch) == ("robot/one", "main")
        assert as_person.find_fork(ONE, "robot") == made
        assert forks_made(acme) == 1

    def test_a_lost_answer_makes_no_second_one(self, acme: FakeGitHub, as_person: GitHubHost) -> None:
        acme.fail(method="POST", path_pattern=r"/forks$", status=502, after_write=True)
        with pytest.raises(HostUnavailable):
            as_person.make_fork(ONE, "robot")
        assert as_person.make_fork(ONE, "robot").full_name == "robot/one"
        assert forks_made(acme) == 1

    def test_what_is_no_fork_of_it_is_refused(self, acme: FakeGitHub, as_person: GitHubHost) -> None:
        acme.create_repository("robot", "one")
        with pytest.raises(HostError, match="robot/one is there, and is no fork of acme/one"):
            as_person.make_fork(ONE, "robot")

    def test_one_that_is_archived_takes_nothing(self, acme: FakeGitHub, as_person: GitHubHost) -> None:
        as_person.make_fork(ONE, "robot")
        acme.as_user("robot").archive("robot/one")
        with pytest.raises(HostError, match="archived"):
            as_person.find_fork(ONE, "robot")

    def test_what_an_app_lacks_is_named(self, acme: FakeGitHub, as_app: GitHubHost, clock: ManualClock) -> None:
        with pytest.raises(HostError, match="the App is not installed on robot"):
            as_app.make_fork(ONE, "robot")
        (installation,) = [each for each in acme.state.installations.values() if each.account.login == "acme-forks"]
        acme.accept_permissions(installation, MAKES | {"administration": "read"})
        with pytest.raises(HostError, match="cannot be forked to acme-forks") as caught:
            as_app.make_fork(ONE, "acme-forks")
        assert "`Administration: write`" in caught.value.mend

    def test_an_app_that_sees_one_of_both_alone_says_so(self, acme: FakeGitHub, as_app: GitHubHost) -> None:
        as_app.make_fork(ONE, "acme-forks")
        acme.repository("acme/one").visibility = "private"
        with pytest.raises(HostError, match="what acme-forks/one is a fork of"):
            as_app.find_fork(ONE, "acme-forks")

    def test_who_may_push(self, acme: FakeGitHub, as_person: GitHubHost, as_app: GitHubHost, clock: ManualClock) -> None:
        mia = github_host(acme.url, Token(acme.personal_token("mia")), "acme", now=clock.now)
        assert [host.may_push(ONE) for host in (as_person, as_app, mia)] == [False, False, True]
        assert [host.fork_owner() for host in (as_person, as_app, mia)] == ["robot", "", "mia"]
