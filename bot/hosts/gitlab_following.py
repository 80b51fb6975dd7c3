"""Many merge requests in one answer, and what is decided of one: merged, marked as ready, opened again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from bot.domain.pull_requests import PullRequest, PullRequestRef, PullRequestState
from bot.domain.repositories import Repository
from bot.errors import HostError, NotFound
from bot.hosts.batches import in_parts, slices
from bot.hosts.gitlab_errors import Refused
from bot.hosts.gitlab_graphql import MERGE_REQUESTS_NOW, nodes
from bot.hosts.gitlab_merge_requests import merge_request_url, read, read_one, told
from bot.hosts.gitlab_transport import Client, full_path

AT_ONCE = 25
_MOST_OF_ONE = 20


def now(client: Client, org: str, refs: Sequence[PullRequestRef]) -> dict[PullRequestRef, PullRequest]:
    """Each as it is now; one that is not there (any more), or whose project has another name now, is left out."""
    found: dict[PullRequestRef, PullRequest] = {}
    for some in slices(refs, AT_ONCE):
        found |= dict(in_parts(some, partial(_read, client, org)))
    return found


def merge(client: Client, repository: Repository, number: int, *, head: str) -> None:
    """Raises HostError, with GitLab's own words, where it is not to be merged, or its branch is not at `head`."""
    if read_one(client, repository, number).state is PullRequestState.MERGED:
        return
    try:
        client.change(f"{merge_request_url(repository, number)}/merge", sha=head)
    except Refused as error:
        if error.status != 401:
            raise
        mend = "the bot's account needs the role that may merge into that branch, which is often Maintainer"
        raise HostError(f"{repository.full_name}!{number} is not the bot's to merge: {error}", mend=mend) from error


def mark_ready(client: Client, repository: Repository, number: int) -> None:
    known = read_one(client, repository, number)
    if known.text.draft:
        client.change(merge_request_url(repository, number), title=known.text.title)


def reopen(client: Client, repository: Repository, number: int) -> None:
    """Raises HostError where GitLab refuses that: it is merged, its branch is gone, or has another one open."""
    known = read_one(client, repository, number)
    if known.state is PullRequestState.OPEN:
        return
    if known.state is PullRequestState.MERGED:
        raise HostError(f"{repository.full_name}!{number} is merged, and cannot be reopened")
    client.change(merge_request_url(repository, number), state_event="reopen")


def _read(client: Client, org: str, refs: Sequence[PullRequestRef]) -> Iterator[tuple[PullRequestRef, PullRequest]]:
    """Of all these projects whatever has one of these numbers: GitLab cannot be asked for pairs. Who is not among those few is
    asked for alone."""
    wanted = {(full_path(Repository(org, ref.repository, "", None)).lower(), ref.number): ref for ref in refs}
    paths = sorted({path for path, _ in wanted})
    variables = {
        "paths": paths,
        "projects": len(paths),
        "iids": sorted({str(number) for _, number in wanted}),
        "most": _MOST_OF_ONE,
    }
    for project in nodes(client.graphql(MERGE_REQUESTS_NOW, variables)["projects"]):
        for node in nodes(project["mergeRequests"]):
            ref = wanted.pop((project["fullPath"].lower(), int(node["iid"])), None)
            if ref is not None:
                yield ref, told(client, Repository(org, ref.repository, "", None), node)
    for ref in wanted.values():
        repository = Repository(org, ref.repository, "", None)
        try:
            yield ref, told(client, repository, read(client, repository, ref.number))
        except NotFound:
            continue
        except HostError as error:
            if error.retryable:
                raise
