"""Many pull requests of GitHub in one answer, and what is decided of one: merged, marked as ready, opened again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from bot.domain.pull_requests import PullRequest, PullRequestRef, PullRequestState
from bot.domain.repositories import Repository
from bot.errors import HostError
from bot.hosts.batches import in_parts, slices
from bot.hosts.github_errors import Refused
from bot.hosts.github_graphql import MERGE, PULL_REQUEST, REOPEN, TO_READY, Node, following_document, pull_request_value
from bot.hosts.github_transport import Client, renamed, rest_path

AT_ONCE = 50


def now(client: Client, org: str, refs: Sequence[PullRequestRef]) -> dict[PullRequestRef, PullRequest]:
    """Each as it is now; one that is not there (any more), or whose repository has another name now, is left out."""
    for ref in refs:
        rest_path(Repository(org, ref.repository, "", None))
    return {ref: found for some in slices(refs, AT_ONCE) for ref, found in in_parts(some, partial(_read, client, org))}


def merge(client: Client, repository: Repository, number: int, *, head: str) -> None:
    """Raises HostError, with GitHub's own words, where it is not to be merged, or its branch is not at `head`."""
    node, method = _node(client, repository, number)
    found = pull_request_value(node)
    if found.state is PullRequestState.MERGED:
        return
    asked = {"pullRequestId": node["id"], "mergeMethod": method, "expectedHeadOid": head}
    client.graphql(MERGE, {"input": asked})


def mark_ready(client: Client, repository: Repository, number: int) -> None:
    node, _ = _node(client, repository, number)
    if node["isDraft"]:
        client.graphql(TO_READY, {"input": {"pullRequestId": node["id"]}})


def reopen(client: Client, repository: Repository, number: int) -> None:
    """Raises HostError where GitHub refuses that: its branch is gone, was forced, or has another one open."""
    node, _ = _node(client, repository, number)
    if pull_request_value(node).state is PullRequestState.OPEN:
        return
    try:
        client.graphql(REOPEN, {"input": {"pullRequestId": node["id"]}})
    except Refused as error:
        raise HostError(f"#{number} cannot be reopened: {error}") from error


def _read(client: Client, org: str, refs: Sequence[PullRequestRef]) -> Iterator[tuple[PullRequestRef, PullRequest]]:
    variables: dict[str, object] = {f"n{index}": ref.repository for index, ref in enumerate(refs)}
    variables |= {f"i{index}": ref.number for index, ref in enumerate(refs)}
    data = client.graphql(following_document(len(refs)), {"owner": org, **variables}, missing_is_null=True)
    for index, ref in enumerate(refs):
        found: Mapping[str, Node | None] | None = data[f"r{index}"]
        if found is None or str(found["nameWithOwner"]).lower() != f"{org}/{ref.repository}".lower():
            continue
        node = found["pullRequest"]
        if node is not None:
            yield ref, pull_request_value(node)


def _node(client: Client, repository: Repository, number: int) -> tuple[Node, str]:
    """The pull request, and how the repository merges."""
    rest_path(repository)
    variables = {"owner": repository.org, "name": repository.name, "number": number}
    found: Node = client.graphql(PULL_REQUEST, variables)["repository"]
    if found["nameWithOwner"].lower() != repository.full_name.lower():
        raise renamed(repository.full_name, found["nameWithOwner"])
    return found["pullRequest"], found["viewerDefaultMergeMethod"]
