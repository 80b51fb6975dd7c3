"""Merge requests: opened once with all that belongs to them, set to merge by themselves, and kept up to date."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from bot.domain.pull_requests import PullRequest, PullRequestState, PullRequestText, split_head
from bot.domain.repositories import Repository
from bot.errors import HostError, NotFound
from bot.hosts.batches import pages
from bot.hosts.gitlab_errors import Refused
from bot.hosts.gitlab_forks import fork_place
from bot.hosts.gitlab_graphql import (
    DRAFT,
    MERGE_REQUEST,
    MERGE_REQUESTS,
    OPEN_MERGE_REQUESTS,
    Node,
    login,
    nodes,
    pull_request_value,
)
from bot.hosts.gitlab_people import reviewer_ids
from bot.hosts.gitlab_transport import Client, full_path, project_url, renamed
from bot.hosts.opening import logins, missing, open_once, open_one, require_writable

_TRIES, _PAUSE_SECONDS = 4, 3.0

Sleep = Callable[[float], None]
log = logging.getLogger(__name__)


def of_branch(client: Client, repository: Repository, branch: str) -> list[PullRequest]:
    """Every one from a branch of this very project or, as OWNER:BRANCH, of that owner's fork; the oldest first.

    Those of other forks, where anybody names branches, are not among them.
    """
    found = _found(client, repository, MERGE_REQUESTS, branch=split_head(branch)[1])
    return [each for each in found if each.branch == branch]


def open_to(client: Client, repository: Repository, base: str) -> list[PullRequest]:
    """The open ones to `base` from branches of this very project, the oldest first."""
    return [each for each in _found(client, repository, OPEN_MERGE_REQUESTS, base=base) if ":" not in each.branch]


def ensure(
    client: Client, repository: Repository, *, branch: str, base: str, text: PullRequestText, sleep: Sleep
) -> PullRequest:
    """The open one from `branch` to `base`, as it is, or a new one."""
    require_writable(repository)
    known, is_new = open_once(
        lambda: open_one(of_branch(client, repository, branch), base),
        lambda: _create(client, repository, branch, base, text),
        is_there_already=lambda error: isinstance(error, Refused) and "already exists" in error.words,
    )
    return _set_to_merge(client, repository, known, text, sleep) if is_new else known


def update(client: Client, repository: Repository, number: int, text: PullRequestText, sleep: Sleep) -> PullRequest:
    """Make it say `text`. Labels and reviewers are added; those that people gave it stay."""
    node = read(client, repository, number)
    known = pull_request_value(node)
    require_writable(repository)
    changes = _changes(client, node, known, text)
    if changes:
        client.change(merge_request_url(repository, number), **changes)
        known = pull_request_value(read(client, repository, number))
    return _set_to_merge(client, repository, known, text, sleep)


def close(client: Client, repository: Repository, number: int) -> None:
    client.change(merge_request_url(repository, number), state_event="close")


def read_one(client: Client, repository: Repository, number: int) -> PullRequest:
    return told(client, repository, read(client, repository, number))


def read(client: Client, repository: Repository, number: int) -> Node:
    found: Node | None = client.graphql(MERGE_REQUEST, {"path": full_path(repository), "iid": str(number)})["project"]
    if found is None:
        raise _not_there(repository)
    _require_name(repository, found)
    if found["mergeRequest"] is None:
        raise NotFound(f"{repository.full_name} has no merge request !{number}")
    node: Node = found["mergeRequest"]
    return node


def told(client: Client, repository: Repository, node: Node) -> PullRequest:
    """GraphQL does not tell who closed one."""
    value = pull_request_value(node)
    if value.state is not PullRequestState.CLOSED:
        return value
    told = client.read(merge_request_url(repository, value.number))
    return replace(value, closed_by=login(told["closed_by"]) if told.get("closed_by") else "")


def merge_request_url(repository: Repository, number: int) -> str:
    return f"{project_url(repository)}/merge_requests/{number}"


def _found(client: Client, repository: Repository, document: str, **asked: str) -> list[PullRequest]:
    path, known, found = full_path(repository), False, []
    for page in pages(client.graphql, document, {"path": path, **asked}, "project", "mergeRequests"):
        known = True
        _require_name(repository, page)
        found += [told(client, repository, node) for node in nodes(page["mergeRequests"])]
    if not known:
        raise _not_there(repository)
    return found


def _create(client: Client, repository: Repository, branch: str, base: str, text: PullRequestText) -> PullRequest:
    """With labels and reviewers, in one request; squashed, and its branch deleted, as the project has it."""
    owner, name = split_head(branch)
    project = client.read(project_url(repository))
    source = fork_place(repository, owner) if owner else repository
    if not owner:
        _require_something(client, repository, name, base)
    said: dict[str, Any] = {
        "source_branch": name,
        "target_branch": base,
        "target_project_id": project["id"],
        "title": _title(text),
        "description": text.body,
        "labels": ",".join(text.labels),
        "squash": project.get("squash_option") in ("always", "default_on"),
        "remove_source_branch": bool(project.get("remove_source_branch_after_merge")),
    }
    if reviewers := reviewer_ids(client, logins(text.reviewers)):
        said["reviewer_ids"] = reviewers
    made = client.create(f"{project_url(source)}/merge_requests", **said)
    return pull_request_value(read(client, repository, int(made["iid"])))


def _require_something(client: Client, repository: Repository, branch: str, base: str) -> None:
    """GitLab would open one that has nothing to review. Raises NotFound for a branch that is not there."""
    url = f"{project_url(repository)}/repository"
    with suppress(NotFound):
        if next(client.pages(f"{url}/commits", ref_name=f"{base}..{branch}", per_page=1), None) is not None:
            return
    for name in (branch, base):
        try:
            client.read(f"{url}/branches/{quote(name, safe='')}")
        except NotFound as error:
            raise NotFound(f"{repository.full_name} has no branch {name}") from error
    raise HostError(f"{repository.full_name}: {branch} has nothing that {base} has not")


def _changes(client: Client, node: Node, known: PullRequest, text: PullRequestText) -> dict[str, Any]:
    """What has to be sent so that it says `text`."""
    changes: dict[str, Any] = {}
    if (known.text.title, known.text.draft) != (text.title, text.draft):
        changes["title"] = _title(text)
    if known.text.body != text.body:
        changes["description"] = text.body
    if labels := missing(text.labels, known.text.labels):
        changes["add_labels"] = ",".join(labels)
    busy = [*known.text.reviewers, *(review.author for review in known.reviews)]
    if asked := reviewer_ids(client, missing(logins(text.reviewers), busy)):
        there = [int(str(each["id"]).rpartition("/")[2]) for each in nodes(node["reviewers"])]
        if not set(asked) <= set(there):
            changes["reviewer_ids"] = list(dict.fromkeys([*there, *asked]))
    return changes


def _set_to_merge(
    client: Client, repository: Repository, known: PullRequest, text: PullRequestText, sleep: Sleep
) -> PullRequest:
    """Where the policy says so; where the project does not allow it, a person merges.

    GitLab refuses it, with 405, while it has not begun to look at a new one, and where there is no pipeline to wait for.
    """
    if not text.auto_merge or known.text.auto_merge or known.state is not PullRequestState.OPEN:
        return known
    for attempt in range(_TRIES):
        if attempt:
            sleep(_PAUSE_SECONDS)
        try:
            _merge_when_ready(client, repository, known)
        except Refused as error:
            refusal = error
            if error.status != 405:
                break
        else:
            return replace(known, text=replace(known.text, auto_merge=True))
    log.warning("%s!%d does not merge by itself: %s", repository.full_name, known.number, refusal)
    return known


def _merge_when_ready(client: Client, repository: Repository, known: PullRequest) -> None:
    """At this very head alone. The second word is how GitLab before 17.11 calls it."""
    url = f"{merge_request_url(repository, known.number)}/merge"
    client.change(url, auto_merge=True, merge_when_pipeline_succeeds=True, sha=known.head)


def _title(text: PullRequestText) -> str:
    return f"{DRAFT}{text.title}" if text.draft else text.title


def _require_name(repository: Repository, node: Node) -> None:
    """GraphQL follows a rename without a word."""
    if node["fullPath"].lower() != repository.full_name.lower():
        raise renamed(repository.full_name, node["fullPath"])


def _not_there(repository: Repository) -> NotFound:
    return NotFound(f"there is no repository {repository.full_name}, or the bot may not see it")
