"""Which host an org policy names, and with which credential."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.config import Settings, assemble, local_host
from bot.domain.policies import OrgPolicy
from bot.errors import ConfigurationError, UsageError
from bot.hosts.github import GitHubHost
from bot.hosts.github_credentials import GITHUB, GitHubApp, save
from bot.hosts.local import LocalHost


def org(host: str, name: str = "acme") -> OrgPolicy:
    return OrgPolicy.model_validate({"org": name, "host": host, "quota": {"usd_per_month": 1}})


@pytest.mark.parametrize(
    ("host", "url", "kept"),
    [
        ("github", GITHUB, "github"),
        ("github:https://GHE.example.com/", "https://ghe.example.com", "github:https://ghe.example.com"),
        ("github:http://127.0.0.1:8080", "http://127.0.0.1:8080", "github:http://127.0.0.1:8080"),
        ("local:repositories", "", "local:repositories"),
    ],
)
def test_a_host_is_where_its_policy_says(host: str, url: str, kept: str) -> None:
    assert (org(host).host_url, org(host).host) == (url, kept)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("WHIMBREL_GITHUB_APP_ID", "WHIMBREL_GITHUB_PRIVATE_KEY", "WHIMBREL_GITHUB_TOKEN", "GITHUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return Settings.from_environment({"WHIMBREL_HOME": str(tmp_path / "home")})


def test_each_org_has_one_host_that_is_kept(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHIMBREL_GITHUB_TOKEN", "ghp_x")
    with assemble(settings) as services:
        found = services.host(org("github"))
        assert isinstance(found, GitHubHost)
        assert services.host(org("github")) is services.conversation(org("github")) is found
        assert services.host(org("github", "other")) is not found
        assert isinstance(services.host(org("local:repositories")), LocalHost)


def test_without_a_credential_the_mend_is_told(settings: Settings) -> None:
    with (
        assemble(settings) as services,
        pytest.raises(ConfigurationError, match=r"no credential for https://github\.com") as caught,
    ):
        services.host(org("github"))
    assert "whimbrel setup github" in caught.value.mend


def test_a_broken_key_is_told_before_anything_is_asked(settings: Settings) -> None:
    save(settings.home, GITHUB, GitHubApp(1, "whimbrel", "no key", (), ""))
    with assemble(settings) as services, pytest.raises(ConfigurationError, match="private key"):
        services.host(org("github"))


def test_what_is_for_a_local_host_alone_says_so() -> None:
    with pytest.raises(UsageError, match=r"acme is on https://github\.com"):
        local_host(org("github"))
