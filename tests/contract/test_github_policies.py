"""Policies from a repository on GitHub: the check on a commit, and the comment on a pull request that changes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.campaigns.proposals import MARKER, tell_proposals
from bot.campaigns.sources import CHECK
from bot.hosts.github import github_host
from bot.store.database import Database
from tests.databases import SqliteDatabases
from tests.fakes.clock import ManualClock
from tests.fakes.github import FakeGitHub
from tests.fakes.github.changes import repositories as changes
from tests.fakes.github_subject import app_of
from tests.fakes.policy_repository import Site, files, policy
from tests.fakes.repositories import Files
from tests.fakes.world import World

PLATFORM = "acme/platform"


class GitHubSite(Site):
    """The same on the fake GitHub, whose App is installed on all of acme; mia may write."""

    def __init__(self, world: World, hub: FakeGitHub, clock: ManualClock):
        super().__init__(world, "notes")
        self.hub = hub
        hub.create_org("acme")
        hub.create_repository("acme", "one", files={"README.md": "hi\n"}, visibility="private")
        hub.create_repository("acme", "platform", files={"README.md": "hi\n"}, visibility="private")
        hub.add_user("mia", permissions={PLATFORM: "write", "acme/one": "write"})
        hub.install("acme")
        host = github_host(hub.url, app_of(hub), "acme", now=clock.now)
        world.host = world.talker = host

    def push(self, content: Files, branch: str = "main") -> str:
        texts = {path: text.decode() if isinstance(text, bytes) else None for path, text in content.items()}
        self.hub.as_user("mia").push(PLATFORM, branch, texts)
        return self.hub.repository(PLATFORM).seen_refs[f"refs/heads/{branch}"]

    def conclusions(self, commit: str) -> list[str | None]:
        runs = self.hub.repository(PLATFORM).check_runs.values()
        return [run.conclusion for run in runs if (run.name, run.head_sha) == (CHECK, commit)]


@pytest.fixture
def site(tmp_path: Path, sqlite_databases: SqliteDatabases, hub: FakeGitHub, clock: ManualClock) -> Iterator[GitHubSite]:
    database = Database(sqlite_databases.upgraded())
    yield GitHubSite(World(tmp_path / "world", database, clock), hub, clock)
    database.dispose()


def test_a_push_is_taken_up_or_refused_with_a_check_on_the_commit(site: GitHubSite) -> None:
    good = site.push(files(notes=policy()))
    site.look()
    bad = site.push(files(notes=policy(more="flavour: sweet")))
    site.look()
    assert (site.conclusions(good), site.conclusions(bad)) == (["success"], ["failure"])
    assert site.catalogue().choose("notes", "acme").source == f"{PLATFORM}@{good}"


def test_a_pull_request_has_one_comment_with_the_plan(site: GitHubSite) -> None:
    site.push(files(notes=policy()))
    site.look()
    mia = site.hub.as_user("mia")
    head = site.push(files(notes=policy(more="select: {include: [one]}")), "kinder")
    pull = mia.open_pull(PLATFORM, "Be kinder", head="kinder")
    for _ in range(2):
        site.look()
        tell_proposals(site.services)
    (comment,) = pull.comments
    assert MARKER in comment.body
    assert "| `notes` | changed | 1 | 1 |" in comment.body
    assert site.conclusions(head) == ["success"]


def test_a_pull_request_from_a_fork_is_left_alone(site: GitHubSite) -> None:
    """Who opens one need not be allowed to read what the plan tells."""
    site.push(files(notes=policy()))
    zoe = site.hub.add_user("zoe", permissions={PLATFORM: "read"})
    fork = changes.fork(site.hub.state, site.hub.repository(PLATFORM), zoe.account, by=zoe.account)
    zoe.push(fork.full_name, "kinder", {"whimbrel/campaigns/notes.yaml": policy(more="select: {include: [one]}").decode()})
    pull = zoe.open_pull(PLATFORM, "Be kinder", head="kinder", head_repository=fork)
    site.look()
    assert tell_proposals(site.services) == 0
    assert pull.comments == []
    assert site.conclusions(pull.head_sha) == []
