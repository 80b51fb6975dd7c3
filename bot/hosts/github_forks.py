"""Forks on GitHub: from where the bot proposes what it may not push to a repository itself."""

from __future__ import annotations

from dataclasses import replace

from bot.domain.repositories import Repository
from bot.errors import HostError, HostUnavailable, NotFound
from bot.hosts.github_errors import Refused
from bot.hosts.github_graphql import FORK, Node, repository_value
from bot.hosts.github_transport import Client, rest_path

READY_SECONDS = 15


def find(client: Client, repository: Repository, owner: str) -> Repository | None:
    """The owner's fork, None without one. Raises HostUnavailable while GitHub copies into it."""
    rest_path(replace(repository, org=owner))
    node = client.graphql(FORK, {"owner": owner, "name": repository.name}, missing_is_null=True)["repository"]
    if node is None:
        return None
    _require_fork(repository, node)
    org, _, _ = node["nameWithOwner"].partition("/")
    found = repository_value(org, node)
    if found.head is None:
        raise _not_ready(found.full_name)
    return found


def ensure(client: Client, repository: Repository, owner: str, *, own: bool) -> Repository:
    """The owner's fork, with the default branch alone. `own`: the token is the owner's itself."""
    found = find(client, repository, owner)
    if found is not None:
        return found
    asked = {"default_branch_only": True} | ({} if own else {"organization": owner})
    try:
        client.requestJsonAndCheck("POST", f"{rest_path(repository)}/forks", input=asked)
    except (Refused, NotFound) as error:
        # The endpoint's own note: the App is to be on all repositories of the destination; and GitHub lets none of them copy a
        # private repository into another organization, whatever it was granted.
        mend = (
            f"an App needs to be installed on all repositories of {owner}, with `Administration: write`; "
            f"or fork {repository.full_name} to {owner} by hand, once"
        )
        raise HostError(f"{repository.full_name} cannot be forked to {owner}: {error}", mend=mend) from error
    made = find(client, repository, owner)
    if made is None:
        raise _not_ready(f"{owner}/{repository.name}")
    return made


def _require_fork(repository: Repository, node: Node) -> None:
    parent = (node["parent"] or {}).get("nameWithOwner", "")
    if node["isFork"] and not parent:
        raise HostError(
            f"GitHub does not tell the bot what {node['nameWithOwner']} is a fork of: it may see one of both alone",
            mend="for private repositories, use the token of an account that may see both",
        )
    if parent.lower() != repository.full_name.lower():
        raise HostError(
            f"{node['nameWithOwner']} is there, and is no fork of {repository.full_name}",
            mend="rename it, or name another place in the org policy's `forks`",
        )
    if node["isArchived"]:
        raise HostError(f"the fork {node['nameWithOwner']} is archived: nothing can be pushed to it", mend="unarchive it")


def _not_ready(name: str) -> HostUnavailable:
    return HostUnavailable(f"GitHub is still making the fork {name}", retry_after=READY_SECONDS)
