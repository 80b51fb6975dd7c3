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
        if member.get("state", "active") == "active" and member.get("membership_state", "active") == "active":
            level = level_of(member)
            if level:
                return _word(level)
    client.read(place)  # raises where it is the place that is missing
    return "none"


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
