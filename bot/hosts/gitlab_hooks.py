"""The webhooks of a group, kept as they have to be: one of its own, or one a project where groups have none (below Premium)."""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from bot.domain.hooks import HookChange
from bot.errors import HostError, NotFound
from bot.hosts.gitlab_errors import Refused
from bot.hosts.gitlab_setup import group_url
from bot.hosts.gitlab_transport import Client
from bot.hosts.payloads import answer_of
from bot.hosts.webhooks import SIGNING_TOKEN

EVENTS = ("issues_events", "merge_requests_events", "note_events", "pipeline_events", "push_events")
GROUP_EVENTS = (*EVENTS, "project_events")
"""What a hook has to tell of. Who is a member, and which groups there are, is asked of GitLab when it matters."""
SIGNS_SINCE = (19, 0)

_NAME = {"name": "Whimbrel", "description": "Labels, comments and merge requests, told to the migration bot."}
_SILENT = {"confidential_issues_events": False, "confidential_note_events": False, "tag_push_events": False}
# A test needs something to tell of: a commit, a merge request, an issue.
_TESTS = ("push_events", "merge_requests_events", "issues_events")


class _Answer(BaseModel):
    """What GitLab says of a hook; the last two are told since 19.0, and a token itself never is."""

    id: int
    url: str
    alert_status: str = "executable"
    token_present: bool | None = None
    signing_token_present: bool = False
    issues_events: bool = False
    merge_requests_events: bool = False
    note_events: bool = False
    pipeline_events: bool = False
    push_events: bool = False
    project_events: bool = False
    enable_ssl_verification: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """What a hook hangs on: `path` below the API's URL, `name` in words."""

    path: str
    name: str
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hook:
    """One that delivers to the bot. `signs` with a signing token; `works` is False while GitLab has disabled it."""

    place: Place
    id: int
    url: str
    signs: bool
    works: bool
    problems: tuple[str, ...]

    @property
    def path(self) -> str:
        return f"{self.place.path}/hooks/{self.id}"


def new_secret(version: tuple[int, int]) -> str:
    """A signing token, where the server has them; a secret token, where it has not."""
    if version >= SIGNS_SINCE:
        return f"{SIGNING_TOKEN}{b64encode(secrets.token_bytes(32)).decode()}"
    return secrets.token_hex(32)


class NotAllowed(HostError):
    """The token's account may propose changes, and look after no webhook."""


def is_unsigned(secret: str, hooks: GroupHooks) -> bool:
    """Has the server not taken the signing token? It says nothing where it does not know of any."""
    return secret.startswith(SIGNING_TOKEN) and any(hook and not hook.signs for _, hook in hooks.find())


class GroupHooks:
    """Those of one group that deliver to `url`, or did to `old_url`. Every method raises HostError or HostUnavailable."""

    def __init__(self, client: Client, group: str, url: str, old_url: str = ""):
        self._client, self._group, self._url = client, group, url
        self._urls = {url, old_url or url}

    def find(self) -> Iterator[tuple[Place, Hook | None]]:
        """Every place where there has to be a hook, with the one that is there. Raises NotAllowed where nobody asks who may."""
        whole = Place(group_url(self._group), f"the group {self._group}", GROUP_EVENTS)
        try:
            yield whole, self._at(whole)
        except (NotFound, Refused) as error:
            if isinstance(error, Refused) and error.status != 403:
                raise
            yield from self._of_projects()

    def keep(self, secret: str, *, anew: bool = False) -> Iterator[HookChange]:
        """Make, mend and enable what is not as it has to be, place by place; with `anew`, each gets the secret once more."""
        for place, hook in self.find():
            try:
                yield from self._kept(place, hook, secret, anew=anew)
            except (NotFound, Refused) as error:  # of one project; the next ones are looked after
                yield HookChange(place.name, "refused", error.explanation)

    def _kept(self, place: Place, hook: Hook | None, secret: str, *, anew: bool) -> Iterator[HookChange]:
        if hook is None:
            self._client.create(f"{place.path}/hooks", **self._wanted(place, secret))
            yield HookChange(place.name, "created", "there was none")
            return
        if hook.problems or anew:
            self._client.change(hook.path, **self._wanted(place, secret))
            yield HookChange(place.name, "mended", ", ".join(hook.problems) or "it has another secret")
        if not hook.works:
            yield self._enabled(hook)

    def _of_projects(self) -> Iterator[tuple[Place, Hook | None]]:
        """Those that the account may look after; one that has gone meanwhile needs none."""
        allowed, refused = 0, 0
        for place in self._projects():
            try:
                found = self._at(place)
            except NotFound:
                continue
            except Refused as error:
                if error.status != 403:
                    raise
                refused += 1
                continue
            allowed += 1
            yield place, found
        if refused and not allowed:
            raise NotAllowed(
                f"the token's account may not look after webhooks in {self._group}",
                mend="make it Owner there, or Maintainer of each project; or setup gitlab --owner-token-file",
            )

    def _projects(self) -> Iterator[Place]:
        found = self._client.pages(
            f"{group_url(self._group)}/projects",
            include_subgroups="true", with_shared="false", archived="false", simple="true", order_by="id",
            sort="asc",
        )  # fmt: skip
        for each in found:
            yield Place(f"/projects/{each['id']}", f"the project {each['path_with_namespace']}", EVENTS)

    def _at(self, place: Place) -> Hook | None:
        for each in self._client.pages(f"{place.path}/hooks"):
            told = answer_of(_Answer, each, "GitLab")
            if told.url in self._urls:
                return self._hook(place, told)
        return None

    def _hook(self, place: Place, told: _Answer) -> Hook:
        silent = [name.removesuffix("_events").replace("_", " ") for name in place.events if not getattr(told, name)]
        problems = [f"it does not tell of {', '.join(silent)}"] if silent else []
        if told.url != self._url:
            problems.append("it delivers to an earlier URL")
        if not told.enable_ssl_verification and self._url.startswith("https:"):
            problems.append("it takes any certificate")
        if told.token_present is False and not told.signing_token_present:
            problems.append("it has no secret")
        works = told.alert_status.lstrip(":") == "executable"
        return Hook(place, told.id, told.url, told.signing_token_present, works, tuple(problems))

    def _wanted(self, place: Place, secret: str) -> dict[str, Any]:
        """A hook with a signing token has no secret token: that one would be sent along."""
        kept = {"signing_token": secret, "token": ""} if secret.startswith(SIGNING_TOKEN) else {"token": secret}
        told = dict.fromkeys(place.events, True)
        return {"url": self._url, **_NAME, **told, **_SILENT, "enable_ssl_verification": True, **kept}

    def _enabled(self, hook: Hook) -> HookChange:
        """GitLab takes a hook up again when a test of it is answered well."""
        why, refused = "GitLab had disabled it, since its deliveries failed", ""
        for trigger in _TESTS:
            try:
                self._client.create(f"{hook.path}/test/{trigger}")
            except Refused as error:
                refused = str(error)
            else:
                return HookChange(hook.place.name, "enabled", f"{why}; a test was answered")
        return HookChange(hook.place.name, "disabled", f"{why}, and a test does too: {refused}")
