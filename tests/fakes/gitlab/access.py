"""Who asks, and what they may do."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.fakes.forge.refusals import Refused
from tests.fakes.gitlab.records import Group, Level, Member, Project, Token, User
from tests.fakes.gitlab.state import State, Worded, missing

SIGN_IN = "401 Unauthorized"


@dataclass(frozen=True)
class Actor:
    """A user by one of their tokens, or nobody."""

    token: Token | None = None

    @property
    def user(self) -> User:
        if self.token is None:
            raise Refused(401, SIGN_IN)
        return self.token.user

    @property
    def key(self) -> str:
        """Whose rate limit it is."""
        return f"user {self.token.user.id}" if self.token else "nobody"

    @property
    def kind(self) -> str:
        return self.token.kind if self.token else "anonymous"


ANONYMOUS = Actor()


def identify(state: State, headers: Mapping[str, str], query: Mapping[str, str]) -> Actor:
    """Whoever the request's token stands for. 401 for one that is no good."""
    value = headers.get("Private-Token") or query.get("private_token") or query.get("access_token")
    scheme, _, credential = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        value = credential
    if scheme.lower() == "basic":
        value = _password(credential)
    return ANONYMOUS if not value else _bearer(state, value)


def _password(credential: str) -> str:
    try:
        return base64.b64decode(credential).decode(errors="replace").partition(":")[2]
    except binascii.Error:
        raise Refused(401, SIGN_IN) from None


def _bearer(state: State, value: str) -> Actor:
    token = state.tokens.get(value)
    if token is None:
        raise Refused(401, SIGN_IN)
    if token.revoked:
        raise _no_good("Token was revoked. You have to re-authorize from the user.")
    if token.expired(state.now()):
        raise _no_good("Token is expired. You can either do re-authorization or token refresh.")
    if token.user.state != "active":
        raise Refused(403, "403 Forbidden - Your account has been blocked.")
    token.last_used_at = state.now()
    return Actor(token)


def _no_good(said: str) -> Refused:
    return Worded(401, {"error": "invalid_token", "error_description": said})


def require_scope(actor: Actor, *scopes: str) -> None:
    """Raises 403 where the token has none of these."""
    if actor.token is not None and not set(scopes) & set(actor.token.scopes):
        said = "The request requires higher privileges than provided by the access token."
        raise Worded(403, {"error": "insufficient_scope", "error_description": said, "scope": " ".join(scopes)})


def group_level(state: State, group: Group, user: User) -> Level:
    """What they may do in a group, by it or by a group above it."""
    if user.admin or group.owner is user:
        return Level.OWNER
    return max((_held(state, each.members.get(user.id)) for each in group.chain), default=Level.NONE)


def project_level(state: State, project: Project, user: User) -> Level:
    """The highest of what they have in the project, the groups above it, and the groups it is shared with."""
    own = _held(state, project.members.get(user.id))
    shared = [
        min(level, group_level(state, state.groups[number], user))
        for number, level in project.shared_with.items()
        if number in state.groups
    ]
    return max([own, group_level(state, project.group, user), *shared])


def _held(state: State, member: Member | None) -> Level:
    if member is None or (member.expires_at is not None and state.now().date() >= member.expires_at):
        return Level.NONE
    return member.level


def members_of_group(state: State, group: Group) -> list[Member]:
    """Its own and those of the groups above it, each with the highest level they have."""
    return _highest(member for each in group.chain for member in each.members.values())


def members_of_project(state: State, project: Project) -> list[Member]:
    inherited = members_of_group(state, project.group)
    invited = [
        Member(each.user, min(each.level, level), each.created_at, each.expires_at)
        for number, level in project.shared_with.items()
        for each in members_of_group(state, state.groups[number])
    ]
    return _highest([*project.members.values(), *inherited, *invited])


def _highest(members: Iterable[Member]) -> list[Member]:
    found: dict[int, Member] = {}
    for member in members:
        if member.user.id not in found or found[member.user.id].level < member.level:
            found[member.user.id] = member
    return sorted(found.values(), key=lambda each: each.user.id)


def level_of(state: State, actor: Actor, project: Project) -> Level:
    return Level.NONE if actor.token is None else project_level(state, project, actor.user)


def sees(state: State, actor: Actor, thing: Project | Group) -> bool:
    if thing.visibility == "public" or (thing.visibility == "internal" and actor.token is not None):
        return True
    if actor.token is None:
        return False
    if isinstance(thing, Project):
        return project_level(state, thing, actor.user) > Level.NONE
    if group_level(state, thing, actor.user) > Level.NONE:
        return True
    # Whoever is in something below a group sees the group.
    below = state.below(thing)
    inside = any(actor.user.id in each.members for each in below)
    return inside or any(actor.user.id in each.members for each in state.projects.values() if each.group in below)


def require_group(state: State, actor: Actor, group: Group, level: Level) -> None:
    if not sees(state, actor, group):
        raise missing("Group")
    if level > Level.NONE and group_level(state, group, actor.user) < level:
        raise Refused(403, "403 Forbidden")


def require(state: State, actor: Actor, project: Project, level: Level, *, code: bool = False) -> None:
    """404 for a project that the actor cannot see, 403 for what it may not do there.

    `level` NONE asks for no membership; `code`: of a private project, reporters and above read the files.
    """
    if not sees(state, actor, project):
        raise missing("Project")
    if code and project.visibility == "private":
        level = max(level, Level.REPORTER)
    if level > Level.NONE and actor.token is None:
        raise Refused(401, SIGN_IN)
    if level_of(state, actor, project) < level:
        raise Refused(403, "403 Forbidden")


def may_push(state: State, user: User, project: Project, branch: str) -> bool:
    return project_level(state, project, user) >= _needed(project, branch, "push")


def may_merge(state: State, user: User, project: Project, branch: str) -> bool:
    level = project_level(state, project, user)
    return level >= min(_needed(project, branch, "merge"), _needed(project, branch, "push"))


def _needed(project: Project, branch: str, what: str) -> Level:
    """The most permissive of the rules that fit counts; without any, developers may."""
    rules = [getattr(rule, what) for rule in project.protections.values() if rule.fits(branch)]
    return max(min(rules), Level.DEVELOPER) if rules else Level.DEVELOPER
