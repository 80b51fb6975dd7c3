"""The fake GitLab as tests use it."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from bot.clock import SystemClock
from bot.ports import Clock
from tests.fakes.forge.faults import Faults
from tests.fakes.forge.gitstore import Files
from tests.fakes.forge.hub import Fake
from tests.fakes.forge.server import Server
from tests.fakes.gitlab.changes import groups as group_changes
from tests.fakes.gitlab.changes import projects as changes
from tests.fakes.gitlab.changes import refs
from tests.fakes.gitlab.guard import GitLabGuard
from tests.fakes.gitlab.limits import Limits
from tests.fakes.gitlab.people import Person
from tests.fakes.gitlab.records import Group, Hook, Level, Project, Protection, UserKind
from tests.fakes.gitlab.server import Hub
from tests.fakes.gitlab.state import State
from tests.fakes.gitlab.webhooks import Delivery, Webhooks

ALL_EVENTS = (
    "emoji_events", "issues_events", "member_events", "merge_requests_events", "note_events", "pipeline_events",
    "project_events", "push_events", "subgroup_events", "tag_push_events",
)  # fmt: skip


class FakeGitLab(Fake):
    """A GitLab on loopback, from `with` to its end. `url` is where it is.

    Leaving the block raises AssertionError with what went wrong in the fake itself, and (where `guard` is on) with all that was
    not as GitLab describes it.
    """

    _name = "GitLab"

    def __init__(self, folder: Path, *, clock: Clock | None = None, guard: bool = False):
        self.state = State(folder, clock or SystemClock())
        self.webhooks = Webhooks(self.state)
        self.state.tell = self.webhooks.tell
        self.limits = Limits(self.state.clock)
        self._faults, self._outbox = Faults(), self.webhooks.outbox
        self._guard = GitLabGuard() if guard else None
        check = self._guard.check if self._guard else None
        self._hub = Hub(self.state, self.webhooks, self.limits, check)
        self._server = self._hub.server = Server(self.state.clock, self._faults, self._hub.answer)
        self.state.url = self._server.url
        self._root = self.state.add_user("root", name="Administrator")

    def _found(self) -> list[str]:
        return self._guard.finish() if self._guard else []

    @property
    def api_url(self) -> str:
        return self.state.api_url

    @property
    def graphql_url(self) -> str:
        return f"{self.url}/api/graphql"

    @property
    def tokens(self) -> list[str]:
        """Every token that was ever issued."""
        return list(self.state.tokens)

    @property
    def hooks(self) -> list[Hook]:
        owners: list[Group | Project] = [*self.state.groups.values(), *self.state.projects.values()]
        return [hook for owner in owners for hook in owner.hooks.values()]

    @property
    def secrets(self) -> list[str]:
        """Whatever must never be found where it does not belong: tokens, and what webhooks are signed with."""
        kept = [value for hook in self.hooks for value in (hook.token, hook.signing_token) if value]
        return self.tokens + kept

    @property
    def deliveries(self) -> list[Delivery]:
        """Every delivery, oldest first."""
        with self.state.lock:
            return list(self.webhooks.deliveries.values())

    def create_group(self, path: str, **fields: Any) -> Group:
        """And the groups above it, where they are missing."""
        with self.state.lock:
            return group_changes.create(self.state, path, **fields)

    def create_project(
        self, group: str, slug: str, *, files: Files | None = None, empty: bool = False, protected: bool = True, **fields: Any
    ) -> Project:
        """A project with a first commit of `files` (or of a README.md), or an `empty` one.

        Its default branch is protected, as GitLab does it: developers push to others only.
        """
        content = None if empty else (files if files is not None else {"README.md": f"# {slug}\n"})
        with self.state.lock:
            found = self.state.group(group)
            return changes.create(
                self.state, found, slug, by=self._root, files=content, protected=protected and not empty, **fields
            )

    def project(self, path: str) -> Project:
        return self.state.project(path)

    def protect(self, project: str, branch: str, **fields: Any) -> Protection:
        """`fields`: push and merge (levels), allow_force_push."""
        with self.state.lock:
            return changes.protect(self.state, self.state.project(project), branch, **fields)

    def settle(self, project: str) -> None:
        """Tell of what was written into the project's repository behind the fake's back."""
        with self.state.lock:
            refs.settle(self.state, self.state.project(project), self._root)

    def add_user(
        self,
        username: str,
        *,
        groups: Mapping[str, str] | None = None,
        projects: Mapping[str, str] | None = None,
        kind: UserKind = UserKind.HUMAN,
    ) -> Person:
        """`groups` and `projects`: guest, planner, reporter, developer, maintainer or owner by full path."""
        with self.state.lock:
            user = self.state.add_user(username, kind=kind)
            for path, level in (groups or {}).items():
                group_changes.add_member(self.state, self.state.group(path), user, Level[level.upper()])
            for path, level in (projects or {}).items():
                group_changes.add_member(self.state, self.state.project(path), user, Level[level.upper()])
        return Person(self.state, user)

    def service_account(self, group: str, username: str, *, level: str = "developer") -> Person:
        return self.add_user(username, groups={group: level}, kind=UserKind.SERVICE_ACCOUNT)

    def group_token(
        self,
        group: str,
        name: str,
        *,
        level: str = "maintainer",
        scopes: Iterable[str] = ("api",),
        expires_at: date | None = None,
    ) -> str:
        """The value of a group access token: its bot is a member of the group. It lives for 90 days by default."""
        with self.state.lock:
            ends = expires_at or self.state.now().date() + timedelta(days=90)
            where, rank = self.state.group(group), Level[level.upper()]
            made = group_changes.resource_token(self.state, where, name, level=rank, scopes=scopes, expires_at=ends)
            return made.value

    def project_token(self, project: str, name: str, *, level: str = "maintainer", scopes: Iterable[str] = ("api",)) -> str:
        with self.state.lock:
            ends = self.state.now().date() + timedelta(days=90)
            where, rank = self.state.project(project), Level[level.upper()]
            made = group_changes.resource_token(self.state, where, name, level=rank, scopes=scopes, expires_at=ends)
            return made.value

    def personal_token(
        self, username: str, *, name: str = "token", scopes: Iterable[str] = ("api",), expires_at: date | None = None
    ) -> str:
        """Of a person, or of a service account."""
        with self.state.lock:
            user = self.state.user(username)
            made = group_changes.personal_token(self.state, user, name=name, scopes=scopes, expires_at=expires_at)
            return made.value

    def oauth_token(self, username: str, *, scopes: Iterable[str] = ("api",)) -> str:
        with self.state.lock:
            return group_changes.oauth_token(self.state, self.state.user(username), scopes=scopes).value

    def bot_of(self, token: str) -> str:
        """The username of whoever a token stands for."""
        return self.state.tokens[token].user.username

    def add_hook(
        self, *, url: str, group: str = "", project: str = "", events: Iterable[str] = ALL_EVENTS, **told: Any
    ) -> Hook:
        """`told`: token, signing_token, and what else the API takes."""
        with self.state.lock:
            owner = self.state.group(group) if group else self.state.project(project)
            return group_changes.add_hook(self.state, owner, url, **dict.fromkeys(events, True), **told)

    def as_user(self, username: str) -> Person:
        with self.state.lock:
            return Person(self.state, self.state.user(username))


def signing_token() -> str:
    """A new one, as GitLab wants it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
