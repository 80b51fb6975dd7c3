"""A group's webhooks kept up, and what they could not deliver asked for again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.hosts.gitlab_credentials import GitLabAccess
from bot.hosts.gitlab_transport import Client
from bot.hosts.gitlab_upkeep import GitLabDeliveries, GitLabKeeper
from tests.fakes.clock import ManualClock
from tests.fakes.forge.receivers import Receiver, receiving
from tests.fakes.gitlab import FakeGitLab, signing_token

SECRET = signing_token()


@pytest.fixture
def hub(tmp_path: Path, clock: ManualClock) -> Iterator[FakeGitLab]:
    with FakeGitLab(tmp_path / "hub", clock=clock) as hub:
        hub.create_group("acme/platform")
        hub.create_project("acme", "tool")
        hub.add_user("mia", groups={"acme": "developer"})
        yield hub


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


class Site:
    def __init__(self, hub: FakeGitLab, clock: ManualClock, url: str):
        self.hub, self.clock, self.url = hub, clock, url
        token = hub.group_token("acme", "whimbrel", level="owner")
        self.keeper = self.keeping(GitLabAccess(token, (SECRET,), "acme", url), token)

    def keeping(self, access: GitLabAccess, token: str) -> GitLabKeeper:
        return GitLabKeeper(Client(self.hub.url, token, now=self.clock.now), access, "acme", self.clock.now)

    def keep(self) -> list[str]:
        return [f"{each.what} {each.where}: {each.why}" for each in self.keeper.hooks()]

    def fail(self, times: int) -> None:
        """So many deliveries in a row, each when the hook is up again."""
        for _ in range(times):
            self.clock.advance(timedelta(days=1, seconds=1).total_seconds())
            self.hub.as_user("mia").open_issue("acme/tool", "T")
            self.hub.drain()

    @property
    def deliveries(self) -> GitLabDeliveries:
        found = self.keeper.deliveries()
        assert found is not None
        return found


@pytest.fixture
def site(hub: FakeGitLab, clock: ManualClock, receiver: Receiver) -> Site:
    return Site(hub, clock, receiver.url)


class TestHooks:
    def test_one_that_is_gone_is_made_anew_and_then_left_alone(self, site: Site) -> None:
        assert site.keep() == ["created the group acme: there was none"]
        assert site.keep() == []

    def test_projects_that_come_get_theirs(self, site: Site, hub: FakeGitLab) -> None:
        hub.state.group_hooks = False
        assert site.keep() == ["created the project acme/tool: there was none"]
        hub.create_project("acme/platform", "lib")
        assert site.keep() == ["created the project acme/platform/lib: there was none"]
        assert {hook.signing_token for hook in hub.hooks} == {SECRET}

    def test_one_project_that_gitlab_refuses_keeps_no_other_from_its_own(self, site: Site, hub: FakeGitLab) -> None:
        hub.state.group_hooks = False
        hub.create_project("acme/platform", "lib")
        project = hub.project("acme/tool")
        hub.fail(method="POST", path_pattern=rf"projects/{project.id}/hooks$", status=422, times=1)
        refused, created = site.keep()
        assert refused.startswith("refused the project acme/tool: ")
        assert created == "created the project acme/platform/lib: there was none"
        assert site.keep() == ["created the project acme/tool: there was none"]

    def test_what_somebody_has_changed_is_changed_back(self, site: Site, hub: FakeGitLab) -> None:
        site.keep()
        (hook,) = hub.hooks
        hook.events.discard("issues_events")
        hook.enable_ssl_verification = False
        assert site.keep() == ["mended the group acme: it does not tell of issues"]
        assert "issues_events" in hook.events

    def test_those_of_others_are_theirs(self, site: Site, hub: FakeGitLab) -> None:
        other = hub.add_hook(group="acme", url="https://other.example.com", events=())
        site.keep()
        assert (other.url, other.signing_token, len(hub.hooks)) == ("https://other.example.com", "", 2)

    @pytest.mark.parametrize("failures", [4, 40], ids=["for a while", "for good"])
    def test_one_that_gitlab_has_disabled_is_enabled(
        self, site: Site, hub: FakeGitLab, receiver: Receiver, failures: int
    ) -> None:
        site.keep()
        receiver.status = 503
        site.fail(failures)
        (kept,) = site.keep()
        assert kept.startswith(
            "disabled the group acme: GitLab had disabled it, since its deliveries failed, and a test does too: "
        )
        receiver.status = 202
        assert site.keep() == [
            "enabled the group acme: GitLab had disabled it, since its deliveries failed; a test was answered"
        ]
        receiver.received.clear()
        hub.as_user("mia").open_issue("acme/tool", "T")
        hub.drain()
        assert [each.headers["X-Gitlab-Event"] for each in receiver.received] == ["Issue Hook"]
        assert site.keep() == []

    def test_without_a_url_or_a_secret_there_is_none_to_keep(self, site: Site, hub: FakeGitLab) -> None:
        token = hub.group_token("acme", "another", level="owner")
        for access in (GitLabAccess(token, (SECRET,), "acme"), GitLabAccess(token, (), "acme", site.url)):
            keeper = site.keeping(access, token)
            assert (list(keeper.hooks()), keeper.deliveries()) == ([], None)
        assert hub.hooks == []

    def test_a_developer_leaves_them_to_who_has_made_them(self, site: Site, hub: FakeGitLab) -> None:
        token = hub.group_token("acme", "another", level="developer")
        keeper = site.keeping(GitLabAccess(token, (SECRET,), "acme", site.url), token)
        deliveries = keeper.deliveries()
        assert deliveries is not None
        assert (list(keeper.hooks()), deliveries.attempts(site.clock.now())) == ([], [])


class TestToken:
    def test_until_when_it_is_good(self, site: Site, clock: ManualClock) -> None:
        token = site.keeper.token()
        assert token.name == "whimbrel"
        assert token.login.startswith("group_")
        assert token.expires_at is not None
        assert timedelta(days=89) < token.expires_at - clock.now() <= timedelta(days=90)
        assert not token.ends_soon(clock.now())
        assert token.ends_soon(clock.now() + timedelta(days=77))


class TestDeliveries:
    def test_what_failed_is_delivered_again_under_its_own_id(
        self, site: Site, hub: FakeGitLab, receiver: Receiver, clock: ManualClock
    ) -> None:
        site.keep()
        before = clock.now()
        hub.as_user("mia").open_issue("acme/tool", "heard")
        hub.drain()
        receiver.status = 500
        hub.as_user("mia").open_issue("acme/tool", "unheard")
        hub.drain()
        deliveries = site.deliveries
        failed, arrived = deliveries.attempts(before)
        assert (failed.succeeded, arrived.succeeded) == (False, True)
        receiver.status = 202
        deliveries.redeliver(failed)
        hub.drain()
        assert receiver.received[-1].headers["webhook-id"] == failed.delivery
        assert [each.succeeded for each in site.deliveries.attempts(before)] == [True, False, True]
        clock.advance(60)
        assert site.deliveries.attempts(clock.now()) == []

    def test_it_looks_at_the_hooks_of_projects_too(self, site: Site, hub: FakeGitLab, receiver: Receiver) -> None:
        hub.state.group_hooks = False
        hub.create_project("acme/platform", "lib")
        site.keep()
        receiver.status = 500
        before = site.clock.now()
        for name in ("acme/tool", "acme/platform/lib"):
            hub.as_user("mia").open_issue(name, "T")
        hub.drain()
        assert [each.succeeded for each in site.deliveries.attempts(before)] == [False, False]
