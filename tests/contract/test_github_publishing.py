"""Attempts that publish on GitHub: the whole pipeline, with pushed commits and with those that GitHub makes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pygit2
import pytest

from bot.domain.changesets import Changeset, FileChange, FileMode
from bot.domain.repositories import Repository
from bot.errors import HostError, StaleHead
from bot.hosts.github import GitHubHost, github_host
from bot.store import own_commits, records
from bot.store.database import Database
from bot.tracking.waiting import why_waiting
from tests.databases import SqliteDatabases
from tests.fakes.clock import ManualClock
from tests.fakes.github import FakeGitHub, Pull
from tests.fakes.github_subject import app_of
from tests.fakes.world import World

ONE, BRANCH = Repository("acme", "one", "main", None), "whimbrel/notes"
STAGING = f"whimbrel-staging/{BRANCH}"


@pytest.fixture
def host(hub: FakeGitHub, clock: ManualClock) -> GitHubHost:
    hub.create_org("acme")
    hub.create_repository("acme", "one", files={"README.md": "hi\n", "old.txt": "old\n"})
    hub.add_user("mia", permissions={"acme/one": "admin"})
    hub.install("acme")
    return github_host(hub.url, app_of(hub), "acme", now=clock.now)


@pytest.fixture
def world(tmp_path: Path, sqlite_databases: SqliteDatabases, clock: ManualClock, host: GitHubHost) -> Iterator[World]:
    database = Database(sqlite_databases.upgraded())
    world = World(tmp_path / "world", database, clock)
    world.host = host
    yield world
    database.dispose()


def branches(hub: FakeGitHub) -> dict[str, str]:
    git = pygit2.Repository(hub.repository("acme/one").path)
    return {name: str(git.branches[name].target) for name in git.branches.local}


def commit_of(hub: FakeGitHub, branch: str = BRANCH) -> pygit2.Commit:
    git = pygit2.Repository(hub.repository("acme/one").path)
    return git.branches[branch].peel(pygit2.Commit)


def is_verified(hub: FakeGitHub) -> bool:
    return bool(commit_of(hub).gpg_signature[0])


def pulls(hub: FakeGitHub) -> list[Pull]:
    return hub.repository("acme/one").pulls


def told(world: World, campaign: str) -> str:
    with world.database.reading() as tx:
        return "\n".join(entry.message for entry in records.entries_of_run(tx, world.run(campaign).id))


class TestPublishing:
    @pytest.mark.parametrize("commits", ["pushed", "verified"])
    def test_a_change_becomes_one_pull_request_and_follows_its_policy(
        self, world: World, hub: FakeGitHub, commits: str
    ) -> None:
        world.start(commits=commits)
        world.work()
        (pull,) = pulls(hub)
        first = commit_of(hub)
        assert (pull.title, pull.head_ref, pull.state) == ("Every repository has a note", BRANCH, "open")
        assert [label.name for label in pull.labels] == ["whimbrel"]
        assert is_verified(hub) == (commits == "verified")
        world.start("Be kinder.", commits=commits)
        world.work()
        second = commit_of(hub)
        assert second.id != first.id
        assert [str(parent.id) for parent in second.parents] == [branches(hub)["main"]]
        assert (pull.head_sha, pulls(hub)) == (str(second.id), [pull])
        assert is_verified(hub) == (commits == "verified")
        assert set(branches(hub)) == {"main", BRANCH}
        with world.database.reading() as tx:
            assert own_commits.strangers(tx, [str(second.id)]) == []
        world.require_tidy()

    def test_what_a_person_added_to_a_verified_branch_stays(self, world: World, hub: FakeGitHub) -> None:
        world.start(commits="verified")
        world.work()
        theirs = hub.as_user("mia").push("acme/one", BRANCH, {"more.txt": "mine\n"})
        world.start("Be kinder.", commits="verified")
        world.work()
        (pull,) = pulls(hub)
        joined = commit_of(hub)
        assert str(joined.parents[0].id) == theirs
        assert pull.head_sha == str(joined.id)
        assert "more.txt" in joined.tree
        assert not is_verified(hub)

    def test_what_github_cannot_commit_is_pushed_and_told(self, world: World, hub: FakeGitHub) -> None:
        hub.as_user("mia").push("acme/one", "main", {"NOTE.md": "old\n"})
        git = pygit2.Repository(hub.repository("acme/one").path)
        _make_executable(git, "NOTE.md")
        campaign = world.start(commits="verified")
        world.work()
        assert not is_verified(hub)
        assert "not shown as verified: NOTE.md is executable" in told(world, campaign)

    def test_a_host_that_makes_no_commits_gets_a_push(self, world: World) -> None:
        world.host = world.local
        world.repository("one")
        campaign = world.start(commits="verified")
        world.work()
        assert len(world.open_pull_requests("one")) == 1
        assert "this host makes none itself" in told(world, campaign)

    def test_a_lost_answer_of_the_commit_is_made_good(self, world: World, hub: FakeGitHub) -> None:
        lost = hub.fail(method="POST", path_pattern=r"/git/refs$", status=502, after_write=True)
        world.start(commits="verified")
        world.work()
        assert lost.hits == 1
        world.clock.advance(3600)
        world.work()
        assert is_verified(hub)
        assert len(pulls(hub)) == 1
        assert set(branches(hub)) == {"main", BRANCH}

    def test_a_limit_that_is_met_is_waited_for(self, world: World, hub: FakeGitHub) -> None:
        said = {"message": "You have exceeded a secondary rate limit."}
        hub.fail(method="POST", path_pattern=r"/pulls$", status=403, headers={"retry-after": "60"}, body=said)
        campaign = world.start()
        world.work()
        assert not pulls(hub)
        with world.database.reading() as tx:
            why = why_waiting(tx, world.campaign(campaign), world.clock.now())
        until = world.clock.now() + timedelta(seconds=60)
        assert why.startswith(f"1 run waits until {until:%Y-%m-%d %H:%M:%S} UTC: GitHub's limits are reached")
        world.clock.advance(3600)
        world.work()
        assert len(pulls(hub)) == 1

    def test_an_attempt_that_outlives_its_token_publishes_with_a_new_one(self, world: World, hub: FakeGitHub) -> None:
        """An installation's token lives for an hour; a step may take longer."""
        world.acts["slow"] = lambda *_: world.clock.advance(2 * 3600)
        world.start(steps=[{"run": "slow"}])
        world.work()
        assert [pull.state for pull in pulls(hub)] == ["open"]
        used = {each.token for each in hub.log if each.path.startswith("/acme/one.git/")}
        lives = sorted(filter(None, (hub.state.tokens[token].expires_at for token in used)))
        assert lives[-1] - lives[0] >= timedelta(hours=2)


class TestVerifiedCommits:
    def changeset(self, hub: FakeGitHub, *files: FileChange) -> Changeset:
        changed = files or (
            FileChange("a/new.bin", FileMode.REGULAR, b"\0\xff"),
            FileChange("old.txt", FileMode.REGULAR, None),
        )
        return Changeset(branches(hub)["main"], changed)

    def test_it_is_there_until_the_block_ends(self, hub: FakeGitHub, host: GitHubHost) -> None:
        with host.commit(ONE, self.changeset(hub), branch=BRANCH, message="A title\n\nMore\nlines\n") as made:
            commit = commit_of(hub, made.branch)
            assert str(commit.id) == made.id
            assert commit.message.strip() == "A title\n\nMore\nlines"
            assert commit.gpg_signature[0]
            assert {entry.name for entry in commit.tree} == {"README.md", "a"}
            assert commit.tree["a/new.bin"].read_raw() == b"\0\xff"
        assert set(branches(hub)) == {"main"}

    def test_what_a_dead_attempt_left_is_replaced(self, hub: FakeGitHub, host: GitHubHost) -> None:
        hub.as_user("mia").push("acme/one", STAGING, {"left": "over\n"})
        with host.commit(ONE, self.changeset(hub), branch=BRANCH, message="A title") as made:
            assert [str(parent.id) for parent in commit_of(hub, made.branch).parents] == [branches(hub)["main"]]

    def test_a_branch_that_cannot_be_deleted_is_told(
        self, hub: FakeGitHub, host: GitHubHost, caplog: pytest.LogCaptureFixture
    ) -> None:
        hub.fail(method="DELETE", path_pattern="/git/refs/", status=500)
        with host.commit(ONE, self.changeset(hub), branch=BRANCH, message="A title"):
            pass
        assert f"the branch {STAGING} is left over" in caplog.text

    def test_somebody_elses_commit_in_between_is_a_lost_race(self, hub: FakeGitHub, host: GitHubHost) -> None:
        said = {"data": None, "errors": [{"type": "STALE_DATA", "message": "Expected branch to point to another"}]}
        hub.fail(method="POST", path_pattern="/graphql$", status=200, body=said)
        with pytest.raises(StaleHead), host.commit(ONE, self.changeset(hub), branch=BRANCH, message="A title"):
            pass
        assert set(branches(hub)) == {"main"}

    def test_a_workflow_is_committed_where_the_app_may(self, hub: FakeGitHub, host: GitHubHost) -> None:
        workflow = self.changeset(hub, FileChange(".github/workflows/ci.yml", FileMode.REGULAR, b"on: push\n"))
        with host.commit(ONE, workflow, branch=BRANCH, message="CI") as made:
            assert ".github" in commit_of(hub, made.branch).tree

    def test_where_the_rules_forbid_it_the_error_says_so(self, hub: FakeGitHub, host: GitHubHost) -> None:
        hub.protect("acme/one", "whimbrel-staging/*/*")
        with (
            pytest.raises(HostError, match="rule"),
            host.commit(ONE, self.changeset(hub), branch=BRANCH, message="A title"),
        ):
            pass

    def test_it_says_what_it_cannot_commit(self, hub: FakeGitHub, host: GitHubHost) -> None:
        def why_not(*files: FileChange) -> str:
            return host.why_not(self.changeset(hub, *files))

        assert why_not() == ""
        assert why_not(FileChange("run", FileMode.EXECUTABLE, None)) == ""
        assert why_not(FileChange("run", FileMode.EXECUTABLE, b"")) == "run is executable, which GitHub's API cannot commit"
        assert why_not(FileChange("link", FileMode.LINK, b"a")) == "link is a link, which GitHub's API cannot commit"
        assert "MB are more than the 20 MB" in why_not(FileChange("big", FileMode.REGULAR, b"x" * 16_000_000))


def _make_executable(git: pygit2.Repository, path: str) -> None:
    main = git.branches["main"].peel(pygit2.Commit)
    index = pygit2.Index()
    index.read_tree(main.tree)
    index.add(pygit2.IndexEntry(path, main.tree[path].id, pygit2.enums.FileMode.BLOB_EXECUTABLE))
    git.create_commit("refs/heads/main", main.author, main.author, "x", index.write_tree(git), [main.id])
