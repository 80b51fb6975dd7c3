"""How GitHub's pull requests are followed: many in one request, and what a token may not see is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.domain.pull_requests import ChecksState, PullRequestRef, PullRequestState
from bot.errors import HostError
from bot.hosts.github import GitHubHost, github_host
from bot.hosts.github_following import AT_ONCE
from bot.store import publications
from bot.store.database import Database
from bot.store.publications import Change
from bot.tracking.pull_requests import refresh_publications
from tests.fakes.clock import ManualClock
from tests.fakes.github import FakeGitHub
from tests.fakes.github_subject import app_of
from tests.fakes.queue import intend
from tests.fakes.world import World

SEVERAL = 3


@pytest.fixture
def acme(hub: FakeGitHub) -> FakeGitHub:
    """Three pull requests in acme/one, by mia, who may write; the App is installed."""
    hub.create_org("acme")
    hub.create_repository("acme", "one", files={"README.md": "hi\n"})
    hub.add_user("mia", orgs={"acme": "member"}, permissions={"acme/one": "write"})
    mia = hub.as_user("mia")
    for number in range(SEVERAL):
        mia.push("acme/one", f"b{number}", {f"{number}.md": "x\n"})
        mia.open_pull("acme/one", f"Number {number}", head=f"b{number}")
    hub.install("acme")
    return hub


@pytest.fixture
def host(acme: FakeGitHub, clock: ManualClock) -> GitHubHost:
    return github_host(acme.url, app_of(acme), "acme", now=clock.now)


def refs(acme: FakeGitHub) -> list[PullRequestRef]:
    return [PullRequestRef("one", pull.number) for pull in acme.repository("acme/one").pulls]


def queries(acme: FakeGitHub) -> int:
    return sum(each.path.endswith("/graphql") for each in acme.log)


def test_fifty_are_one_request(acme: FakeGitHub, host: GitHubHost) -> None:
    before = queries(acme)
    found = host.pull_requests_now("acme", refs(acme))
    assert ({each.author for each in found.values()}, len(found)) == ({"mia"}, SEVERAL)
    assert queries(acme) == before + 1
    host.pull_requests_now("acme", [PullRequestRef("one", number) for number in range(1, AT_ONCE + 2)])
    assert queries(acme) == before + 3


def test_what_takes_too_long_at_once_passes_in_parts(acme: FakeGitHub, host: GitHubHost) -> None:
    acme.fail(path_pattern="/graphql$", status=502, times=2)  # it is tried again once as it is
    assert len(host.pull_requests_now("acme", refs(acme))) == SEVERAL


def test_a_repository_that_is_called_otherwise_now_is_left_out(acme: FakeGitHub, host: GitHubHost) -> None:
    wanted = refs(acme)
    acme.as_user("mia").rename("acme/one", "two")
    assert host.pull_requests_now("acme", wanted) == {}


def test_a_token_that_may_not_see_ci_is_told_the_rest(acme: FakeGitHub, host: GitHubHost) -> None:
    [ref, *_] = refs(acme)
    head = acme.repository("acme/one").pulls[0].head_sha
    acme.as_user("mia").report_status("acme/one", head, "success")
    assert host.pull_requests_now("acme", [ref])[ref].checks is ChecksState.PASSED
    (installation,) = acme.state.installations.values()
    for permission in ("checks", "statuses"):
        installation.permissions.pop(permission)
    blind = github_host(acme.url, app_of(acme), "acme")
    found = blind.pull_requests_now("acme", [ref])[ref]
    assert (found.checks, found.state, found.conflicts) == (ChecksState.NONE, PullRequestState.OPEN, False)


def test_rules_of_the_base_are_told_in_githubs_words(acme: FakeGitHub, host: GitHubHost) -> None:
    acme.protect("acme/one", "main", reviews=1)
    pull = acme.repository("acme/one").pulls[0]
    one = next(iter(host.repositories("acme")))
    with pytest.raises(HostError, match="approving review is required"):
        host.merge_pull_request(one, pull.number, head=pull.head_sha)
    acme.add_user("ada", permissions={"acme/one": "write"})
    acme.as_user("ada").review("acme/one", pull.number, "APPROVE")
    host.merge_pull_request(one, pull.number, head=pull.head_sha)
    assert pull.merged_at is not None


def test_what_the_bot_itself_closed_is_no_persons_doing(
    acme: FakeGitHub, host: GitHubHost, tmp_path: Path, database: Database, clock: ManualClock
) -> None:
    """It closed it, and died before it could say so."""
    world = World(tmp_path / "world", database, clock)
    [pull, other, _] = acme.repository("acme/one").pulls
    with world.database.transaction() as tx:
        for each, policy in ((pull, "notes"), (other, "others")):
            made = intend(tx, world.clock, Change("acme", policy, "one", "main"))
            [opened] = host.pull_requests_now("acme", [PullRequestRef("one", each.number)]).values()
            publications.record_open(tx, made, opened, "r1", world.clock.now())
    host.close_pull_request(next(iter(host.repositories("acme"))), pull.number)
    acme.as_user("mia").close("acme/one", other.number)
    assert refresh_publications(world.services, host, "acme") == 2
    with world.database.reading() as tx:
        closers = {found.change.policy: found.closed_by for found in publications.of_repository(tx, "acme", "one")}
    assert closers == {"notes": "whimbrel", "others": "mia"}
