from __future__ import annotations

import html
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from bot.cli.main import cli
from bot.errors import ConfigurationError, HostError, HostUnavailable, UsageError
from bot.hosts.github_credentials import GitHubApp, load, save, webhook_signers
from bot.hosts.webhooks import sign_github, verify_github
from bot.web import pending
from tests.fakes.clock import ManualClock
from tests.fakes.github import FakeGitHub

WEBHOOK = "https://relay.example.com/abc"
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
Setup = Callable[..., Result]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeGitHub]:
    with FakeGitHub(tmp_path / "hub") as hub:
        hub.create_org("acme")
        yield hub


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def setup(hub: FakeGitHub, home: Path) -> Setup:
    """`whimbrel setup github` for the hub, with the environment given."""
    return partial(invoke, home, "--url", hub.url)


def invoke(home: Path, *options: str, **environment: str) -> Result:
    arguments = ["setup", "github", "--org", "acme", *options]
    return CliRunner().invoke(cli, arguments, env={"WHIMBREL_HOME": str(home), **environment})


def refusal(result: Result) -> str:
    assert isinstance(result.exception, UsageError | ConfigurationError | HostError), result.output
    return result.exception.explanation


@pytest.fixture
def key(hub: FakeGitHub, tmp_path: Path) -> str:
    """The private key of the hub's app, as a file."""
    file = tmp_path / "app.pem"
    file.write_text(hub.app.pem)
    return str(file)


@pytest.fixture
def secret(hub: FakeGitHub, tmp_path: Path) -> str:
    file = tmp_path / "secret.txt"
    file.write_text(f"{hub.app.webhook_secret}\n")
    return str(file)


# --- an app that is made here ---


@contextmanager
def served(hub: FakeGitHub, home: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The command, while it waits for a browser; the address and the token that it printed."""
    command = [sys.executable, "-c", "from bot.cli.main import main; main()", "setup", "github", "--org", "acme"]
    with subprocess.Popen(
        [*command, "--url", hub.url, *options],
        env={"WHIMBREL_HOME": str(home), "PATH": ""},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.stderr is not None
            said = "".join(process.stderr.readline() for _ in range(4))
            invitation = re.match(r"Open (\S+)\n.*\n\n +(\S+)\n", said)
            assert invitation, said + process.stderr.read()
            yield process, invitation[1], invitation[2]
        finally:
            process.kill()


def click_through(address: str, token: str) -> httpx.Response:
    """What a person does in the browser; the last page."""
    with httpx.Client() as browser:
        assert browser.get(address).status_code == 200
        offered = browser.post(address, data={"token": token}).text
        form = re.search(r'action="([^"]+)">\s*<input type="hidden" name="manifest" value="([^"]+)">', offered)
        assert form, offered
        target, manifest = map(html.unescape, form.groups())
        return browser.post(target, data={"manifest": manifest}, follow_redirects=True)


def test_a_laptop_shows_the_pages_itself_until_the_app_is_made(hub: FakeGitHub, home: Path) -> None:
    with served(hub, home, "--webhook-url", WEBHOOK) as (process, address, token):
        assert address.startswith("http://127.0.0.1:")
        done = click_through(address, token)
        assert "whimbrel-acme is there" in done.text
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    app = load(home, hub.url, {})
    assert isinstance(app, GitHubApp)
    assert f"{app.html_url}/installations/new" in said
    assert "GET /setup" not in said
    assert hub.use_app(app.app_id).webhook_url == WEBHOOK
    assert not pending.is_pending(home, ManualClock().now())


def test_an_app_for_a_secret_store_is_printed_and_not_kept(hub: FakeGitHub, home: Path) -> None:
    with served(hub, home, "--print-env") as (process, address, token):
        click_through(address, token)
        lines, _ = process.communicate(timeout=60)
    environment = dict(line.split("=", 1) for line in shlex.split(lines))
    app = load(home, hub.url, environment)
    assert isinstance(app, GitHubApp)
    assert hub.state.apps[app.app_id].pem.strip() == app.private_key
    assert app.webhook_secrets == (hub.state.apps[app.app_id].webhook_secret,)
    assert load(home, hub.url, {}) is None


def test_a_setup_that_is_interrupted_leaves_no_open_page(hub: FakeGitHub, home: Path) -> None:
    with served(hub, home) as (process, address, _):
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130
        with pytest.raises(httpx.ConnectError):
            httpx.get(address)
    assert not (home / "setup-github.json").exists()


def test_with_a_public_server_it_only_invites_there(setup: Setup, hub: FakeGitHub, home: Path) -> None:
    result = setup("--public-url", "https://bot.example.com/")
    assert result.exit_code == 0
    token = re.search(r"^ +(\S+)$", result.output, re.MULTILINE)
    assert token is not None
    assert "Open https://bot.example.com/setup/github\n" in result.output
    opened = pending.Pending.model_validate_json((home / "setup-github.json").read_bytes())
    assert (opened.url, opened.org) == (hub.url, "acme")
    assert opened.callback == "https://bot.example.com/setup/github/created"
    assert opened.webhook_url == "https://bot.example.com/webhooks/github"
    assert pending.enter(home, token[1], opened.expires_at - pending.LIFE) is not None


# --- an app that is there already ---


def test_an_app_that_is_there_is_stored_once_github_knows_its_key(
    setup: Setup, hub: FakeGitHub, home: Path, key: str, secret: str
) -> None:
    result = setup("--app-id", str(hub.app.id), "--private-key", key, "--webhook-secret-file", secret)
    assert result.exit_code == 0
    html_url = f"{hub.url}/apps/whimbrel"
    assert load(home, hub.url, {}) == GitHubApp(hub.app.id, "whimbrel", hub.app.pem, (hub.app.webhook_secret,), html_url)


def test_what_the_app_lacks_is_said(setup: Setup, hub: FakeGitHub, key: str) -> None:
    hub.app.permissions.update(contents="read")
    result = setup("--app-id", str(hub.app.id), "--private-key", key)
    assert "whimbrel lacks the permission contents: write (it has read)" in result.output


def test_a_key_of_another_app_is_refused_and_nothing_stored(setup: Setup, hub: FakeGitHub, home: Path, key: str) -> None:
    words = refusal(setup("--app-id", str(hub.app.id + 1), "--private-key", key))
    assert "check the App's key" in words
    assert load(home, hub.url, {}) is None


def test_what_is_no_key_is_refused(setup: Setup, hub: FakeGitHub, secret: str) -> None:
    words = refusal(setup("--app-id", str(hub.app.id), "--private-key", secret))
    assert words.startswith("the private key of the GitHub App cannot be read")


def test_an_empty_webhook_secret_is_refused(setup: Setup, hub: FakeGitHub, key: str, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    options = ("--app-id", str(hub.app.id), "--private-key", key, "--webhook-secret-file", str(tmp_path / "empty"))
    assert refusal(setup(*options)).endswith("empty is empty")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--public-url", "https://b", "--webhook-url", "https://c"], "do not go together"),
        (["--rotate-secret", "--webhook-url", "https://c"], "do not go together"),
        (["--app-id", "7", "--rotate-secret"], "do not go together"),
        (["--app-id", "7"], "needs both --app-id and --private-key"),
        (["--public-url", "https://b", "--print-env"], "--print-env"),
        (["--public-url", "bot.example.com"], "nothing that GitHub can reach"),
        (["--webhook-url", "file:///etc"], "nothing that GitHub can reach"),
        (["--url", "http://github.example.com"], "is no server's URL"),
    ],
)
def test_options_that_make_no_sense_are_refused(home: Path, options: list[str], words: str) -> None:
    assert words in refusal(invoke(home, *options))
    assert not home.exists()


# --- rotation ---


@pytest.fixture
def kept(hub: FakeGitHub, home: Path) -> GitHubApp:
    """The hub's app, as it was set up."""
    app = GitHubApp(hub.app.id, "whimbrel", hub.app.pem, (hub.app.webhook_secret,), f"{hub.url}/apps/whimbrel")
    save(home, hub.url, app)
    return app


def secrets_of(home: Path, hub: FakeGitHub) -> tuple[str, ...]:
    app = load(home, hub.url, {})
    assert isinstance(app, GitHubApp)
    return app.webhook_secrets


def test_both_secrets_count_after_a_rotation(setup: Setup, hub: FakeGitHub, home: Path, kept: GitHubApp) -> None:
    assert setup("--rotate-secret").exit_code == 0
    (old,), (new, still) = kept.webhook_secrets, secrets_of(home, hub)
    assert (new, still) == (hub.app.webhook_secret, old)
    assert new != old
    for used in (old, new):
        known = webhook_signers(home, {})
        assert verify_github(known, b"{}", {"X-Hub-Signature-256": sign_github(used, b"{}")}, NOW) == {"127.0.0.1"}


def test_the_next_rotation_forgets_the_oldest(setup: Setup, hub: FakeGitHub, home: Path, kept: GitHubApp) -> None:
    setup("--rotate-secret")
    second = hub.app.webhook_secret
    setup("--rotate-secret")
    assert secrets_of(home, hub) == (hub.app.webhook_secret, second)


@pytest.mark.parametrize("after_write", [False, True], ids=["before", "after"])
def test_a_rotation_that_fails_keeps_every_secret_that_github_may_use(
    setup: Setup, hub: FakeGitHub, home: Path, kept: GitHubApp, after_write: bool
) -> None:
    for _ in range(2):
        hub.fail(method="PATCH", path_pattern="hook/config$", status=502, after_write=after_write)
        assert isinstance(setup("--rotate-secret").exception, HostUnavailable)
        assert hub.app.webhook_secret in secrets_of(home, hub)
    assert setup("--rotate-secret").exit_code == 0
    assert secrets_of(home, hub)[0] == hub.app.webhook_secret
    assert len(secrets_of(home, hub)) == 2


def test_without_an_app_there_is_nothing_to_rotate(setup: Setup) -> None:
    assert "whimbrel setup github --org ORG" in refusal(setup("--rotate-secret"))


def test_an_app_of_the_environment_is_rotated_by_hand(setup: Setup, hub: FakeGitHub, home: Path, kept: GitHubApp) -> None:
    result = setup("--rotate-secret", WHIMBREL_GITHUB_APP_ID="7", WHIMBREL_GITHUB_PRIVATE_KEY="k")
    assert "WHIMBREL_GITHUB_WEBHOOK_SECRET" in refusal(result)
    assert secrets_of(home, hub) == kept.webhook_secrets
