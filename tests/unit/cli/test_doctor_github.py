from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner

from bot.cli.doctor_github import checks, fork_owners, instances
from bot.cli.main import cli
from bot.config import Settings
from bot.domain.org_policies import OrgPolicy
from bot.errors import ConfigurationError, WhimbrelError
from bot.hosts.github_credentials import GitHubApp, load, save
from tests.fakes.github import FakeGitHub

WEBHOOK = "http://127.0.0.1:9/webhooks/github"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeGitHub]:
    with FakeGitHub(tmp_path / "hub") as hub:
        hub.create_org("acme")
        yield hub


@pytest.fixture
def settings(hub: FakeGitHub, tmp_path: Path) -> Settings:
    """Of a home that has the hub's app."""
    made = Settings.from_environment({"WHIMBREL_HOME": str(tmp_path / "home"), "WHIMBREL_POLICIES": str(tmp_path / "policies")})
    app = GitHubApp(hub.app.id, "whimbrel", hub.app.pem, (hub.app.webhook_secret,), f"{hub.url}/apps/whimbrel")
    save(made.home, hub.url, app)
    return made


def found(settings: Settings, hub: FakeGitHub, *forks: str) -> Mapping[str, str]:
    """What each check says, by the last word of its subject: what is wrong begins with a cross, and ends with its mend."""
    said = {}
    for subject, check in checks(settings, hub.url, ["acme"], forks):
        try:
            said[subject.split()[-1]] = check()
        except WhimbrelError as error:
            said[subject.split()[-1]] = f"✗ {error.explanation}"
    return said


def org(host: str, name: str = "acme") -> OrgPolicy:
    return OrgPolicy.model_validate({"org": name, "host": host, "quota": {"usd_per_month": 1}})


def test_orgs_are_checked_where_they_are() -> None:
    ghes = "https://github.example.com"
    orgs = [org("github"), org("local:."), org(f"github:{ghes}/"), org("github", "other")]
    assert fork_owners([*orgs, org("github").model_copy(update={"forks": "x"})], "https://github.com") == ["x"]
    assert instances(orgs) == {"https://github.com": ["acme", "other"], ghes: ["acme"]}


def test_where_nothing_is_missing_it_says_what_there_is(settings: Settings, hub: FakeGitHub) -> None:
    hub.install("acme")
    hub.webhook_url = WEBHOOK
    assert found(settings, hub) == {
        "app": f"whimbrel, number {hub.app.id}",
        "permissions": "all that it needs",
        "webhook": WEBHOOK,
        "deliveries": "none within a day",
        "acme": "installed, on all repositories",
    }


def test_without_a_credential_it_says_how_to_get_one(settings: Settings) -> None:
    with pytest.raises(ConfigurationError) as raised:
        list(checks(settings, "https://github.example.com", ["acme"]))
    assert raised.value.mend.startswith("whimbrel setup github --org acme --url https://github.example.com, or")


def test_a_permission_that_is_missing_is_named(settings: Settings, hub: FakeGitHub) -> None:
    del hub.app.permissions["checks"]
    assert found(settings, hub)["permissions"].startswith("✗ missing checks: write (it has none)")


def test_a_permission_that_no_owner_has_granted_yet_is_named(settings: Settings, hub: FakeGitHub) -> None:
    hub.install("acme", permissions=dict(hub.app.permissions) | {"contents": "read"})
    said = found(settings, hub)
    assert said["permissions"] == "all that it needs"
    assert said["acme"].startswith("✗ an owner has not granted contents: write (it has read) (accept them: http")


def test_an_org_without_the_app_is_told_where_to_install_it(settings: Settings, hub: FakeGitHub) -> None:
    assert found(settings, hub)["acme"] == (
        f"✗ the app is not installed on acme (an owner of acme installs it: {hub.url}/apps/whimbrel/installations/new)"
    )


def test_selected_repositories_are_told_of(settings: Settings, hub: FakeGitHub) -> None:
    hub.create_repository("acme", "one")
    hub.install("acme", repositories=["one"])
    assert found(settings, hub)["acme"] == "installed, on selected repositories"


def test_a_suspended_installation_is_told_of(settings: Settings, hub: FakeGitHub) -> None:
    hub.suspend(hub.install("acme"))
    assert "suspended" in found(settings, hub)["acme"]


def test_an_app_without_a_webhook_is_told_of(settings: Settings, hub: FakeGitHub) -> None:
    assert "it has no URL: labels and comments are not heard" in found(settings, hub)["webhook"]


def test_an_app_whose_webhook_secret_is_not_known_is_told_of(settings: Settings, hub: FakeGitHub) -> None:
    hub.webhook_url = WEBHOOK
    app = load(settings.home, hub.url, {})
    assert isinstance(app, GitHubApp)
    save(settings.home, hub.url, replace(app, webhook_secrets=()))
    assert "every delivery is refused" in found(settings, hub)["webhook"]


def test_an_app_of_the_environment_is_heard_for_its_own_instance_alone(
    settings: Settings, hub: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.webhook_url = WEBHOOK
    (settings.home / "github").rename(settings.home / "elsewhere")
    for name, value in {"APP_ID": str(hub.app.id), "PRIVATE_KEY": hub.app.pem, "WEBHOOK_SECRET": "s"}.items():
        monkeypatch.setenv(f"WHIMBREL_GITHUB_{name}", value)
    assert "its secret counts for github.com alone: every delivery is refused" in found(settings, hub)["webhook"]
    monkeypatch.setenv("WHIMBREL_GITHUB_URL", hub.url)
    assert found(settings, hub)["webhook"] == WEBHOOK


def test_an_app_that_does_not_hear_of_something_is_told_of(settings: Settings, hub: FakeGitHub) -> None:
    hub.webhook_url = WEBHOOK
    hub.app.events.remove("push")
    assert "it does not hear of push" in found(settings, hub)["webhook"]


def test_where_forks_go_is_checked_too(settings: Settings, hub: FakeGitHub) -> None:
    hub.create_org("acme-forks")
    hub.add_user("robot")
    assert "is not installed on acme-forks, where forks go" in found(settings, hub, "acme-forks")["acme-forks"]
    hub.app.permissions["administration"] = "write"
    installation = hub.install("acme-forks", permissions={"contents": "write", "workflows": "write", "metadata": "read"})
    assert "to make forks it lacks administration: write (it has none)" in found(settings, hub, "acme-forks")["acme-forks"]
    hub.accept_permissions(installation, {"contents": "write", "workflows": "write", "administration": "write"})
    assert found(settings, hub, "acme-forks")["acme-forks"] == "it may make forks there, and push to them"
    hub.create_repository("acme-forks", "one")
    hub.select(installation, ["one"])
    assert "selected repositories alone" in found(settings, hub, "acme-forks")["acme-forks"]
    assert "is not installed on robot" in found(settings, hub, "robot")["robot"]


def test_deliveries_that_do_not_arrive_are_told_of(settings: Settings, hub: FakeGitHub) -> None:
    hub.webhook_url = WEBHOOK  # where nobody listens
    hub.install("acme")
    hub.drain()
    said = found(settings, hub)["deliveries"]
    assert said.startswith("✗ 1 of the last 1 failed, the newest one with: ")
    assert "is `whimbrel web` running" in said


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(202)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def test_deliveries_that_arrive_again_are_fine(settings: Settings, hub: FakeGitHub) -> None:
    hub.webhook_url = WEBHOOK
    installation = hub.install("acme")
    hub.drain()
    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        hub.webhook_url = f"http://127.0.0.1:{server.server_port}/"
        hub.uninstall(installation)
        hub.drain()
        server.shutdown()
    assert found(settings, hub)["deliveries"] == "1 of the last 2 failed"


def test_a_host_that_cannot_be_reached_is_told_of_by_each_check(settings: Settings, hub: FakeGitHub) -> None:
    hub.fail(status=502, times=100)
    assert all(said.startswith("✗ GitHub answered 502") for said in found(settings, hub).values())


def test_a_key_that_is_not_the_app_s_is_told_of(settings: Settings, hub: FakeGitHub) -> None:
    app = load(settings.home, hub.url, {})
    assert isinstance(app, GitHubApp)
    save(settings.home, hub.url, replace(app, app_id=hub.app.id + 1))
    assert "check the App's key" in found(settings, hub)["app"]


def test_doctor_checks_the_instances_that_the_policies_name(settings: Settings, hub: FakeGitHub) -> None:
    hub.add_user("mia")
    orgs = settings.policies / "orgs"
    orgs.mkdir(parents=True)
    policy = {"org": "acme", "host": f"github:{hub.url}", "quota": {"usd_per_month": 1}}
    (orgs / "acme.yaml").write_text(json.dumps(policy))
    name = hub.url.removeprefix("http://")
    environment = {
        "WHIMBREL_HOME": str(settings.home),
        "WHIMBREL_POLICIES": str(settings.policies),
        "WHIMBREL_GITHUB_TOKEN": hub.personal_token("mia"),
    }
    result = CliRunner().invoke(cli, ["doctor", "--json"], env=environment)
    said = {finding["subject"]: finding for finding in json.loads(result.output)}
    assert said[f"{name} token"]["fine"]
    assert said[f"{name} token"]["found"].startswith("a plain token, of mia")
    assert environment["WHIMBREL_GITHUB_TOKEN"] not in result.output
