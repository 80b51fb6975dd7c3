"""How the bot may ask: as an App, with a token minted for one repository and one purpose, or with a person's plain token."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import quote

from github import Auth
from jwt import PyJWTError

from bot.domain.repositories import Repository
from bot.errors import ConfigurationError, HostError, NotFound
from bot.hosts.github_credentials import GitHubApp, Token
from bot.hosts.github_errors import Refused
from bot.hosts.github_transport import Client, Transport, rest_path
from bot.hosts.http_transport import Now

Permissions = Mapping[str, str]

LOOK: Permissions = {
    "metadata": "read", "contents": "read", "pull_requests": "read", "issues": "read", "members": "read",
    "checks": "read", "statuses": "read", "organization_custom_properties": "read",
}  # fmt: skip
"""What discovery and tracking need, of all repositories of the installation."""
FETCH: Permissions = {"contents": "read"}
PUSH: Permissions = {"contents": "write"}
PUSH_WORKFLOWS: Permissions = {"contents": "write", "workflows": "write"}
DISCUSS: Permissions = {"pull_requests": "write", "issues": "write", "contents": "read"}
MERGE: Permissions = {**DISCUSS, "contents": "write"}
"""To have a pull request merged when it is ready is to write to its base."""
CHECK: Permissions = {"checks": "write"}
FORK: Permissions = {"administration": "write", "contents": "read", "metadata": "read"}
"""To make a repository in the org that forks go to; of the fork, nothing but PUSH_WORKFLOWS is needed after that."""

RENEW_BEFORE = timedelta(minutes=10)
"""A token with less time left is not begun with: a request or a push would outlive it."""
INSTALLATION_KEPT = timedelta(minutes=5)
_LEVELS = ("read", "write", "admin")


class Access(Protocol):
    """Who the bot is to an org. Tokens are given anew where one is about to end."""

    @property
    def own_login(self) -> str: ...
    @property
    def app_id(self) -> int | None:
        """None for a plain token, which can make no check run."""

    def is_selected(self) -> bool:
        """Does the bot see the repositories alone that an owner has chosen for it?"""

    def may_push(self, repository: Repository) -> bool: ...
    def fork_owner(self) -> str:
        """The account that forks go to by themselves; empty for an App, which has none."""

    def fork_token(self, owner: str) -> str:
        """To make forks there. Raises NotFound where the App is not installed."""

    def org_token(self) -> str: ...
    def repository_token(self, repository: Repository, permissions: Permissions) -> str:
        """Raises NotFound for a repository that is not there, or not the bot's to see."""


@dataclass(frozen=True, slots=True)
class Installation:
    id: int
    permissions: Permissions
    selected: bool


@dataclass(frozen=True, slots=True)
class _Minted:
    token: str
    expires_at: datetime


class AppAccess:
    """An App's installation on one org. `now` is timezone-aware UTC."""

    def __init__(self, app: GitHubApp, transport: Transport, org: str, now: Now):
        self._app, self._transport, self._org, self._now = app, transport, org, now
        self._client = transport.client(signing(app))
        self._lock = threading.Lock()
        self._tokens: dict[tuple[int, str, tuple[tuple[str, str], ...]], _Minted] = {}
        self._known: dict[str, tuple[datetime, Installation]] = {}
        self._slug = app.slug

    @property
    def app_id(self) -> int:
        return self._app.app_id

    @property
    def own_login(self) -> str:
        if not self._slug:
            self._slug = str(_get(self._client, "/app")["slug"])
        return f"{self._slug}[bot]"

    def is_selected(self) -> bool:
        return self.installation().selected

    def may_push(self, repository: Repository) -> bool:  # noqa: ARG002 - an installation may the same in all that it has
        return self.installation().permissions.get("contents") == "write"

    def fork_owner(self) -> str:
        return ""

    def fork_token(self, owner: str) -> str:
        return self._token("", FORK, owner)

    def org_token(self) -> str:
        return self._token("", LOOK)

    def repository_token(self, repository: Repository, permissions: Permissions) -> str:
        path = rest_path(repository)
        try:
            return self._token(repository.name, permissions, repository.org)
        except Refused as error:
            if error.status != 422:
                raise
            _get(self._transport.client(Auth.Token(self.org_token())), path)  # renamed, or gone: it says so
            raise NotFound(
                f"the App is not installed on {repository.full_name}", mend="add it to the installation's repositories"
            ) from error

    def installation(self, owner: str = "") -> Installation:
        """On the org itself, or on that `owner` of forks: as it was a few minutes ago at most, since owners change it at any
        time. Raises NotFound without one."""
        where = owner or self._org
        with self._lock:
            known = self._known.get(where)
            if known is None or known[0] <= self._now():
                known = self._known[where] = (self._now() + INSTALLATION_KEPT, self._find_installation(where))
            return known[1]

    def _find_installation(self, owner: str) -> Installation:
        try:
            found = _get(self._client, f"/{self._kind(owner)}/{quote(owner, safe='')}/installation")
        except NotFound as error:
            mend = "install it there, and check the org's name"
            raise NotFound(f"the App is not installed on {owner}", mend=mend) from error
        if found.get("suspended_at"):
            raise HostError(f"the App's installation on {owner} is suspended", mend="an owner has to unsuspend it")
        return Installation(int(found["id"]), dict(found["permissions"]), found["repository_selection"] == "selected")

    def _kind(self, owner: str) -> str:
        """Whoever owns the forks may be a person; GitHub answers for organizations too under that name."""
        return "orgs" if owner == self._org else "users"

    def _token(self, repository: str, wanted: Permissions, owner: str = "") -> str:
        """For one repository, or for all of them where its name is empty."""
        installation = self.installation(owner)
        permissions = _granted(wanted, installation.permissions)
        key = (installation.id, repository, tuple(sorted(permissions.items())))
        with self._lock:
            known = self._tokens.get(key)
            if known is None or known.expires_at - RENEW_BEFORE <= self._now():
                known = self._tokens[key] = self._mint(installation, repository, permissions)
            return known.token

    def _mint(self, installation: Installation, repository: str, permissions: Permissions) -> _Minted:
        asked: dict[str, Any] = {"permissions": dict(permissions)}
        if repository:
            asked["repositories"] = [repository]
        _, made = self._client.requestJsonAndCheck("POST", f"/app/installations/{installation.id}/access_tokens", input=asked)
        return _Minted(made["token"], datetime.fromisoformat(made["expires_at"]).astimezone(UTC))


class TokenAccess:
    """A person's token: it may what the person may, and narrows nothing."""

    app_id = None

    def __init__(self, token: Token, transport: Transport):
        self._token, self._client = token.value, transport.client(Auth.Token(token.value))
        self._login = ""

    @property
    def own_login(self) -> str:
        if not self._login:
            self._login = str(_get(self._client, "/user")["login"])
        return self._login

    def is_selected(self) -> bool:
        return False

    def may_push(self, repository: Repository) -> bool:
        return bool(_get(self._client, rest_path(repository))["permissions"]["push"])

    def fork_owner(self) -> str:
        return self.own_login

    def fork_token(self, owner: str) -> str:  # noqa: ARG002
        return self._token

    def org_token(self) -> str:
        return self._token

    def repository_token(self, repository: Repository, permissions: Permissions) -> str:  # noqa: ARG002
        _get(self._client, rest_path(repository))
        return self._token


def signing(app: GitHubApp) -> Auth.AppAuth:
    """Signs a short-lived JWT for each request. Raises ConfigurationError for a key that cannot sign."""
    try:
        auth = Auth.AppAuth(app.app_id, app.private_key)
        auth.create_jwt()
    except (ValueError, TypeError, AssertionError, PyJWTError) as error:
        mend = "give the PEM file that GitHub made for the App, whole"
        raise ConfigurationError("the private key of the GitHub App cannot be read", mend=mend) from error
    return auth


def _granted(wanted: Permissions, granted: Permissions) -> dict[str, str]:
    """The narrower of both: asking for what was never granted would fail, and lack of it is told where it is needed."""
    return {
        name: min(level, granted[name], key=_LEVELS.index) for name, level in wanted.items() if granted.get(name) in _LEVELS
    }


def _get(client: Client, path: str) -> dict[str, Any]:
    _, found = client.requestJsonAndCheck("GET", path)
    return dict(found)
