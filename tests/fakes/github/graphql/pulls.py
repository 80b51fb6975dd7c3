"""Pull requests, and who and what stands on them."""

from __future__ import annotations

from typing import Any

from tests.fakes.forge import gitstore
from tests.fakes.forge.refusals import not_found
from tests.fakes.github import access
from tests.fakes.github.graphql.fields import Context, connection, field, reads
from tests.fakes.github.payloads.basics import when
from tests.fakes.github.payloads.repositories import html_url
from tests.fakes.github.records import JSON, Account, CheckRun, Comment, Issue, Pull, Repository, Review, Team

reads(
    "PullRequest", id="node_id", databaseId="id", author="user", headRefName="head_ref", headRefOid="head_sha",
    baseRefName="base_ref", baseRefOid="base_sha", isDraft="draft", mergedBy="merged_by",
    baseRepository="repository", headRepository="head_repository",
)  # fmt: skip
OPINIONS = ("APPROVED", "CHANGES_REQUESTED", "DISMISSED")
reads("IssueComment", id="node_id", databaseId="id", author="user")
reads("PullRequestReview", id="node_id", databaseId="id", author="user")
reads("Issue", id="node_id", databaseId="id", author="user")
reads("Label", id="node_id")
reads("Team", id="node_id", databaseId="id", name="slug")


def _require(source: Repository, context: Context) -> None:
    access.require(context.actor, source, ("pull_requests",), "read")


@field("Repository", "pullRequest")
def pull_request(source: Repository, context: Context, number: int) -> Pull:
    _require(source, context)
    return context.state.pull(source, number)


@field("Repository", "pullRequests")
def pull_requests(
    source: Repository,
    context: Context,
    *,
    states: list[str] | None = None,
    headRefName: str | None = None,
    baseRefName: str | None = None,
    labels: list[str] | None = None,
    orderBy: JSON | None = None,
    **page: Any,
) -> JSON:
    _require(source, context)
    found = [each for each in source.pulls if states is None or state_of(each, context) in states]
    found = [each for each in found if headRefName in (None, each.head_ref) and baseRefName in (None, each.base_ref)]
    if labels is not None:
        found = [each for each in found if {label.name for label in each.labels} & set(labels)]
    newest_first = orderBy is not None and orderBy["direction"] == "DESC"
    return connection(found[::-1] if newest_first else found, **page)


@field("PullRequest", "headRepositoryOwner")
def head_owner(source: Pull, _: Context) -> Account:
    return source.head_repository.owner


@field("PullRequest", "state")
def state_of(source: Pull, _: Context) -> str:
    return "MERGED" if source.merged_at else source.state.upper()


@field("Issue", "state")
def issue_state(source: Issue, _: Context) -> str:
    return source.state.upper()


@field("PullRequest", "body")
@field("Issue", "body")
def body(source: Issue, _: Context) -> str:
    return source.body or ""


@field("PullRequest", "merged")
def merged(source: Pull, _: Context) -> bool:
    return source.merged_at is not None


@field("PullRequest", "isCrossRepository")
def is_cross_repository(source: Pull, _: Context) -> bool:
    return source.head_repository is not source.repository


@field("PullRequest", "mergeable")
def mergeable(source: Pull, _: Context) -> str:
    return "MERGEABLE" if gitstore.mergeable(source.repository, source.base_ref, source.head_sha) else "CONFLICTING"


@field("PullRequest", "url")
def url(source: Pull, context: Context) -> str:
    return f"{html_url(context.state, source.repository)}/pull/{source.number}"


@field("PullRequest", "autoMergeRequest")
def auto_merge_request(source: Pull, context: Context) -> JSON | None:
    if source.auto_merge is None:
        return None
    by = context.state.account(source.auto_merge["enabled_by"]["login"])
    method = source.auto_merge["merge_method"].upper()
    return {"enabledAt": when(source.updated_at), "enabledBy": by, "mergeMethod": method, "pullRequest": source}


@field("PullRequest", "labels")
@field("Issue", "labels")
def labels(source: Issue, _: Context, **page: Any) -> JSON:
    return connection(source.labels, **page)


@field("PullRequest", "comments")
@field("Issue", "comments")
def comments(source: Issue, _: Context, **page: Any) -> JSON:
    return connection(source.comments, **page)


@field("PullRequest", "reviews")
def reviews(source: Pull, _: Context, **page: Any) -> JSON:
    return connection(source.reviews, **page)


@field("PullRequest", "reviewRequests")
def review_requests(source: Pull, _: Context, **page: Any) -> JSON:
    asked: list[Any] = [*source.requested_reviewers, *source.requested_teams]
    return connection([{"requestedReviewer": each} for each in asked], **page)


@field("Team", "combinedSlug")
def combined_slug(source: Team, context: Context) -> str:
    for account in context.state.accounts.values():
        if account.teams.get(source.slug) is source:
            return f"{account.login}/{source.slug}"
    raise not_found()


@field("PullRequest", "timelineItems")
def timeline_items(source: Pull, _: Context, *, itemTypes: list[str] | None = None, **page: Any) -> JSON:
    """Only how it was closed is told."""
    wanted = itemTypes is None or "CLOSED_EVENT" in itemTypes
    events = [{"__typename": "ClosedEvent", "actor": source.closed_by, "createdAt": when(source.closed_at)}]
    return connection(events if wanted and source.closed_at else [], **page)


@field("PullRequest", "createdAt")
@field("Issue", "createdAt")
@field("IssueComment", "createdAt")
def created_at(source: Issue | Comment, _: Context) -> str | None:
    return when(source.created_at)


@field("PullRequest", "commits")
def commits(source: Pull, _: Context, **page: Any) -> JSON:
    found = gitstore.between(source.repository, source.base_sha, source.head_sha)
    return connection([{"commit": each} for each in found], **page)


@field("PullRequest", "statusCheckRollup")
def status_check_rollup(source: Pull, context: Context) -> JSON | None:
    for permission in ("checks", "statuses"):
        access.require(context.actor, source.repository, (permission,), "read")
    runs = [run for run in source.repository.check_runs.values() if run.head_sha == source.head_sha]
    newest = {each.context: each.state for each in source.repository.statuses if each.sha == source.head_sha}
    said = {run.conclusion or "pending" for run in runs} | set(newest.values())
    if not said:
        return None
    told = [_check_run(run) for run in runs]
    told += [{"__typename": "StatusContext", "context": name, "state": state.upper()} for name, state in newest.items()]
    if said - {"success", "neutral", "skipped", "pending"}:
        return {"state": "FAILURE", "told": told}
    return {"state": "PENDING" if "pending" in said else "SUCCESS", "told": told}


def _check_run(run: CheckRun) -> JSON:
    conclusion = run.conclusion and run.conclusion.upper()
    return {"__typename": "CheckRun", "name": run.name, "status": run.status.upper(), "conclusion": conclusion}


@field("StatusCheckRollup", "contexts")
def rollup_contexts(source: JSON, _: Context, **page: Any) -> JSON:
    return connection(source["told"], **page)


@field("PullRequest", "latestOpinionatedReviews")
def opinionated(source: Pull, _: Context, *, writersOnly: bool = False, **page: Any) -> JSON:
    wanted = [each for each in source.reviews if each.state in OPINIONS]
    newest = {each.user.login: each for each in wanted if not writersOnly or _writes(source, each)}
    return connection(list(newest.values()), **page)


def _writes(source: Pull, review: Review) -> bool:
    return access.role(source.repository, review.user) in ("write", "maintain", "admin")


@field("PullRequest", "reviewDecision")
def review_decision(source: Pull, context: Context) -> str | None:
    """Null where no rule of the base asks for reviews."""
    needed = max((rule.reviews for rule in source.repository.protections if rule.fits(source.base_ref)), default=0)
    if not needed:
        return None
    verdicts = [each.state for each in opinionated(source, context, writersOnly=True, last=100)["nodes"]]
    if "CHANGES_REQUESTED" in verdicts:
        return "CHANGES_REQUESTED"
    return "APPROVED" if verdicts.count("APPROVED") >= needed else "REVIEW_REQUIRED"


@field("PullRequest", "updatedAt")
def updated_at(source: Pull, _: Context) -> str | None:
    return when(source.updated_at)


@field("PullRequestReview", "submittedAt")
def submitted_at(source: Review, _: Context) -> str | None:
    return when(source.submitted_at)
