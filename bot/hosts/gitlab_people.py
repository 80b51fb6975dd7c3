"""People and groups of a GitLab instance: what they may do, and their numbers, which are what its API takes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from bot.domain.repositories import Repository
from bot.errors import NotFound
from bot.hosts.gitlab_errors import Refused
from bot.hosts.gitlab_transport import Client, project_url

REPORTER, DEVELOPER, MAINTAINER = 20, 30, 40
_GUEST = 10
MOST_OF_A_GROUP = 10
"""Whoever is to be asked as a group of more people is left out: nobody feels asked then."""

log = logging.getLogger(__name__)


def permission(client: Client, org: str, user: str) -> str:
    """By the role in the group, or one above it. Raises NotFound without such a group."""
    return _permission(client, f"/groups/{quote(org, safe='')}", user)


def permission_on(client: Client, repository: Repository, user: str) -> str:
    """By the role in the project, its own or inherited. Nobody knows of a stranger: he has none."""
    return _permission(client, project_url(repository), user)


def is_in_team(client: Client, org: str, team: str, user: str) -> bool:
    """Is the person a direct member of the group? Everybody in a group above it is in it too, and is not meant.

    Its path is taken as one below the org's, unless it begins where the org's does: on an instance that is open to all, any
    name at the top is anybody's. Raises NotFound without the group.
    """
    path = team if team.lower().split("/")[0] == org.lower().split("/")[0] else f"{org}/{team}"
    place = f"/groups/{quote(path, safe='')}"
    number = user_id(client, user)
    if number is not None:
        try:
            return _is_active(client.read(f"{place}/members/{number}"))
        except NotFound:
            pass
    client.read(place)  # raises where it is the group that is missing
    return False


def user_id(client: Client, username: str) -> int | None:
    found = [each for each in client.pages("/users", username=username) if each["username"].lower() == username.lower()]
    return int(found[0]["id"]) if found else None


def reviewer_ids(client: Client, names: Iterable[str]) -> list[int]:
    """Of those that are people, and of the direct members of those that are groups; who is neither is left out."""
    found: dict[int, None] = {}
    for name in names:
        ids = list(_ids(client, name))
        if not ids:
            log.warning("%s cannot be asked to review: it is nobody that the bot knows, or a large group", name)
        found.update(dict.fromkeys(ids))
    return list(found)


def level_of(access: Mapping[str, Any] | None) -> int:
    return int((access or {}).get("access_level") or 0)


def _permission(client: Client, place: str, user: str) -> str:
    number = user_id(client, user)
    if number is not None:
        try:
            member = client.read(f"{place}/members/all/{number}")
        except NotFound:
            member = {}
        if member and _is_active(member):
            return _word(level_of(member))
    client.read(place)  # raises where it is the place that is missing
    return "none"


def _is_active(member: Mapping[str, Any]) -> bool:
    """Neither blocked, nor waiting for somebody's approval."""
    return {member.get(key, "active") for key in ("state", "membership_state")} == {"active"}


def _word(level: int) -> str:
    if level >= MAINTAINER:
        return "admin"
    if level >= DEVELOPER:
        return "write"
    return "read" if level >= _GUEST else "none"


def _ids(client: Client, name: str) -> Iterator[int]:
    number = None if "/" in name else user_id(client, name)
    if number is not None:
        yield number
        return
    try:
        members = list(client.pages(f"/groups/{quote(name, safe='')}/members"))
    except (NotFound, Refused):
        return
    people = [each["id"] for each in members if each["state"] == "active" and level_of(each) >= DEVELOPER]
    if len(people) <= MOST_OF_A_GROUP:
        yield from people
