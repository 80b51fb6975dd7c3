"""Attempts that publish on GitLab: the whole pipeline, in subgroups, from forks, and when it is out of reach."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pygit2
import pytest

from bot.domain.org_policies import OrgPolicy
from bot.domain.repositories import Repository
from bot.errors import HostError, HostUnavailable
from bot.hosts.gitlab import GitLabHost, gitlab_host
from bot.hosts.gitlab_credentials import GitLabAccess
from bot.store.database import Database
from bot.tracking.pull_requests import refresh_publications
from tests.databases import SqliteDatabases
from tests.fakes.clock import ManualClock
from tests.fakes.gitlab import FakeGitLab
from tests.fakes.gitlab.records import MergeRequest
from tests.fakes.world import World

BRANCH, FORK = "whimbrel/notes", {"fork": True}
ONE, LIB = Repository("acme", "one", "main", None), "platform/deep/lib"


@pytest.fixture
def lab(tmp_path: Path, clock: ManualClock) -> Iterator[FakeGitLab]:
    """acme/platform/deep/lib, and mia, who may do all there. robot may read it; the group acme-forks is robot's."""
    with FakeGitLab(tmp_path / "lab", clock=clock) as hub:
        hub.create_group("acme/platform/deep")
        hub.create_group("acme-forks")
        hub.create_project("acme/platform/deep", "lib", files={"README.md": "hi\n"})
        hub.add_user("mia", groups={"acme": "maintainer"})
        hub.add_user("robot", groups={"acme": "reporter", "acme-forks": "maintainer"})
        yield hub


@pytest.fixture
def world(tmp_path: Path, sqlite_databases: SqliteDatabases, clock: ManualClock, lab: FakeGitLab) -> Iterator[World]:
    database = Database(sqlite_databases.upgraded())
    world = World(tmp_path / "world", database, clock)
    world.host = connected(lab, clock, lab.group_token("acme", "whimbrel"))
    yield world
    database.dispose()


@pytest.fixture
def robot(lab: FakeGitLab, clock: ManualClock) -> GitLabHost:
    return connected(lab, clock, lab.personal_token("robot"))


def connected(lab: FakeGitLab, clock: ManualClock, token: str) -> GitLabHost:
    return gitlab_host(lab.url, GitLabAccess(token), now=clock.now, sleep=clock.sleep)


def publish(world: World, note: str = "Be kind.", **policy: Any) -> str:
    """Work on a campaign until nothing more can be done; how its run ended."""
    campaign = world.start(note, **policy)
    for _ in range(4):
        world.work()
        world.clock.advance(3600)
    return world.ended(world.run(campaign))


def pulls(lab: FakeGitLab) -> list[MergeRequest]:
    return list(lab.project(f"acme/{LIB}").merge_requests.values())


def tip(lab: FakeGitLab, project: str) -> pygit2.Commit:
    return pygit2.Repository(lab.project(project).path).branches[BRANCH].peel(pygit2.Commit)


class TestPublishing:
    def test_a_change_becomes_one_merge_request_and_follows_its_policy(self, world: World, lab: FakeGitLab) -> None:
        assert publish(world).startswith("published")
        (pull,) = pulls(lab)
        first = tip(lab, f"acme/{LIB}")
        assert (pull.title, pull.source_branch, pull.state) == ("Every repository has a note", BRANCH, "opened")
        assert [label.name for label in pull.labels] == ["whimbrel"]
        assert publish(world, "Be kinder.").startswith("published")
        second = tip(lab, f"acme/{LIB}")
        assert (pulls(lab), pull.head_sha, second.id != first.id) == ([pull], str(second.id), True)
        world.require_tidy()

    def test_a_group_in_a_group_is_an_org_of_its_own(self, world: World, lab: FakeGitLab) -> None:
        quota = {"usd_per_month": 100}
        world.org = OrgPolicy.model_validate({"org": "acme/platform", "host": f"gitlab:{lab.url}", "quota": quota})
        assert publish(world).startswith("published")
        published = world.publication("deep/lib")
        assert published is not None
        assert (published.number, published.state) == (1, "open")
        assert (world.services.mirrors / "acme" / "platform" / "deep" / "lib.git").is_dir()
        world.require_tidy()

    def test_what_a_person_added_stays(self, world: World, lab: FakeGitLab) -> None:
        publish(world)
        theirs = lab.as_user("mia").push(f"acme/{LIB}", BRANCH, {"more.txt": "mine\n"})
        publish(world, "Be kinder.")
        (pull,) = pulls(lab)
        git = pygit2.Repository(lab.project(f"acme/{LIB}").path)
        assert pull.head_sha == theirs or git.descendant_of(pull.head_sha, theirs)

    def test_closed_by_a_person_stays_closed(self, world: World, lab: FakeGitLab) -> None:
        publish(world)
        lab.as_user("mia").close(f"acme/{LIB}", 1, pull=True)
        campaign = world.activate(*world.plan(earlier="nothing")).campaign_id
        world.work()
        assert "#1 was closed without being merged" in world.ended(world.run(campaign))
        assert len(pulls(lab)) == 1

    def test_a_project_that_is_moved_within_the_group_is_followed(self, world: World, lab: FakeGitLab) -> None:
        publish(world)
        lab.as_user("mia").move_project(f"acme/{LIB}", "acme/platform")
        assert publish(world, "Be kinder.").startswith("published")
        (pull,) = lab.project("acme/platform/lib").merge_requests.values()
        published = world.publication("platform/lib")
        assert published is not None
        assert (published.number, published.head, published.state) == (1, pull.head_sha, "open")
        assert world.publication(LIB) is None
        world.require_tidy()

    @pytest.mark.slow
    def test_a_verified_commit_is_a_plain_push(self, world: World, lab: FakeGitLab) -> None:
        """GitLab makes no commits that it would show as verified."""
        assert publish(world, commits="verified").startswith("published")
        assert tip(lab, f"acme/{LIB}").gpg_signature[0] is None

    def test_a_limit_that_is_met_is_waited_for(self, world: World, lab: FakeGitLab) -> None:
        lab.fail(method="POST", path_pattern="/merge_requests$", status=429, headers={"Retry-After": "60"})
        world.start()
        world.work()
        assert not pulls(lab)
        world.clock.advance(3600)
        world.work()
        assert len(pulls(lab)) == 1

    @pytest.mark.parametrize(
        "place",
        [pytest.param(each, marks=pytest.mark.slow) for each in ("/merge_requests$", "/graphql$", "git-upload-pack$")]
        + ["git-receive-pack$"],
    )
    def test_what_breaks_once_is_made_good(self, world: World, lab: FakeGitLab, place: str) -> None:
        campaign = world.start()
        lab.fail(method="POST", path_pattern=place, status=502, times=2, after_write=True)
        for _ in range(4):
            world.work()
            world.clock.advance(3600)
        assert world.ended(world.run(campaign)).startswith("published")
        assert len(pulls(lab)) == 1
        world.require_tidy()


class TestForks:
    @pytest.fixture
    def world(self, world: World, robot: GitLabHost) -> World:
        world.host = robot
        world.org = world.org.model_copy(update={"forks": "acme-forks"})
        return world

    def test_one_merge_request_comes_from_the_fork_and_follows_its_policy(self, world: World, lab: FakeGitLab) -> None:
        lab.state.fork_looks = 3
        assert publish(world, pull_request=FORK).startswith("published")
        (pull,) = pulls(lab)
        fork = "acme-forks/platform-deep-lib"
        assert (pull.source_project.full_path, pull.source_branch) == (fork, BRANCH)
        assert publish(world, "Be kinder.", pull_request=FORK).startswith("published")
        assert (pulls(lab), pull.head_sha) == ([pull], str(tip(lab, fork).id))
        published = world.publication(LIB)
        assert published is not None
        assert (published.branch, published.number, published.state) == (f"acme-forks:{BRANCH}", 1, "open")
        assert len(lab.state.forks_of(lab.project(f"acme/{LIB}"))) == 1
        world.require_tidy()

    @pytest.mark.slow
    def test_a_merged_one_is_seen(self, world: World, lab: FakeGitLab, robot: GitLabHost) -> None:
        publish(world, pull_request=FORK)
        lab.as_user("mia").merge(f"acme/{LIB}", 1)
        assert refresh_publications(world.services, robot, "acme") == 1
        published = world.publication(LIB)
        assert published is not None
        assert published.state == "merged"

    @pytest.mark.slow
    def test_where_the_bot_may_push_it_needs_none(self, world: World, lab: FakeGitLab, clock: ManualClock) -> None:
        world.host = connected(lab, clock, lab.personal_token("mia"))
        assert publish(world, pull_request=FORK).startswith("published")
        assert [pull.source_project.full_path for pull in pulls(lab)] == [f"acme/{LIB}"]

    def test_a_policy_that_does_not_allow_it_pushes_nowhere(self, world: World, lab: FakeGitLab) -> None:
        assert "cannot push whimbrel/notes" in publish(world)
        assert not lab.state.forks_of(lab.project(f"acme/{LIB}"))

    def test_one_that_is_being_made_is_waited_for(self, lab: FakeGitLab, robot: GitLabHost) -> None:
        lab.state.fork_looks = 2
        there = robot.repository("acme", LIB)
        for ask in (robot.make_fork, robot.find_fork):
            with pytest.raises(HostUnavailable, match="still making the fork acme-forks/platform-deep-lib") as caught:
                ask(there, "acme-forks")
            assert caught.value.retry_after == 15
        while True:
            try:
                made = robot.make_fork(there, "acme-forks")
                break
            except HostUnavailable:
                continue
        assert (made.full_name, made.default_branch) == ("acme-forks/platform-deep-lib", "main")
        assert robot.find_fork(there, "acme-forks") == made

    def test_what_is_no_fork_of_it_is_refused(self, lab: FakeGitLab, robot: GitLabHost) -> None:
        lab.create_project("acme-forks", "platform-deep-lib")
        with pytest.raises(HostError, match="acme-forks/platform-deep-lib is there, and is no fork of acme/platform/deep/lib"):
            robot.make_fork(robot.repository("acme", LIB), "acme-forks")

    def test_a_place_where_the_bot_may_make_none_is_told(self, lab: FakeGitLab, robot: GitLabHost) -> None:
        lab.create_group("others")
        with pytest.raises(HostError, match="cannot be forked to others") as caught:
            robot.make_fork(robot.repository("acme", LIB), "others")
        assert "right place for `forks`" in caught.value.mend

    def test_who_may_push_and_where_forks_go_by_themselves(
        self, lab: FakeGitLab, robot: GitLabHost, clock: ManualClock
    ) -> None:
        there = robot.repository("acme", LIB)
        mia = connected(lab, clock, lab.personal_token("mia"))
        group = connected(lab, clock, lab.group_token("acme", "whimbrel"))
        assert [host.may_push(there) for host in (robot, mia, group)] == [False, True, True]
        assert [host.fork_owner() for host in (robot, mia, group)] == ["robot", "mia", ""]
