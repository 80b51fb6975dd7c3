"""What setup and doctor ask of GitLab: whose a token is, what it may do and until when, and the group that it is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import AwareDatetime, BaseModel, BeforeValidator

from bot.domain.hooks import TokenState
from bot.errors import HostError, NotFound
from bot.hosts.gitlab_errors import Refused
from bot.hosts.gitlab_transport import Client
from bot.hosts.payloads import answer_of

SCOPES: Mapping[str, str] = {
    "api": "to read and push, to open merge requests, to answer, to make labels and webhooks: GitLab has none that is narrower",
}
"""What the token has to be good for."""

ROLES = {10: "Guest", 15: "Planner", 20: "Reporter", 30: "Developer", 40: "Maintainer", 50: "Owner"}
DEVELOPER, OWNER = 30, 50
"""To propose changes it has to be a Developer; a group's webhooks are its Owners'."""


def _end_of_day(value: Any) -> Any:
    """GitLab gives a token's last day; it is good until the next one begins, in UTC."""
    if isinstance(value, str) and len(value) == len("2026-01-15"):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return value


class _User(BaseModel):
    id: int
    username: str


class _PersonalToken(BaseModel):
    """Of a person, a group or a service account: GitLab makes no difference."""

    name: str
    scopes: list[str]
    expires_at: Annotated[AwareDatetime, BeforeValidator(_end_of_day)] | None = None
    active: bool = True


class _OAuthToken(BaseModel):
    scope: list[str]
    expires_in: int | None = None


class _Metadata(BaseModel):
    version: str


class _Group(BaseModel):
    id: int
    full_path: str
    web_url: str


class _Member(BaseModel):
    access_level: int


@dataclass(frozen=True, slots=True)
class Account:
    """Whose a token is: `login` and its number, `token` what GitLab calls it; `expires_at` is None for one that never does."""

    id: int
    login: str
    token: str
    scopes: frozenset[str]
    expires_at: datetime | None

    def missing(self) -> list[str]:
        return sorted(SCOPES.keys() - self.scopes)

    @property
    def state(self) -> TokenState:
        return TokenState(self.token, self.login, self.expires_at)


def account(client: Client, now: datetime) -> Account:
    """Raises HostError for a token that is no good."""
    user = answer_of(_User, client.read("/user"), "GitLab")
    try:
        told = answer_of(_PersonalToken, client.read("/personal_access_tokens/self"), "GitLab")
    except (NotFound, Refused):  # it is none of these: an OAuth application's
        token = answer_of(_OAuthToken, client.read(f"{client.url}/oauth/token/info"), "GitLab")
        ends = None if token.expires_in is None else now + timedelta(seconds=token.expires_in)
        return Account(user.id, user.username, "of an OAuth application", frozenset(token.scope), ends)
    if not told.active:
        raise HostError(f"the token {told.name} is not active", mend="whimbrel setup gitlab takes a new one")
    return Account(user.id, user.username, told.name, frozenset(told.scopes), told.expires_at)


def version(client: Client) -> tuple[int, int]:
    """The server's, such as (19, 0)."""
    told = answer_of(_Metadata, client.read("/metadata"), "GitLab").version
    major, _, rest = told.partition(".")
    minor = rest.partition(".")[0]
    if not (major.isdigit() and minor.isdigit()):
        raise HostError(f"GitLab calls its version {told!r}", mend="is the URL that of a GitLab instance?")
    return int(major), int(minor)


def full_path(client: Client, group: str) -> str:
    """The group as GitLab writes it. Raises NotFound where the bot sees none."""
    return answer_of(_Group, client.read(group_url(group), with_projects="false"), "GitLab").full_path


def role(client: Client, group: str, who: Account) -> int:
    """The account's role in the group, inherited ones too; 0 where it has none."""
    try:
        return answer_of(_Member, client.read(f"{group_url(group)}/members/all/{who.id}"), "GitLab").access_level
    except NotFound:
        return 0


def role_name(level: int) -> str:
    return ROLES.get(level, "no member") if level in ROLES or not level else f"a role of level {level}"


def group_url(group: str) -> str:
    """Below the API's."""
    return f"/groups/{quote(group, safe='')}"
