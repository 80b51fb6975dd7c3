"""setup: connect an organization of a host."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.cli.setting_up import SECRETS_AT_ONCE, instance_url, require_reachable
from bot.cli.setup_gitlab import gitlab
from bot.clock import SystemClock
from bot.config import Settings, prepare_home
from bot.errors import ConfigurationError, UsageError
from bot.hosts.github_credentials import GITHUB, GitHubApp, load, save

if TYPE_CHECKING:
    from flask import Flask

_File = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def setup() -> None:
    """Connect an organization of a host."""


setup.add_command(gitlab)


@setup.command(
    epilog="""\b
Examples:
  whimbrel setup github --org acme --public-url https://bot.example.com
  whimbrel setup github --org acme --webhook-url https://smee.io/abc
  whimbrel setup github --org acme --app-id 1234 --private-key app.pem --webhook-secret-file secret.txt
  whimbrel setup github --org acme --rotate-secret"""
)
@click.option("--org", required=True, help="The organization that is to own the app.")
@click.option("--url", default=GITHUB, show_default=True, help="The GitHub instance.")
@click.option("--public-url", default="", help="Where `whimbrel web` is reached by GitHub: it shows the pages.")
@click.option("--webhook-url", default="", help="Where GitHub is to send webhooks; the pages are shown on this machine.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Of the pages on this machine; 0 is any.")
@click.option("--print-env", is_flag=True, help="Print the app as environment lines, for a secret store; keep nothing.")
@click.option("--app-id", type=click.IntRange(1), help="Take an app that is there already: its number.")
@click.option("--private-key", type=_File, help="Its private key, a PEM file.")
@click.option("--webhook-secret-file", type=_File, help="Its webhook secret.")
@click.option("--rotate-secret", is_flag=True, help="Give the app's webhook a new secret; the old one still counts.")
def github(org: str, url: str, port: int, print_env: bool, **ways: Any) -> None:
    """Make a GitHub App for an organization, or take one that is there."""
    _require_one_way(print_env=print_env, **ways)
    home, url = Settings.from_environment().home, instance_url(url)
    prepare_home(home)
    if ways["rotate_secret"]:
        _rotate(home, url)
    elif ways["public_url"]:
        _invite_to_web(home, url, org, ways["public_url"].rstrip("/"))
    else:
        brought = ways["app_id"] is not None
        app = _verified(url, **ways) if brought else _made_here(home, url, org, ways["webhook_url"], port)
        _store(home, url, app, print_env)


def _require_one_way(
    *,
    public_url: str,
    webhook_url: str,
    print_env: bool,
    app_id: int | None,
    private_key: Path | None,
    webhook_secret_file: Path | None,
    rotate_secret: bool,
) -> None:
    """Raises UsageError for options that do not go together."""
    brought = (app_id, private_key, webhook_secret_file)
    if sum(map(bool, (public_url, webhook_url, any(brought), rotate_secret))) > 1:
        raise UsageError("these do not go together", mend="--public-url, --webhook-url, --app-id or --rotate-secret")
    if any(brought) and not (app_id and private_key):
        raise UsageError("an app that is there already needs both --app-id and --private-key")
    if print_env and (public_url or rotate_secret):
        raise UsageError("--print-env prints an app that is made or taken here", mend="without --public-url, --rotate-secret")
    require_reachable("GitHub", public_url, webhook_url)


def _invite_to_web(home: Path, url: str, org: str, public_url: str) -> None:
    """The pages are those of `whimbrel web`, which has the same home."""
    from bot.web import pending
    from bot.web import setup as pages

    callback, webhook_url = f"{public_url}{pages.CALLBACK}", f"{public_url}/webhooks/github"
    token = pending.begin(home, url=url, org=org, callback=callback, webhook_url=webhook_url, now=SystemClock().now())
    _invite(f"{public_url}{pages.PAGE}", token)
    click.echo("`whimbrel web` has to run there, with the WHIMBREL_HOME of this command.", err=True)


def _made_here(home: Path, url: str, org: str, webhook_url: str, port: int) -> GitHubApp:
    """Show the pages on a port of this machine until the app is made."""
    from flask import Flask

    from bot.web import pending
    from bot.web import setup as pages

    made: list[GitHubApp] = []
    done = threading.Event()

    def keep(_: str, app: GitHubApp) -> None:
        made.append(app)
        done.set()

    shown, clock = Flask("whimbrel"), SystemClock()
    shown.register_blueprint(pages.blueprint(home, clock, keep))
    with _served(shown, port) as base:
        callback = f"{base}{pages.CALLBACK}"
        token = pending.begin(home, url=url, org=org, callback=callback, webhook_url=webhook_url, now=clock.now())
        try:
            _invite(f"{base}{pages.PAGE}", token)
            done.wait(pending.LIFE.total_seconds())
        finally:
            pending.abandon(home, token)
    if not made:
        raise UsageError("nobody has finished the setup within the hour", mend="begin anew")
    return made[0]


@contextmanager
def _served(app: Flask, port: int) -> Iterator[str]:
    """Its URL. At the end, what a browser has asked for is still answered."""
    from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

    class Quiet(WSGIRequestHandler):
        """Logs no address, since some have a code in them, and lets go of browsers that connect ahead of their need."""

        timeout = 5

        def log_request(self, *_: Any) -> None: ...

    server = ThreadedWSGIServer("127.0.0.1", port, app, Quiet)
    server.daemon_threads = False  # closing it waits for them
    serving = threading.Thread(target=server.serve_forever, args=(0.1,))
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def _verified(url: str, *, app_id: int, private_key: Path, webhook_secret_file: Path | None, **_: Any) -> GitHubApp:
    """An app that is there, once GitHub has said that the key is its."""
    from bot.hosts.github_setup import AppSettings, missing

    known = (webhook_secret_file.read_text().strip(),) if webhook_secret_file else ()
    if known == ("",):
        raise UsageError(f"{webhook_secret_file} is empty")
    app = GitHubApp(app_id, "", private_key.read_text(), known, "")
    told = AppSettings(url, app).app()
    for lacking in missing(told.permissions):
        click.echo(f"{told.slug} lacks the permission {lacking}", err=True)
    return replace(app, slug=told.slug, html_url=told.html_url)


def _store(home: Path, url: str, app: GitHubApp, print_env: bool) -> None:
    if print_env:
        click.echo(environment_lines(url, app))
    else:
        save(home, url, app)
    click.echo(f"{app.slug} is set up. Choose its repositories: {app.html_url}/installations/new", err=True)
    click.echo("Then `whimbrel doctor` checks that nothing is missing.", err=True)


def environment_lines(url: str, app: GitHubApp) -> str:
    """The app as `load` finds it in the environment; each value is one line, quoted where a shell needs it."""
    key = app.private_key.strip().replace("\n", "\\n")
    return "\n".join(
        (
            f"WHIMBREL_GITHUB_URL={url}",
            f"WHIMBREL_GITHUB_APP_ID={app.app_id}",
            f"WHIMBREL_GITHUB_PRIVATE_KEY='{key}'",
            f"WHIMBREL_GITHUB_WEBHOOK_SECRET={','.join(app.webhook_secrets)}",
        )
    )


def _rotate(home: Path, url: str) -> None:
    """The new secret is known here first, and only then used by GitHub: no delivery is refused in between."""
    from bot.hosts.github_setup import AppSettings

    app = load(home, url, {})
    if not isinstance(app, GitHubApp):
        raise ConfigurationError(f"no app for {url} is kept in {home}", mend="whimbrel setup github --org ORG")
    if load(home, url, os.environ) != app:
        mend = "put a new secret before the old one in WHIMBREL_GITHUB_WEBHOOK_SECRET, by a comma, then into the app's settings"
        raise ConfigurationError("the app that is used comes from the environment", mend=mend)
    fresh = secrets.token_hex(32)
    app = replace(app, webhook_secrets=(fresh, *app.webhook_secrets))
    save(home, url, app)
    AppSettings(url, app).sign_with(fresh)
    save(home, url, replace(app, webhook_secrets=app.webhook_secrets[:SECRETS_AT_ONCE]))
    click.echo("GitHub signs with the new secret. What is signed with the one before it is taken until the next rotation.")


def _invite(address: str, token: str) -> None:
    click.echo(f"Open {address}\nand enter this token, which is good for one app and one hour:\n\n    {token}\n", err=True)
