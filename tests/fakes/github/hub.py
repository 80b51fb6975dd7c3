"""The fake GitHub as tests use it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bot.clock import SystemClock
from bot.ports import Clock
from tests.contract import descriptions
from tests.fakes.forge.faults import Faults
from tests.fakes.forge.gitstore import Files
from tests.fakes.forge.hub import Fake
from tests.fakes.forge.server import Server
from tests.fakes.github.changes import apps
from tests.fakes.github.changes import repositories as changes
from tests.fakes.github.guard import GitHubGuard
from tests.fakes.github.limits import Limits
from tests.fakes.github.people import Person
from tests.fakes.github.records import Account, AccountType, App, Installation, Protection, Repository
from tests.fakes.github.server import Hub
from tests.fakes.github.state import State
from tests.fakes.github.webhooks import Delivery, Webhooks

APP_PERMISSIONS = {
    "checks": "write",
    "contents": "write",
    "issues": "write",
    "members": "read",
    "organization_custom_properties": "read",
    "pull_requests": "write",
    "statuses": "read",
    "workflows": "write",
}
APP_EVENTS = (
    "check_suite",
    "issue_comment",
    "issues",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "push",
    "repository",
)


class FakeGitHub(Fake):
    """A GitHub on loopback, from `with` to its end. `url` is where it is.

    Leaving the block raises AssertionError with all that was not as GitHub describes it (unless `guard` is off), and with what
    went wrong in the fake itself.
    """

    _name = "GitHub"

    def __init__(self, folder: Path, *, clock: Clock | None = None, guard: bool = True):
        _require_descriptions(guard)
        self.state = State(folder, clock or SystemClock())
        self._guard = GitHubGuard() if guard else None
        self.webhooks = Webhooks(self.state, self._guard.check_delivery if self._guard else None)
        self.state.tell = self.webhooks.tell
        self.limits = Limits(self.state.clock)
        self._faults, self._outbox = Faults(), self.webhooks.outbox
        check = self._guard.check_exchange if self._guard else None
        self._hub = Hub(self.state, self.webhooks, self.limits, check)
        self._server = self._hub.server = Server(self.state.clock, self._faults, self._hub.answer)
        self.state.url = self._server.url
        self._owner = self.state.add_account("whimbrel-owner", AccountType.USER)
        self.app: App = apps.register(self.state, self._owner, "Whimbrel", permissions=APP_PERMISSIONS, events=APP_EVENTS)

    def _found(self) -> list[str]:
        return self._guard.finish() if self._guard else []

    @property
    def api_url(self) -> str:
        return self.state.api_url

    @property
    def tokens(self) -> list[str]:
        """Every token that was ever issued."""
        return self.state.issued

    @property
    def secrets(self) -> list[str]:
        """Whatever must never be found where it does not belong: tokens, private keys, webhook and client secrets."""
        apps_ = self.state.apps.values()
        return self.tokens + [value for app in apps_ for value in (app.pem, app.webhook_secret, app.client_secret)]

    @property
    def webhook_url(self) -> str:
        """Where the events of `app` go; empty: nowhere."""
        return self.app.webhook_url

    @webhook_url.setter
    def webhook_url(self, url: str) -> None:
        self.app.webhook_url = url

    @property
    def deliveries(self) -> list[Delivery]:
        """Every delivery, oldest first."""
        with self.state.lock:
            return list(self.webhooks.deliveries.values())

    def use_app(self, app_id: int) -> App:
        """Make `app` the one that a manifest has registered."""
        self.app = self.state.apps[app_id]
        return self.app

    def create_org(self, login: str) -> Account:
        with self.state.lock:
            return self.state.add_account(login, AccountType.ORGANIZATION)

    def create_repository(self, owner: str, name: str, *, files: Files | None = None, **fields: Any) -> Repository:
        """`files` None: one with a README; {}: one with an empty first commit. `fields`: of `records.Repository`, and
        `empty=True` for one without any commit, `properties` for its custom property values."""
        with self.state.lock:
            account = self.state.account(owner)
            properties, empty = fields.pop("properties", None), fields.pop("empty", False)
            start = None if empty else files if files is not None else {"README.md": f"# {name}\n"}
            made = changes.create(self.state, account, name, by=self._owner, files=start, **fields)
            if properties is not None:
                account.properties[made.id] = dict(properties)
            return made

    def repository(self, full_name: str) -> Repository:
        return self.state.repository(full_name)

    def protect(self, full_name: str, pattern: str, *, reviews: int = 0, checks: Iterable[str] = ()) -> None:
        """Only admins push to branches that fit; others merge pull requests, with so many approvals and these checks."""
        with self.state.lock:
            rule = Protection(self.state.new_id(), pattern, reviews, tuple(checks))
            self.state.repository(full_name).protections.append(rule)

    def install(
        self, org: str, *, repositories: Iterable[str] | None = None, permissions: Mapping[str, str] | None = None
    ) -> Installation:
        """Install `app` on all repositories, or on those named; with all that it asks for, or `permissions`."""
        with self.state.lock:
            account = self.state.account(org)
            chosen = None if repositories is None else [self.state.repository(f"{org}/{name}") for name in repositories]
            granted = None if permissions is None else dict(permissions)
            return apps.install(self.state, self.app, account, by=self._owner, repositories=chosen, permissions=granted)

    def select(self, installation: Installation, repositories: Iterable[str]) -> None:
        """Make it an installation of exactly these."""
        with self.state.lock:
            org = installation.account.login
            chosen = [self.state.repository(f"{org}/{name}") for name in repositories]
            apps.select(self.state, installation, chosen, by=self._owner)

    def suspend(self, installation: Installation) -> None:
        with self.state.lock:
            apps.suspend(self.state, installation, by=self._owner)

    def unsuspend(self, installation: Installation) -> None:
        with self.state.lock:
            apps.unsuspend(self.state, installation, by=self._owner)

    def uninstall(self, installation: Installation) -> None:
        with self.state.lock:
            apps.uninstall(self.state, installation, by=self._owner)

    def accept_permissions(self, installation: Installation, permissions: Mapping[str, str]) -> None:
        with self.state.lock:
            apps.accept_permissions(self.state, installation, dict(permissions), by=self._owner)

    def add_user(
        self, login: str, *, permissions: Mapping[str, str] | None = None, orgs: Mapping[str, str] | None = None
    ) -> Person:
        """`permissions`: read, triage, write, maintain or admin by repository; `orgs`: admin or member by organization."""
        with self.state.lock:
            account = self.state.add_account(login, AccountType.USER)
            for full_name, role in (permissions or {}).items():
                self.state.repository(full_name).roles[login.lower()] = role
            for org, role in (orgs or {}).items():
                self.state.organization(org).members[login.lower()] = role
        return Person(self.state, account)

    def add_team(self, org: str, slug: str, members: Iterable[str], *, permissions: Mapping[str, str] | None = None) -> None:
        """`permissions`: the team's role by repository."""
        with self.state.lock:
            self.state.add_team(self.state.organization(org), slug, members)
            for full_name, role in (permissions or {}).items():
                self.state.repository(full_name).roles[f"team:{slug}"] = role

    def personal_token(self, login: str) -> str:
        with self.state.lock:
            return apps.personal_token(self.state, self.state.account(login)).value

    def installation_token(self, installation: Installation, **narrowed: Any) -> str:
        """A token without asking the API for one; `narrowed` is `repositories` (names) and `permissions`."""
        with self.state.lock:
            names = narrowed.get("repositories")
            org = installation.account.login
            chosen = None if names is None else [self.state.repository(f"{org}/{name}") for name in names]
            return apps.mint(self.state, installation, repositories=chosen, permissions=narrowed.get("permissions")).value

    def as_user(self, login: str) -> Person:
        return Person(self.state, self.state.account(login))


def _require_descriptions(guard: bool) -> None:
    try:
        descriptions.graphql()
        if guard:
            descriptions.rest()
            descriptions.webhooks()
    except descriptions.Unavailable as lacking:
        pytest.skip(str(lacking))
