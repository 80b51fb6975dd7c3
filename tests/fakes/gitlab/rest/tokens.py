"""Access tokens: a person's own, a group's, a project's, a service account's."""

from __future__ import annotations

import secrets
from datetime import date, timedelta

from tests.fakes.forge.refusals import Refused
from tests.fakes.gitlab.changes import groups as changes
from tests.fakes.gitlab.payloads.basics import token as shape
from tests.fakes.gitlab.payloads.basics import user as user_shape
from tests.fakes.gitlab.records import Group, Level, Project, Token, User, UserKind
from tests.fakes.gitlab.rest.routing import WRITE_SCOPES, Call, Reply, on
from tests.fakes.gitlab.state import Worded, bad_parameter, missing

ROTATED_FOR = timedelta(days=7)
LONGEST = timedelta(days=400)
SELF = ("api", "read_api", "read_user", "read_repository", "write_repository", "self_rotate")


def _own(call: Call) -> Token:
    """The token that asks. An application's is none of these."""
    token = call.actor.token
    if token is None or token.kind == "oauth":
        raise Worded(400, {"message": "400 Bad request - Only PersonalAccessTokens are supported"})
    return token


def _until(call: Call, default: timedelta = ROTATED_FOR) -> date:
    today = call.state.now().date()
    wanted = call.day("expires_at") or today + default
    if wanted <= today:
        raise bad_parameter("expires_at must be in the future")
    if wanted > today + LONGEST:
        raise Worded(400, {"message": "400 Bad request - Expiration date is too far in the future"})
    return wanted


@on("GET", "/personal_access_tokens/self", scopes=SELF)
def get_own(call: Call) -> Reply:
    return Reply(200, {**shape(call.state, _own(call)), "last_used_ips": []})


@on("DELETE", "/personal_access_tokens/self", scopes=SELF)
def revoke_own(call: Call) -> Reply:
    _own(call).revoked = True
    return Reply(204)


@on("POST", "/personal_access_tokens/self/rotate", scopes=("api", "self_rotate"))
def rotate_own(call: Call) -> Reply:
    return Reply(200, shape(call.state, changes.rotate(call.state, _own(call), _until(call)), told=True))


@on("GET", "/personal_access_tokens")
def list_own(call: Call) -> Reply:
    mine = [each for each in call.state.tokens.values() if each.user is call.by and each.kind != "oauth"]
    return call.page(mine, lambda each: shape(call.state, each))


@on("GET", "/personal_access_tokens/<number>")
def get_one(call: Call, number: str) -> Reply:
    return Reply(200, shape(call.state, _by_number(call, number, call.by)))


@on("POST", "/personal_access_tokens/<number>/rotate")
def rotate_one(call: Call, number: str) -> Reply:
    made = changes.rotate(call.state, _by_number(call, number, call.by), _until(call))
    return Reply(201, shape(call.state, made, told=True))


def _by_number(call: Call, number: str, user: User) -> Token:
    for each in call.state.tokens.values():
        if each.id == int(number) and each.user is user:
            return each
    raise missing("Personal Access Token")


def _of(call: Call, where: Group | Project) -> list[Token]:
    every = call.state.tokens.values()
    return [each for each in every if where in (each.group, each.project) and not each.revoked]


def _create(call: Call, where: Group | Project) -> Reply:
    level = Level(call.number("access_level", Level.MAINTAINER))
    if call.by.kind is UserKind.TOKEN_BOT:
        raise Refused(400, "400 Bad request - User does not have permission to create group access token")
    made = changes.resource_token(
        call.state, where, call.required("name"), level=level, scopes=call.words("scopes"), expires_at=_until(call, LONGEST)
    )
    return Reply(201, shape(call.state, made, told=True, of=_kind(where)))


def _kind(where: Group | Project) -> str:
    return "group" if isinstance(where, Group) else "project"


def _one_of(call: Call, where: Group | Project, number: str) -> Token:
    if number == "self" and call.actor.token is not None:
        return call.actor.token
    for each in call.state.tokens.values():
        if where in (each.group, each.project) and str(each.id) == number:
            return each
    raise missing("Access Token")


@on("GET", "/groups/<id>/access_tokens", Level.OWNER)
def list_of_group(call: Call, group: Group) -> Reply:
    return call.page(_of(call, group), lambda each: shape(call.state, each, of="group"))


@on("POST", "/groups/<id>/access_tokens", Level.OWNER)
def create_of_group(call: Call, group: Group) -> Reply:
    return _create(call, group)


@on("GET", "/groups/<id>/access_tokens/<token>", Level.OWNER)
def get_of_group(call: Call, group: Group, token: str) -> Reply:
    return Reply(200, shape(call.state, _one_of(call, group, token), of="group"))


@on("POST", "/groups/<id>/access_tokens/<token>/rotate", Level.OWNER, scopes=("api", "self_rotate"))
def rotate_of_group(call: Call, group: Group, token: str) -> Reply:
    return Reply(
        200, shape(call.state, changes.rotate(call.state, _one_of(call, group, token), _until(call)), told=True, of="group")
    )


@on("POST", "/groups/<id>/access_tokens/self/rotate", scopes=("api", "self_rotate"))
def rotate_own_of_group(call: Call, group: Group) -> Reply:
    return rotate_of_group(call, group, "self")


@on("DELETE", "/groups/<id>/access_tokens/<token>", Level.OWNER)
def revoke_of_group(call: Call, group: Group, token: str) -> Reply:
    _one_of(call, group, token).revoked = True
    return Reply(204)


@on("GET", "/projects/<id>/access_tokens", Level.MAINTAINER)
def list_of_project(call: Call, project: Project) -> Reply:
    return call.page(_of(call, project), lambda each: shape(call.state, each, of="project"))


@on("POST", "/projects/<id>/access_tokens", Level.MAINTAINER)
def create_of_project(call: Call, project: Project) -> Reply:
    return _create(call, project)


@on("POST", "/groups/<id>/service_accounts", Level.OWNER)
def create_service_account(call: Call, group: Group) -> Reply:
    username = call.text("username") or f"service_account_group_{group.id}_{secrets.token_hex(8)}"
    made = call.state.add_user(username, name=call.text("name") or "Service account user", kind=UserKind.SERVICE_ACCOUNT)
    shown = user_shape(call.state, made)
    told = {name: shown[name] for name in ("id", "username", "name")}
    return Reply(201, {**told, "email": made.email, "unconfirmed_email": None})


@on("POST", "/groups/<id>/service_accounts/<user>/personal_access_tokens", Level.OWNER, scopes=WRITE_SCOPES)
def create_service_token(call: Call, group: Group, user: str) -> Reply:
    account = call.state.user(int(user))
    made = changes.personal_token(
        call.state, account, name=call.required("name"), scopes=call.words("scopes"), expires_at=_until(call, LONGEST)
    )
    return Reply(201, shape(call.state, made, told=True))
