"""What hosts are built with."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.config import Settings, assemble, hosting
from bot.domain.org_policies import OrgPolicy
from bot.errors import ConfigurationError, HostLimited
from bot.hosting import github_deliveries
from bot.hosts import github_credentials, gitlab_credentials
from bot.hosts.github_credentials import GitHubApp
from bot.hosts.gitlab_credentials import GitLabAccess
from bot.queue.server import redis_server
from tests.fakes.clock import ManualClock
from tests.fakes.github import FakeGitHub
from tests.fakes.github_subject import app_of
from tests.fakes.gitlab import FakeGitLab


def test_processes_of_one_home_keep_the_limits_of_a_host_together(tmp_path: Path, clock: ManualClock) -> None:
    """With the embedded Redis, which no variable of the environment names."""
    settings = Settings.from_environment({"WHIMBREL_HOME": str(tmp_path / "home")})
    with FakeGitHub(tmp_path / "hub", clock=clock) as hub, assemble(settings) as services:
        hub.create_org("acme")
        hub.install("acme")
        github_credentials.save(settings.home, hub.url, app_of(hub))
        org = OrgPolicy.model_validate({"org": "acme", "host": f"github:{hub.url}", "quota": {"usd_per_month": 1}})
        with redis_server(settings.home, settings.redis_url):
            one, other = (hosting(settings, services.database, clock).host(org) for _ in range(2))
            assert list(other.repositories("acme")) == []
            hub.fail(status=429, headers={"retry-after": "600"})
            with pytest.raises(HostLimited):
                list(one.repositories("acme"))
            asked = len(hub.log)
            with pytest.raises(HostLimited, match="it asked for a pause"):
                list(other.repositories("acme"))
            assert len(hub.log) == asked


def test_groups_that_share_a_token_of_gitlab_keep_its_limits_together(tmp_path: Path, clock: ManualClock) -> None:
    settings = Settings.from_environment({"WHIMBREL_HOME": str(tmp_path / "home")})
    with FakeGitLab(tmp_path / "hub", clock=clock) as hub, assemble(settings) as services:
        hub.create_group("acme/platform")
        gitlab_credentials.save(settings.home, hub.url, GitLabAccess(hub.group_token("acme", "whimbrel"), group="acme"))
        with redis_server(settings.home, settings.redis_url):
            built = hosting(settings, services.database, clock)
            one, other = (built.host(gitlab_org(name, hub.url)) for name in ("acme", "acme/platform"))
            assert list(other.repositories("acme/platform")) == []
            hub.fail(status=429, headers={"Retry-After": "600"})
            with pytest.raises(HostLimited):
                list(one.repositories("acme"))
            asked = len(hub.log)
            with pytest.raises(HostLimited, match="it asked for a pause"):
                list(other.repositories("acme/platform"))
            assert len(hub.log) == asked


def test_a_group_without_a_token_is_told_how_to_get_one(tmp_path: Path, clock: ManualClock) -> None:
    settings = Settings.from_environment({"WHIMBREL_HOME": str(tmp_path / "home")})
    gitlab_credentials.save(settings.home, "https://gitlab.com", GitLabAccess("glpat-x", group="acme/platform"))
    with assemble(settings) as services:
        built = hosting(settings, services.database, clock)
        with pytest.raises(ConfigurationError, match=r"no credential for https://gitlab\.com/acme") as caught:
            built.host(gitlab_org("acme", "https://gitlab.com"))
        assert "whimbrel setup gitlab --group acme" in caught.value.mend


def gitlab_org(name: str, url: str) -> OrgPolicy:
    return OrgPolicy.model_validate({"org": name, "host": f"gitlab:{url}", "quota": {"usd_per_month": 1}})


def test_an_app_that_is_made_later_has_its_deliveries_looked_after_too(tmp_path: Path) -> None:
    settings = Settings.from_environment({"WHIMBREL_HOME": str(tmp_path)})
    url = "https://github.example.com"
    assert github_deliveries(settings.home, url) is None
    github_credentials.save(settings.home, url, GitHubApp(7, "whimbrel", "not needed yet", ("s",), url))
    found = github_deliveries(settings.home, url)
    assert found is not None
    assert found.name == "github.example.com 7"


def test_a_group_that_is_set_up_later_is_looked_after_too(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A nested one by the token of the group above it; the environment's, for whichever has none of its own."""
    monkeypatch.delenv("WHIMBREL_GITLAB_TOKEN", raising=False)
    settings = Settings.from_environment({"WHIMBREL_HOME": str(tmp_path / "home")})
    url = "https://gitlab.example.com"
    about = {"org": "acme/platform", "host": f"gitlab:{url}", "quota": {"usd_per_month": 1}}
    with assemble(settings) as services:
        hosts, org = hosting(settings, services.database, clock), OrgPolicy.model_validate(about)
        assert (hosts.gitlab_keeper(org), hosts.gitlab_deliveries(org)) == (None, None)
        gitlab_credentials.save(settings.home, url, GitLabAccess("t", ("s",), "acme", "https://bot.example.com"))
        keeper, deliveries = hosts.gitlab_keeper(org), hosts.gitlab_deliveries(org)
        assert keeper is not None
        assert deliveries is not None
        assert {keeper.name, deliveries.name} == {"gitlab.example.com acme/platform"}
        gitlab_credentials.save(settings.home, url, GitLabAccess("t", (), "acme", ""))
        assert hosts.gitlab_deliveries(org) is None
