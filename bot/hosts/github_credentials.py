"""Who the bot is to a GitHub instance: an App, or whoever a plain token belongs to; from the environment or the home.

The home keeps an App in github/HOSTNAME/: app.json and key.pem, both 0600.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.errors import ConfigurationError
from bot.hosts.credential_files import instance_folder, write_secret
from bot.hosts.signers import Signer, signers

GITHUB = "https://github.com"


@dataclass(frozen=True, slots=True)
class GitHubApp:
    """`private_key` is PEM text. `webhook_secrets` are valid at once, so that they can be rotated; none refuses every delivery.

    `slug` and `html_url` are empty where the app comes from the environment: GitHub knows them.
    """

    app_id: int
    slug: str
    private_key: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(repr=False)
    html_url: str


@dataclass(frozen=True, slots=True)
class Token:
    """A person's token, for the CLI on one machine."""

    value: str = field(repr=False)


def load(home: Path, url: str, environ: Mapping[str, str]) -> GitHubApp | Token | None:
    """The credential for the instance at `url`, the first of these that is there.

    WHIMBREL_GITHUB_APP_ID with WHIMBREL_GITHUB_PRIVATE_KEY (and WHIMBREL_GITHUB_WEBHOOK_SECRET, several by commas), or
    WHIMBREL_GITHUB_TOKEN, where WHIMBREL_GITHUB_URL is not set or is this instance; the App in the home; GITHUB_TOKEN, for the
    instance alone that it is meant for (GITHUB_SERVER_URL, github.com without it). Raises ConfigurationError for half an App
    and for files that cannot be read.
    """
    if _own_url(environ, url) == url:
        app = _app_of_environment(environ)
        if app is not None:
            return app
        if token := environ.get("WHIMBREL_GITHUB_TOKEN"):
            return Token(token)
    app = _app_of_home(_folder(home, url))
    if app is not None:
        return app
    token = environ.get("GITHUB_TOKEN")
    if token and (environ.get("GITHUB_SERVER_URL") or GITHUB).rstrip("/") == url:
        return Token(token)
    return None


def webhook_signers(home: Path, environ: Mapping[str, str]) -> list[Signer]:
    """Who signs genuine deliveries: the instance of the environment's App (WHIMBREL_GITHUB_URL, github.com without it), and
    those of the home's. Raises ConfigurationError as `load` does.
    """
    given = _app_of_environment(environ)
    known = {_own_url(environ, GITHUB): given.webhook_secrets} if given else {}
    for file in sorted((home / "github").glob("*/app.json")):
        kept = _app_of_home(file.parent)
        if kept is not None:
            known.setdefault(_url_of(file), kept.webhook_secrets)
    return [signer for url, secrets in known.items() for signer in signers(url, secrets)]


def save(home: Path, url: str, app: GitHubApp) -> None:
    """Keep the App in the home. The key is written first: whoever finds app.json finds its key."""
    folder = _folder(home, url)
    write_secret(folder / "key.pem", app.private_key)
    about = {
        "url": url,
        "app_id": app.app_id,
        "slug": app.slug,
        "html_url": app.html_url,
        "webhook_secrets": list(app.webhook_secrets),
    }
    write_secret(folder / "app.json", json.dumps(about, indent=2) + "\n")


def _own_url(environ: Mapping[str, str], otherwise: str) -> str:
    """Of the instance that the environment's credential is for."""
    return (environ.get("WHIMBREL_GITHUB_URL") or otherwise).rstrip("/").lower()


def _url_of(file: Path) -> str:
    """Of the instance that an app.json is for. One of an earlier version says so by its folder's name alone."""
    about: dict[str, Any] = json.loads(file.read_text())
    return str(about.get("url") or f"https://{file.parent.name.replace('_', ':')}")


def _app_of_environment(environ: Mapping[str, str]) -> GitHubApp | None:
    app_id, key = environ.get("WHIMBREL_GITHUB_APP_ID"), environ.get("WHIMBREL_GITHUB_PRIVATE_KEY")
    if not app_id and not key:
        return None
    if not app_id or not key:
        missing = "WHIMBREL_GITHUB_PRIVATE_KEY" if app_id else "WHIMBREL_GITHUB_APP_ID"
        raise ConfigurationError(f"{missing} is not set", mend="a GitHub App needs both its id and its private key")
    if not app_id.isascii() or not app_id.isdigit():
        raise ConfigurationError(f"WHIMBREL_GITHUB_APP_ID is {app_id!r}", mend="it is the number on the app's settings page")
    secrets = environ.get("WHIMBREL_GITHUB_WEBHOOK_SECRET", "").split(",")
    return GitHubApp(
        app_id=int(app_id),
        slug="",
        private_key=key.replace("\\n", "\n"),  # as secret stores that know single lines only give it
        webhook_secrets=tuple(secret.strip() for secret in secrets if secret.strip()),
        html_url="",
    )


def _app_of_home(folder: Path) -> GitHubApp | None:
    file = folder / "app.json"
    try:
        about: dict[str, Any] = json.loads(file.read_text())
        return GitHubApp(
            app_id=int(about["app_id"]),
            slug=str(about["slug"]),
            private_key=(folder / "key.pem").read_text(),
            webhook_secrets=tuple(map(str, about["webhook_secrets"])),
            html_url=str(about["html_url"]),
        )
    except FileNotFoundError as error:
        if not file.exists():
            return None
        raise ConfigurationError(f"{error.filename} is missing", mend="run `whimbrel setup github` again") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{file} cannot be used: {error}", mend="run `whimbrel setup github` again") from error


def _folder(home: Path, url: str) -> Path:
    return instance_folder(home, "github", url)
