"""The GitHub App itself: what it asks for, how it is made from a manifest, and what it can tell about its own state."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from github import Auth
from pydantic import AwareDatetime, BaseModel, TypeAdapter, ValidationError

from bot.errors import NotFound
from bot.hosts.github_app import Permissions, signing
from bot.hosts.github_credentials import GitHubApp, Token
from bot.hosts.github_transport import Endpoints, Transport
from bot.hosts.payloads import answer_of, strange

LEVELS = ("none", "read", "write", "admin")


@dataclass(frozen=True, slots=True)
class Permission:
    level: str
    why: str


PERMISSIONS: Mapping[str, Permission] = {
    "metadata": Permission("read", "to find the repositories, and what a person may do in one"),
    "contents": Permission("write", "to read files, and to push branches of the bot's own"),
    "pull_requests": Permission("write", "to open pull requests, and to follow, label and answer them"),
    "issues": Permission("write", "to make labels, and to answer the comments and labels that start the bot"),
    "checks": Permission("write", "to show the verdict and the cost on the commit"),
    "statuses": Permission("read", "to see what CI says of a pull request, where it says so by commit statuses"),
    "workflows": Permission("write", "to change files in .github/workflows, where a policy does so"),
    "members": Permission("read", "to hold whoever starts the bot against `may_trigger`"),
    "organization_custom_properties": Permission("read", "to select repositories by them"),
}
"""What the App asks for, by GitHub's name of the permission."""

EVENTS = (
    "check_suite",
    "issue_comment",
    "issues",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "push",
    "repository",
)
"""What it subscribes to; of its own installation, GitHub tells every App."""

_NAME_LENGTH = 34


class AppAnswer(BaseModel):
    """What GitHub says about an App."""

    id: int
    slug: str
    html_url: str
    permissions: dict[str, str]
    events: list[str]

    @property
    def install_url(self) -> str:
        return f"{self.html_url}/installations/new"


class Conversion(AppAnswer):
    pem: str
    webhook_secret: str | None


class InstallationAnswer(BaseModel):
    html_url: str
    permissions: dict[str, str]
    repository_selection: str
    suspended_at: AwareDatetime | None = None


class Delivery(BaseModel):
    """One try to deliver a webhook; `status` says in words what became of it, `status_code` is 0 where nothing answered."""

    guid: str
    event: str
    delivered_at: AwareDatetime
    status: str
    status_code: int

    @property
    def arrived(self) -> bool:
        return 200 <= self.status_code < 300


class _Hook(BaseModel):
    url: str | None = None


_deliveries = TypeAdapter(list[Delivery])


def creation_url(url: str, org: str) -> str:
    """Where a browser posts the manifest to."""
    return f"{url}/organizations/{quote(org, safe='')}/settings/apps/new"


def manifest(url: str, org: str, *, callback: str, webhook_url: str) -> str:
    """The App's description, in JSON. Without a `webhook_url` it has no webhook, and subscribes to nothing."""
    name = re.sub(r"[^a-z0-9-]+", "-", f"whimbrel-{org}".lower())[:_NAME_LENGTH].rstrip("-")
    described: dict[str, Any] = {
        "name": name,
        "url": f"{url}/{org}",
        "description": "Migrates the repositories of an organization, by reviewable pull requests.",
        "redirect_url": callback,
        "public": False,
        "default_permissions": {name: permission.level for name, permission in PERMISSIONS.items()},
    }
    if webhook_url:
        described |= {"hook_attributes": {"url": webhook_url, "active": True}, "default_events": list(EVENTS)}
    return json.dumps(described)


def convert(url: str, code: str) -> GitHubApp:
    """The App that the browser has just made, with its key; GitHub gives that once. Raises HostError, NotFound."""
    transport = Transport(Endpoints(url))
    path = f"{urlsplit(transport.endpoints.api).path}/app-manifests/{quote(code, safe='')}/conversions"
    headers = {"Accept": "application/vnd.github+json"}
    try:
        made = Conversion.model_validate_json(transport.send("POST", path, None, headers).content)
    except NotFound as error:
        mend = "begin anew; if GitHub has made an App already, delete it there first"
        raise NotFound("GitHub does not know this code: it was used, or is over an hour old", mend=mend) from error
    except ValidationError as error:
        raise strange(error, "GitHub") from error
    secrets = (made.webhook_secret,) if made.webhook_secret else ()
    return GitHubApp(made.id, made.slug, made.pem, secrets, made.html_url)


def missing(granted: Permissions, wanted: Permissions | None = None) -> list[str]:
    """What of `wanted`, else of PERMISSIONS, is not granted, as `contents: write (it has read)`."""
    lacking = []
    for name, needed in (wanted or {name: each.level for name, each in PERMISSIONS.items()}).items():
        level = granted.get(name, "none")
        if LEVELS.index(level) < LEVELS.index(needed):
            lacking.append(f"{name}: {needed} (it has {level})")
    return lacking


class AppSettings:
    """An App asks about itself, and changes its webhook. Every method raises HostError, NotFound or HostUnavailable."""

    def __init__(self, url: str, app: GitHubApp):
        """Raises ConfigurationError for a key that cannot sign."""
        self._client = Transport(Endpoints(url)).client(signing(app))

    def app(self) -> AppAnswer:
        return answer_of(AppAnswer, self._get("/app"), "GitHub")

    def installation(self, org: str) -> InstallationAnswer:
        """On an organization, or on a person's account. Raises NotFound where it is not installed."""
        return answer_of(InstallationAnswer, self._get(f"/users/{quote(org, safe='')}/installation"), "GitHub")

    def webhook_url(self) -> str:
        """Empty where it has none."""
        try:
            return answer_of(_Hook, self._get("/app/hook/config"), "GitHub").url or ""
        except NotFound:
            return ""

    def deliveries(self) -> list[Delivery]:
        """The last ones, 100 at most, newest first."""
        try:
            return _deliveries.validate_python(self._get("/app/hook/deliveries?per_page=100"))
        except ValidationError as error:
            raise strange(error, "GitHub") from error

    def sign_with(self, secret: str) -> None:
        """Let GitHub sign every webhook with this secret from now on."""
        self._client.requestJsonAndCheck("PATCH", "/app/hook/config", input={"secret": secret})

    def _get(self, path: str) -> Any:
        return self._client.requestJsonAndCheck("GET", path)[1]


def login_of(url: str, token: Token) -> str:
    """Whose a plain token is. Raises HostError for one that is no good."""
    client = Transport(Endpoints(url)).client(Auth.Token(token.value))
    return str(client.requestJsonAndCheck("GET", "/user")[1]["login"])
