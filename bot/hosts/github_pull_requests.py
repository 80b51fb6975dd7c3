"""Pull requests on GitHub: opened once, dressed with labels, reviewers and auto-merge, and kept up to date."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from github.PullRequest import PullRequest as SdkPullRequest
from github.Repository import Repository as SdkRepository

from bot.domain.pull_requests import PullRequest, PullRequestState, PullRequestText, split_head
from bot.domain.repositories import Repository
from bot.errors import HostError, NotFound
from bot.hosts.batches import pages
from bot.hosts.github_errors import Refused
from bot.hosts.github_graphql import (
    AUTO_MERGE,
    OPEN_PULL_REQUESTS,
    PULL_REQUEST,
    PULL_REQUESTS,
    TO_DRAFT,
    TO_READY,
    Node,
    pull_request_value,
)
from bot.hosts.github_transport import Client, renamed, rest_path
from bot.hosts.opening import logins, missing, open_once, open_one, require_writable

LABEL_COLOR = "1f6feb"

log = logging.getLogger(__name__)


def of_branch(client: Client, repository: Repository, branch: str) -> list[PullRequest]:
    """Every one from a branch of this very repository or, as OWNER:BRANCH, of that owner's fork; the oldest first.

    Those of other forks, where anybody names branches, are not among them.
    """
    found = _found(client, repository, PULL_REQUESTS, branch=split_head(branch)[1])
    return [each for each in found if _same_head(each.branch, branch)]


def open_to(client: Client, repository: Repository, base: str) -> list[PullRequest]:
    """The open ones to `base` from branches of this very repository, the oldest first."""
    return [each for each in _found(client, repository, OPEN_PULL_REQUESTS, base=base) if ":" not in each.branch]


def ensure(client: Client, repository: Repository, *, branch: str, base: str, text: PullRequestText) -> PullRequest:
    """The open one from `branch` to `base`, as it is, or a new one."""
    require_writable(repository)
    known, is_new = open_once(
        lambda: open_one(of_branch(client, repository, branch), base),
        lambda: _create_or_say_why_not(client, repository, branch, base, text),
        is_there_already=lambda error: "already exists" in str(error),
    )
    return _dress(client, repository, known, text) if is_new else known


def update(client: Client, repository: Repository, number: int, text: PullRequestText) -> PullRequest:
    """Make it say `text`. Labels and reviewers are added; those that people gave it stay."""
    node = _read(client, repository, number)["pullRequest"]
    known = pull_request_value(node)
    require_writable(repository)
    if (known.text.title, known.text.body) != (text.title, text.body):
        _sdk(client, repository).get_pull(number).edit(title=text.title, body=text.body)
    if known.text.draft != text.draft:
        client.graphql(TO_DRAFT if text.draft else TO_READY, {"input": {"pullRequestId": node["id"]}})
    said = replace(known.text, title=text.title, body=text.body, draft=text.draft)
    return _dress(client, repository, replace(known, text=said), text)


def close(client: Client, repository: Repository, number: int) -> None:
    _sdk(client, repository).get_pull(number).edit(state="closed")


def _create_or_say_why_not(
    client: Client, repository: Repository, branch: str, base: str, text: PullRequestText
) -> PullRequest:
    try:
        return _create(client, repository, branch, base, text)
    except Refused as error:
        raise _why_refused(error, repository, branch, base) from error


def _found(client: Client, repository: Repository, document: str, **asked: str) -> list[PullRequest]:
    rest_path(repository)
    variables = {"owner": repository.org, "name": repository.name, **asked}
    found = []
    try:
        for page in pages(client.graphql, document, variables, "repository", "pullRequests"):
            _require_name(repository, page)
            found += [pull_request_value(node) for node in page["pullRequests"]["nodes"] if node is not None]
    except NotFound:
        client.requestJsonAndCheck("GET", rest_path(repository))  # tells one that has left from one that was deleted
        raise
    return found


def _create(client: Client, repository: Repository, branch: str, base: str, text: PullRequestText) -> PullRequest:
    """Only the pull request itself: it takes several requests to dress it."""
    try:
        made = _sdk(client, repository).create_pull(
            base=base, head=branch, title=text.title, body=text.body, draft=text.draft, maintainer_can_modify=False
        )
    except Refused as error:
        if not text.draft or "draft pull requests are not supported" not in str(error).lower():
            raise
        log.warning("%s takes no drafts: its pull request is opened as ready", repository.full_name)
        return _create(client, repository, branch, base, replace(text, draft=False))
    return PullRequest(
        number=made.number,
        state=PullRequestState.OPEN,
        branch=branch,
        base=base,
        head=made.head.sha,
        text=PullRequestText(made.title, made.body or "", draft=made.draft),
        url=made.html_url,
    )


def _dress(client: Client, repository: Repository, known: PullRequest, text: PullRequestText) -> PullRequest:
    """Ask its reviewers, have it merge by itself, and label it: last, so that labels tell that all of it was done."""
    asked = _ask(_sdk(client, repository).get_pull(known.number), missing(logins(text.reviewers), _busy(known)))
    merges = known.text.auto_merge or (text.auto_merge and _enable_auto_merge(client, repository, known.number))
    labels = _label_as_may_be(client, repository, known, missing(text.labels, known.text.labels))
    said = replace(
        known.text,
        labels=(*known.text.labels, *labels),
        reviewers=(*known.text.reviewers, *asked),
        auto_merge=merges,
    )
    return replace(known, text=said)


def _label_as_may_be(client: Client, repository: Repository, known: PullRequest, names: list[str]) -> list[str]:
    """Who proposes from a fork may often do nothing else there, as anybody on GitHub: then it goes without labels."""
    try:
        _label(client, repository, known.number, names)
    except (Refused, NotFound) as error:
        if not split_head(known.branch)[0]:
            raise
        log.warning("%s cannot be labelled: %s", known.url, error)
        return []
    return names


def _label(client: Client, repository: Repository, number: int, names: Sequence[str]) -> None:
    if not names:
        return
    there = _sdk(client, repository)
    issue = there.get_issue(number)
    try:
        issue.add_to_labels(*names)
    except (Refused, NotFound):
        for name in names:
            with suppress(Refused, NotFound):  # it is there already
                there.create_label(name, LABEL_COLOR)
        issue.add_to_labels(*names)


def _ask(pull: SdkPullRequest, reviewers: Sequence[str]) -> tuple[str, ...]:
    """Ask them all; where GitHub refuses that, one by one, and leave out whom it refuses (a stranger, the author)."""
    if not reviewers:
        return ()
    teams = [name.partition("/")[2] for name in reviewers if "/" in name]
    try:
        pull.create_review_request([name for name in reviewers if "/" not in name], teams)
    except (Refused, NotFound) as error:
        if len(reviewers) == 1:
            log.warning("%s cannot be asked to review %s: %s", reviewers[0], pull.url, error)
            return ()
        return tuple(asked for reviewer in reviewers for asked in _ask(pull, [reviewer]))
    return tuple(reviewers)


def _enable_auto_merge(client: Client, repository: Repository, number: int) -> bool:
    """Where the repository does not allow it, a person merges."""
    found = _read(client, repository, number)
    wanted = {"pullRequestId": found["pullRequest"]["id"], "mergeMethod": found["viewerDefaultMergeMethod"]}
    try:
        client.graphql(AUTO_MERGE, {"input": wanted})
    except Refused as error:
        log.warning("%s#%d does not merge by itself: %s", repository.full_name, number, error)
        return False
    return True


def _read(client: Client, repository: Repository, number: int) -> Node:
    rest_path(repository)
    variables = {"owner": repository.org, "name": repository.name, "number": number}
    found: Node = client.graphql(PULL_REQUEST, variables)["repository"]
    _require_name(repository, found)
    return found


def _sdk(client: Client, repository: Repository) -> SdkRepository:
    """PyGithub's object of that name: nothing is asked of GitHub for it."""
    return SdkRepository(client, url=rest_path(repository))


def _busy(known: PullRequest) -> list[str]:
    return [*known.text.reviewers, *(review.author for review in known.reviews)]


def _require_name(repository: Repository, node: Node) -> None:
    """GraphQL follows a rename without a word."""
    if node["nameWithOwner"].lower() != repository.full_name.lower():
        raise renamed(repository.full_name, node["nameWithOwner"])


def _same_head(one: str, other: str) -> bool:
    """GitHub tells no logins apart by their case, and does so with branches."""
    (owner, branch), (others, wanted) = split_head(one), split_head(other)
    return (owner.lower(), branch) == (others.lower(), wanted)


def _why_refused(error: Refused, repository: Repository, branch: str, base: str) -> HostError:
    for field, name in (("head", branch), ("base", base)):
        if error.blames(field):
            return NotFound(f"{repository.full_name} has no branch {name}")
    return error
