"""Groups and who is in them, tokens, and webhooks."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterable
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from tests.fakes.gitlab.payloads import group_events
from tests.fakes.gitlab.payloads.basics import EVENTS, GROUP_ONLY_EVENTS
from tests.fakes.gitlab.records import Group, Hook, Level, Member, Project, Token, User, UserKind
from tests.fakes.gitlab.state import State, Worded, bad_parameter, invalid

SCOPES = (
    "api", "read_api", "read_user", "read_repository", "write_repository", "read_registry", "write_registry", "create_runner",
    "manage_runner", "ai_features", "k8s_proxy", "self_rotate", "read_service_ping", "sudo", "admin_mode",
)  # fmt: skip
ON_BY_DEFAULT = "push_events"


def create(state: State, path: str, **more: Any) -> Group:
    """The group of that full path, and those above it where they are missing."""
    above, _, slug = path.rpartition("/")
    parent = None
    if above:
        known = [each for each in state.groups.values() if each.full_path.lower() == above.lower()]
        parent = known[0] if known else create(state, above, **more)
    made = Group(state.new_id(), slug, more.pop("name", slug), parent, state.now(), **more)
    state.groups[made.id] = made
    if parent is not None:
        state.tell("subgroup", parent, group_events.subgroup_event(made, "subgroup_create"))
    return made


def delete(state: State, group: Group) -> None:
    for each in state.below(group):
        del state.groups[each.id]
    for project in [each for each in state.projects.values() if each.group.id not in state.groups]:
        del state.projects[project.id]
    state.index()
    if group.parent is not None:
        state.tell("subgroup", group.parent, group_events.subgroup_event(group, "subgroup_destroy"))


def add_member(state: State, where: Group | Project, user: User, level: Level, expires_at: date | None = None) -> Member:
    """Or change the level they have."""
    known = where.members.get(user.id)
    made = where.members[user.id] = Member(user, level, known.created_at if known else state.now(), expires_at)
    if isinstance(where, Group):
        name = "user_update_for_group" if known else "user_add_to_group"
        state.tell("member", where, group_events.member_event(where, made, name, state.now()))
    return made


def remove_member(state: State, where: Group | Project, user: User) -> None:
    gone = where.members.pop(user.id)
    if isinstance(where, Group):
        state.tell("member", where, group_events.member_event(where, gone, "user_remove_from_group", state.now()))


def personal_token(
    state: State, user: User, *, name: str = "token", scopes: Iterable[str] = ("api",), expires_at: date | None = None
) -> Token:
    return _token(state, user, "personal", name, scopes, expires_at)


def oauth_token(state: State, user: User, *, scopes: Iterable[str] = ("api",)) -> Token:
    """An application's, in the name of whoever has let it. Not told by /personal_access_tokens."""
    made = Token(state.new_id(), secrets.token_hex(32), user, "oauth", "application", tuple(scopes), state.now())
    return state.add_token(made)


def resource_token(
    state: State,
    where: Group | Project,
    name: str,
    *,
    level: Level,
    scopes: Iterable[str],
    expires_at: date | None,
) -> Token:
    """A group's or a project's, with a bot user of its own who is a member of it."""
    kind = "group" if isinstance(where, Group) else "project"
    bot = state.add_user(f"{kind}_{where.id}_bot_{secrets.token_hex(8)}", name=name, kind=UserKind.TOKEN_BOT)
    where.members[bot.id] = Member(bot, level, state.now(), expires_at)
    made = _token(state, bot, kind, name, scopes, expires_at)
    made.level = level
    made.group, made.project = (where, None) if isinstance(where, Group) else (None, where)
    return made


def _token(state: State, user: User, kind: str, name: str, scopes: Iterable[str], expires_at: date | None) -> Token:
    chosen = tuple(scopes)
    if unknown := [each for each in chosen if each not in SCOPES]:
        raise bad_parameter(f"scopes does not have a valid value: {unknown[0]}")
    value = f"glpat-{secrets.token_urlsafe(15)}.01.{secrets.token_hex(4)}"
    return state.add_token(Token(state.new_id(), value, user, kind, name, chosen, state.now(), expires_at))


def rotate(state: State, token: Token, expires_at: date) -> Token:
    """Revoke it, and make one like it. Whoever uses the old one again loses the new one too, on GitLab; not here."""
    token.revoked = True
    made = _token(state, token.user, token.kind, token.name, token.scopes, expires_at)
    made.level, made.group, made.project = token.level, token.group, token.project
    where = token.group or token.project
    if where is not None and token.user.id in where.members:
        where.members[token.user.id].expires_at = expires_at
    return made


def add_hook(state: State, owner: Group | Project, url: str, **told: Any) -> Hook:
    made = Hook(state.new_id(), owner, url, state.now(), str(uuid.uuid4()), events={ON_BY_DEFAULT})
    change_hook(state, made, url=url, **told)
    owner.hooks[made.id] = made
    return made


def change_hook(state: State, hook: Hook, *, url: str | None = None, **told: Any) -> None:
    """`told`: the API's fields. A hook that was disabled stays so: a test of it that goes well enables it."""
    if url is not None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise invalid(url="is blocked: Only allowed schemes are http, https")
        hook.url = url
    known = (*EVENTS, *GROUP_ONLY_EVENTS) if isinstance(hook.owner, Group) else EVENTS
    for name in [each for each in told if each in known]:
        (hook.events.add if told[name] else hook.events.discard)(name)
    for name in (
        "name",
        "description",
        "token",
        "enable_ssl_verification",
        "push_events_branch_filter",
        "branch_filter_strategy",
    ):
        if told.get(name) is not None:
            setattr(hook, name, told[name])
    if told.get("signing_token") and state.signing:
        _check_signing(told["signing_token"])
        hook.signing_token = told["signing_token"]
    for each in told.get("custom_headers") or []:
        hook.custom_headers[each["key"]] = each["value"]


def _check_signing(value: str) -> None:
    if not value.startswith("whsec_") or len(value) < 30:
        raise Worded(422, {"message": {"signing_token": ["must be whsec_ and the base64 of 24 to 64 bytes"]}})
