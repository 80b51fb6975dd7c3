from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from bot.cli.doctor_gitlab import checks
from bot.cli.main import cli
from bot.config import Settings
from bot.domain.org_policies import OrgPolicy
from bot.errors import ConfigurationError, WhimbrelError
from bot.hosts.gitlab_credentials import GitLabAccess, save
from tests.fakes.forge.receivers import Receiver, receiving
from tests.fakes.gitlab import FakeGitLab, signing_token

SECRET = signing_token()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeGitLab]:
    with FakeGitLab(tmp_path / "hub") as hub:
        hub.create_group("acme")
        hub.create_project("acme", "tool")
        hub.add_user("mia", groups={"acme": "developer"})
        yield hub


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


class Site:
    """A home with a token for the group acme, and a webhook of that group."""

    def __init__(self, hub: FakeGitLab, folder: Path, url: str):
        self.hub, self.url = hub, url
        self.settings = Settings.from_environment(
            {"WHIMBREL_HOME": str(folder / "home"), "WHIMBREL_POLICIES": str(folder / "policies")}
        )
        self.token = hub.group_token("acme", "whimbrel", level="owner")
        self.keep()

    def keep(self, *, token: str = "", secrets: tuple[str, ...] = (SECRET,), url: str | None = None) -> None:
        access = GitLabAccess(token or self.token, secrets, "acme", self.url if url is None else url)
        save(self.settings.home, self.hub.url, access)

    def make_hook(self, **told: str) -> None:
        self.hub.add_hook(group="acme", url=self.url, **(told or {"signing_token": SECRET}))

    def found(self) -> Mapping[str, str]:
        """What each check says, by the last word of its subject: what is wrong begins with a cross, and ends with its mend."""
        org = OrgPolicy.model_validate({"org": "acme", "host": f"gitlab:{self.hub.url}", "quota": {"usd_per_month": 1}})
        said = {}
        for subject, check in checks(self.settings, org):
            try:
                said[subject.split()[-1]] = check()
            except WhimbrelError as error:
                said[subject.split()[-1]] = f"✗ {error.explanation}"
        return said


@pytest.fixture
def site(hub: FakeGitLab, tmp_path: Path, receiver: Receiver) -> Site:
    return Site(hub, tmp_path, receiver.url)


def test_where_nothing_is_missing_it_says_what_there_is(site: Site, hub: FakeGitLab) -> None:
    site.make_hook()
    ends = datetime.now(UTC) + timedelta(days=90)
    assert site.found() == {
        "token": f"whimbrel, of {hub.bot_of(site.token)}, until {ends:%Y-%m-%d}",
        "group": "acme, where the bot is Owner",
        "webhook": f"of the group acme, signed, to {site.url}",
        "deliveries": "none to be seen within a day",
    }


def test_without_a_token_it_says_how_to_get_one(site: Site) -> None:
    org = OrgPolicy.model_validate(
        {"org": "acme/x", "host": "gitlab:https://gitlab.example.com", "quota": {"usd_per_month": 1}}
    )
    with pytest.raises(ConfigurationError) as raised:
        list(checks(site.settings, org))
    assert raised.value.mend.startswith("whimbrel setup gitlab --group acme/x --url https://gitlab.example.com, or")


@pytest.mark.parametrize(("days", "fine"), [(15, True), (13, False)])
def test_a_token_that_ends_soon_is_told_of(site: Site, hub: FakeGitLab, days: int, fine: bool) -> None:
    ends = (datetime.now(UTC) + timedelta(days=days)).date()
    site.keep(token=hub.group_token("acme", "whimbrel", level="owner", expires_at=ends))
    said = site.found()["token"]
    assert said.startswith("✗") != fine
    assert f"{ends:%Y-%m-%d}" in said
    assert fine or "whimbrel setup gitlab --group acme --token-file FILE takes a new one" in said


def test_a_scope_that_is_missing_is_named_with_what_it_is_for(site: Site, hub: FakeGitLab) -> None:
    site.keep(token=hub.group_token("acme", "whimbrel", scopes=("read_api",)))
    assert site.found()["token"].startswith("✗ the token whimbrel lacks the scope api, to read and push")


def test_a_role_that_is_too_low_is_told_of(site: Site, hub: FakeGitLab) -> None:
    site.keep(token=hub.group_token("acme", "whimbrel", level="guest"))
    assert site.found()["group"].startswith("✗ the bot is Guest in acme (make it Developer")


class TestWebhook:
    def test_a_developer_sees_nothing_of_it(self, site: Site, hub: FakeGitLab) -> None:
        site.make_hook()
        site.keep(token=hub.group_token("acme", "whimbrel", level="developer"))
        assert site.found()["webhook"] == f"to {site.url}; the bot's role lets it see nothing of it"

    def test_its_url_is_not_known(self, site: Site) -> None:
        site.keep(url="")
        said = site.found()
        assert said["webhook"].startswith("✗ its URL is not known: labels and comments are not heard")
        assert "deliveries" not in said

    def test_its_secret_is_not_known(self, site: Site) -> None:
        site.keep(secrets=())
        assert "its secret is not known here: every delivery is refused" in site.found()["webhook"]

    def test_there_is_none(self, site: Site) -> None:
        assert site.found()["webhook"] == (
            f"✗ the group acme: there is none (whimbrel setup gitlab --group acme --webhook-url {site.url} makes and mends it, "
            "and so does the scheduler)"
        )

    def test_a_project_of_several_has_none(self, site: Site, hub: FakeGitLab) -> None:
        hub.state.group_hooks = False
        assert site.found()["webhook"].startswith("✗ the project acme/tool: there is none")
        hub.add_hook(project="acme/tool", url=site.url, signing_token=SECRET)
        assert site.found()["webhook"] == f"of the project acme/tool, signed, to {site.url}"

    def test_it_tells_too_little(self, site: Site, hub: FakeGitLab) -> None:
        hub.add_hook(group="acme", url=site.url, events=("issues_events",), signing_token=SECRET)
        said = site.found()["webhook"]
        assert "it does not tell of merge requests, note, pipeline, project" in said

    def test_gitlab_has_disabled_it(self, site: Site, hub: FakeGitLab) -> None:
        site.make_hook()
        hub.hooks[0].disabled = True
        assert "GitLab has disabled it, since its deliveries failed" in site.found()["webhook"]

    def test_it_could_sign_and_sends_its_secret_along(self, site: Site) -> None:
        site.make_hook(token="a secret")
        site.keep(secrets=("a secret",))
        said = site.found()["webhook"]
        assert said.startswith("✗ it sends its secret along, and this server can sign instead")
        assert "--rotate-secret" in said


def test_deliveries_that_fail_are_told_of(site: Site, hub: FakeGitLab, receiver: Receiver) -> None:
    site.make_hook()
    for status in (202, 503):
        receiver.status = status
        hub.as_user("mia").open_issue("acme/tool", "T")
        hub.drain()
    assert site.found()["deliveries"].startswith("✗ 1 of the last 2 failed, and so did the newest (is `whimbrel web` running")
    receiver.status = 202
    hub.as_user("mia").open_issue("acme/tool", "T")
    hub.drain()
    assert site.found()["deliveries"] == "1 of the last 3 failed"


def test_doctor_checks_the_groups_that_the_policies_name(site: Site, hub: FakeGitLab) -> None:
    orgs = site.settings.policies / "orgs"
    orgs.mkdir(parents=True)
    policy = {"org": "acme", "host": f"gitlab:{hub.url}", "quota": {"usd_per_month": 1}}
    (orgs / "acme.yaml").write_text(json.dumps(policy))
    environment = {"WHIMBREL_HOME": str(site.settings.home), "WHIMBREL_POLICIES": str(site.settings.policies)}
    result = CliRunner().invoke(cli, ["doctor", "--json"], env=environment)
    said = {finding["subject"]: finding for finding in json.loads(result.output)}
    name = hub.url.removeprefix("http://")
    assert said[f"{name} acme token"]["fine"]
    assert not said[f"{name} acme webhook"]["fine"]
    assert not any(secret in result.output for secret in (site.token, SECRET))
