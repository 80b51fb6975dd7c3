"""Commits that GitHub makes itself, by GraphQL, and so shows as verified: the App is their author."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from bot.domain.changesets import Changeset, FileMode
from bot.domain.repositories import Repository
from bot.errors import HostError, StaleHead
from bot.hosts.github_errors import Refused, Stale
from bot.hosts.github_graphql import COMMIT
from bot.hosts.github_transport import Client, rest_path
from bot.ports import HostCommit

MAX_BYTES = 20_000_000
_STAGING = "whimbrel-staging/"

log = logging.getLogger(__name__)


def why_not(changeset: Changeset) -> str:
    """GraphQL knows no modes, and takes the contents in one request."""
    for change in changeset.files:
        if not change.deleted and change.mode is not FileMode.REGULAR:
            kind = "a link" if change.mode is FileMode.LINK else "executable"
            return f"{change.path} is {kind}, which GitHub's API cannot commit"
    size = sum(len(change.content or b"") for change in changeset.files) * 4 // 3
    if size > MAX_BYTES:
        return f"{size / 1e6:,.0f} MB are more than the {MAX_BYTES / 1e6:.0f} MB that one request to GitHub may hold"
    return ""


@contextmanager
def staged(client: Client, repository: Repository, changeset: Changeset, *, branch: str, message: str) -> Iterator[HostCommit]:
    """The change on its base, on a branch named after the one that it is for; what a dead attempt left there is replaced."""
    staging = f"{_STAGING}{branch}"
    _create_branch(client, repository, staging, changeset.base)
    try:
        yield HostCommit(_commit(client, repository, changeset, staging, message), staging)
    finally:
        try:
            _delete_branch(client, repository, staging)
        except HostError as error:  # the next attempt replaces it
            log.warning("%s: the branch %s is left over: %s", repository.full_name, staging, error)


def _create_branch(client: Client, repository: Repository, branch: str, commit: str) -> None:
    wanted = {"ref": f"refs/heads/{branch}", "sha": commit}
    try:
        client.requestJsonAndCheck("POST", f"{rest_path(repository)}/git/refs", input=wanted)
    except Refused as error:
        if "already exists" not in str(error):
            raise
        _delete_branch(client, repository, branch)
        client.requestJsonAndCheck("POST", f"{rest_path(repository)}/git/refs", input=wanted)


def _delete_branch(client: Client, repository: Repository, branch: str) -> None:
    client.requestJsonAndCheck("DELETE", f"{rest_path(repository)}/git/refs/heads/{quote(branch)}")


def _commit(client: Client, repository: Repository, changeset: Changeset, branch: str, message: str) -> str:
    headline, _, body = message.strip().partition("\n")
    additions = [
        {"path": change.path, "contents": base64.b64encode(change.content).decode()}
        for change in changeset.files
        if change.content is not None
    ]
    wanted = {
        "branch": {"repositoryNameWithOwner": repository.full_name, "branchName": branch},
        "expectedHeadOid": changeset.base,
        "message": {"headline": headline, "body": body.strip()},
        "fileChanges": {
            "additions": additions,
            "deletions": [{"path": change.path} for change in changeset.files if change.deleted],
        },
    }
    try:
        made = client.graphql(COMMIT, {"input": wanted})["createCommitOnBranch"]["commit"]
    except Stale as error:
        raise StaleHead(f"{branch} was moved by somebody else", retryable=True) from error
    return str(made["oid"])
