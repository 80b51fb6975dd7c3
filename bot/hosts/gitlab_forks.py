"""Forks on GitLab: from where the bot proposes what it may not push to a project itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.domain.repositories import Repository
from bot.errors import HostError, HostUnavailable, NotFound
from bot.hosts.gitlab_errors import Refused
from bot.hosts.gitlab_people import DEVELOPER, level_of
from bot.hosts.gitlab_reading import find_repository
from bot.hosts.gitlab_transport import Client, full_path, project_url

READY_SECONDS = 15


def may_push(client: Client, repository: Repository) -> bool:
    """Has the bot the role of a Developer, in the project or by way of its group?"""
    found = client.read(project_url(repository))["permissions"]
    return max(level_of(found["project_access"]), level_of(found["group_access"])) >= DEVELOPER


def owner(client: Client) -> str:
    """The token's own account; "" for a group's or a project's bot, and for who may make no projects."""
    user = client.read("/user")
    return "" if user.get("bot") or not user.get("can_create_project", True) else str(user["username"])


def fork_place(repository: Repository, owner: str) -> Repository:
    """Where the owner's fork is, or would be: subgroups are part of its name, since they can have projects of the same name."""
    return Repository(owner, repository.name.replace("/", "-"), "", None)


def find(client: Client, repository: Repository, owner: str) -> Repository | None:
    """The owner's fork, None without one. Raises HostUnavailable while GitLab copies into it."""
    place = fork_place(repository, owner)
    try:
        found = client.read(project_url(place))
    except NotFound:
        return None
    _require_fork(repository, found)
    made = find_repository(client, owner, place.name)
    if made is None or made.head is None:
        raise _not_ready(place)
    return made


def ensure(client: Client, repository: Repository, owner: str) -> Repository:
    """The owner's fork, with the default branch alone, made unless it is there."""
    found = find(client, repository, owner)
    if found is not None:
        return found
    place, branch = fork_place(repository, owner), repository.default_branch
    asked = {"namespace_path": owner, "path": place.name, "name": place.name} | ({"branches": branch} if branch else {})
    try:
        client.create(f"{project_url(repository)}/fork", **asked)
    except (Refused, NotFound) as error:
        if isinstance(error, Refused) and error.status == 409:  # another process was faster
            raise _not_ready(place) from error
        mend = f"is {owner} the right place for `forks`, and may the token's account make projects there?"
        raise HostError(f"{repository.full_name} cannot be forked to {owner}: {error}", mend=mend) from error
    made = find(client, repository, owner)
    if made is None:
        raise _not_ready(place)
    return made


def _require_fork(repository: Repository, found: Mapping[str, Any]) -> None:
    name, parent = found["path_with_namespace"], found.get("forked_from_project") or {}
    if str(parent.get("path_with_namespace", "")).lower() != full_path(repository).lower():
        raise HostError(
            f"{name} is there, and is no fork of {repository.full_name}",
            mend="rename it, or name another place in the org policy's `forks`",
        )
    if found["archived"]:
        raise HostError(f"the fork {name} is archived: nothing can be pushed to it", mend="unarchive it")
    if found.get("import_status") == "failed":
        raise HostError(f"GitLab could not make the fork {name}", mend="delete it there: the next attempt makes it anew")


def _not_ready(place: Repository) -> HostUnavailable:
    return HostUnavailable(f"GitLab is still making the fork {place.full_name}", retry_after=READY_SECONDS)
