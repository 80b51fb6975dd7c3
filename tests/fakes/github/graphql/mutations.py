"""The mutations."""

from __future__ import annotations

import base64
from typing import Any

from tests.fakes.forge import gitstore
from tests.fakes.forge.refusals import Refused
from tests.fakes.github import access
from tests.fakes.github.changes import pulls, refs
from tests.fakes.github.changes import repositories as changes
from tests.fakes.github.graphql.fields import Context, field
from tests.fakes.github.graphql.repositories import find, ref
from tests.fakes.github.records import JSON, Pull, Repository
from tests.fakes.github.rest.contents import WORKFLOWS


@field("Mutation", "createCommitOnBranch")
def create_commit_on_branch(_: Any, context: Context, input: JSON) -> JSON:
    """A signed commit of the asker's, on a branch that is there already."""
    repository, branch = _branch(context, input["branch"])
    additions = input.get("fileChanges", {}).get("additions") or []
    deletions = input.get("fileChanges", {}).get("deletions") or []
    files: dict[str, bytes | None] = {each["path"]: base64.b64decode(each["contents"]) for each in additions}
    files |= {each["path"]: None for each in deletions}
    _check(context, repository, branch, files)
    tip, expected = gitstore.head(repository, branch), input["expectedHeadOid"]
    if tip != expected:
        raise Refused(409, f'Expected branch to point to "{tip}" but it did not. Pull and try again.')
    message = "\n\n".join(filter(None, (input["message"]["headline"], input["message"].get("body"))))
    sha = changes.commit(context.state, repository, branch, files, by=context.actor.name, message=message, signed=True)
    commit = gitstore.commit(repository, sha)
    return {"commit": commit, "ref": ref(repository, context, f"refs/heads/{branch}"), **_echo(input)}


def _branch(context: Context, given: JSON) -> tuple[Repository, str]:
    if "id" in given:
        _, number, name = given["id"].split("_", 2)
        return context.seen(context.state.repositories[int(number)]), name.removeprefix(refs.BRANCH)
    return find(context, given["repositoryNameWithOwner"]), given["branchName"].removeprefix(refs.BRANCH)


def _check(context: Context, repository: Repository, branch: str, files: dict[str, bytes | None]) -> None:
    access.require(context.actor, repository, ("contents",), "write")
    changes.check_writable(repository)
    if any(path.startswith(WORKFLOWS) for path in files):
        access.require(context.actor, repository, ("workflows",), "write")
    refs.check_protection(context.state, repository, context.actor.name, refs.BRANCH + branch)
    if gitstore.head(repository, branch) is None:
        raise Refused(404, f"Could not resolve to a branch with the name '{branch}'.")


def _echo(input: JSON) -> JSON:
    return {"clientMutationId": input.get("clientMutationId")}


def _pull(context: Context, input: JSON) -> Pull:
    found = context.state.pull_by_node(input["pullRequestId"])
    access.require(context.actor, found.repository, ("pull_requests",), "write")
    changes.check_writable(found.repository)
    return found


def _done(context: Context, pull: Pull, input: JSON) -> JSON:
    return {"pullRequest": pull, "actor": context.actor.name, **_echo(input)}


@field("Mutation", "enablePullRequestAutoMerge")
def enable_auto_merge(_: Any, context: Context, input: JSON) -> JSON:
    pull = _pull(context, input)
    access.require(context.actor, pull.repository, ("contents",), "write")
    pulls.enable_auto_merge(context.state, pull, context.actor.name, input["mergeMethod"].lower())
    return _done(context, pull, input)


@field("Mutation", "disablePullRequestAutoMerge")
def disable_auto_merge(_: Any, context: Context, input: JSON) -> JSON:
    pull = _pull(context, input)
    pulls.disable_auto_merge(context.state, pull, context.actor.name)
    return _done(context, pull, input)


@field("Mutation", "convertPullRequestToDraft")
def convert_to_draft(_: Any, context: Context, input: JSON) -> JSON:
    pull = _pull(context, input)
    pulls.set_draft(context.state, pull, context.actor.name, True)
    return _done(context, pull, input)


@field("Mutation", "markPullRequestReadyForReview")
def mark_ready(_: Any, context: Context, input: JSON) -> JSON:
    pull = _pull(context, input)
    pulls.set_draft(context.state, pull, context.actor.name, False)
    return _done(context, pull, input)


@field("Mutation", "closePullRequest")
def close(_: Any, context: Context, input: JSON) -> JSON:
    pull = _pull(context, input)
    pulls.close(context.state, pull, context.actor.name)
    return _done(context, pull, input)


@field("Mutation", "reopenPullRequest")
def reopen(_: Any, context: Context, input: JSON) -> JSON:
    pull = _pull(context, input)
    pulls.reopen(context.state, pull, context.actor.name)
    return _done(context, pull, input)


@field("Mutation", "mergePullRequest")
def merge(_: Any, context: Context, input: JSON) -> JSON:
    pull = _pull(context, input)
    access.require(context.actor, pull.repository, ("contents",), "write")
    try:
        method = input.get("mergeMethod", "MERGE").lower()
        pulls.merge(context.state, pull, context.actor.name, method=method, sha=input.get("expectedHeadOid"))
    except Refused as refused:
        raise Refused(422, refused.message) from None
    return _done(context, pull, input)
