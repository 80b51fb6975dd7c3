"""Merge requests, and what is said about them."""

from __future__ import annotations

from typing import Any

from tests.fakes.forge import gitstore
from tests.fakes.gitlab import access, merging
from tests.fakes.gitlab.graphql.fields import Context, gid, on, page, reads
from tests.fakes.gitlab.graphql.projects import commit
from tests.fakes.gitlab.payloads import discussions as shapes
from tests.fakes.gitlab.payloads.basics import when
from tests.fakes.gitlab.records import JSON, Group, Label, MergeRequest, Pipeline, Project, Reviewer, User

_ORDERS = {
    "CREATED": lambda each: (each.created_at, each.id),
    "UPDATED": lambda each: (each.updated_at, each.id),
}


@on("Project", "mergeRequest")
def merge_request(found: Project, context: Context, iid: str) -> MergeRequest | None:
    return found.merge_requests.get(int(iid))


@on("Project", "mergeRequests")
def merge_requests(found: Project, context: Context, **asked: Any) -> JSON:
    return _chosen(list(found.merge_requests.values()), **asked)


@on("Group", "mergeRequests")
def merge_requests_of_group(found: Group, context: Context, includeSubgroups: bool = False, **asked: Any) -> JSON:
    within = context.state.projects_in(found, subgroups=includeSubgroups)
    seen = [each for each in within if access.sees(context.state, context.actor, each)]
    return _chosen([pull for each in seen for pull in each.merge_requests.values()], **asked)


def _chosen(
    found: list[MergeRequest],
    iids: list[str] | None = None,
    sourceBranches: list[str] | None = None,
    targetBranches: list[str] | None = None,
    state: str | None = None,
    authorUsername: str | None = None,
    updatedAfter: str | None = None,
    sort: str = "CREATED_DESC",
    **cut: Any,
) -> JSON:
    wanted = [
        each
        for each in found
        if (iids is None or str(each.iid) in iids)
        and (sourceBranches is None or each.source_branch in sourceBranches)
        and (targetBranches is None or each.target_branch in targetBranches)
        and state in (None, "all", each.state)
        and authorUsername in (None, each.author.username)
        and (updatedAfter is None or (when(each.updated_at) or "")[:19] > updatedAfter[:19])
    ]
    name, _, direction = sort.partition("_")
    return page(sorted(wanted, key=_ORDERS[name], reverse=direction == "DESC"), **cut)


_PLAIN = {
    "id": lambda found: gid("MergeRequest", found.id),
    "iid": lambda found: str(found.iid),
    "createdAt": lambda found: when(found.created_at),
    "updatedAt": lambda found: when(found.updated_at),
    "mergedAt": lambda found: when(found.merged_at),
    "closedAt": lambda found: when(found.closed_at),
    "projectId": lambda found: found.project.id,
    "targetProject": lambda found: found.project,
    "targetProjectId": lambda found: found.project.id,
    "sourceProjectId": lambda found: found.source_project.id,
    "sourceBranch": lambda found: found.source_branch,
    "targetBranch": lambda found: found.target_branch,
    "diffHeadSha": lambda found: found.head_sha,
    "diffRefs": lambda found: {"baseSha": found.base_sha, "headSha": found.head_sha, "startSha": found.start_sha},
    "mergeCommitSha": lambda found: found.merge_commit_sha,
    "mergeableDiscussionsState": lambda found: found.discussions_resolved,
    "autoMergeEnabled": lambda found: found.auto_merge_by is not None,
    "mergeUser": lambda found: found.merged_by or found.auto_merge_by,
    "headPipeline": merging.head_pipeline,
    "approved": lambda found: not merging.missing_approvals(found),
    "approvalsRequired": lambda found: found.project.approvals_required,
    "approvalsLeft": merging.missing_approvals,
}
reads("MergeRequest", **_PLAIN)

_LISTS = {
    "approvedBy": lambda found: [each for each, _ in found.approved_by],
    "assignees": lambda found: found.assignees,
    "reviewers": lambda found: found.reviewers,
    "labels": lambda found: sorted(found.labels, key=lambda each: each.name),
    "notes": lambda found: found.notes,
}
for _field, _read in _LISTS.items():
    on("MergeRequest", _field)(lambda found, _context, _read=_read, **cut: page(_read(found), **cut))


@on("MergeRequest", "sourceProject")
def source_project(found: MergeRequest, context: Context) -> Project | None:
    """None for a fork that is gone, or not to be seen."""
    source = found.source_project
    there = source.id in context.state.projects
    return source if there and access.sees(context.state, context.actor, source) else None


@on("MergeRequest", "webUrl")
def web_url(found: MergeRequest, context: Context) -> str:
    return shapes.web_url(context.state, found)


def _status(found: MergeRequest, context: Context) -> str:
    context.looked_at.append(found)
    return "checking" if merging.is_unchecked(context.state, found) else merging.detailed_status(found)


@on("MergeRequest", "detailedMergeStatus")
def detailed_merge_status(found: MergeRequest, context: Context) -> str:
    return _status(found, context).upper()


@on("MergeRequest", "mergeStatusEnum")
def merge_status(found: MergeRequest, context: Context) -> str:
    return {"checking": "CHECKING", "conflict": "CANNOT_BE_MERGED"}.get(_status(found, context), "CAN_BE_MERGED")


@on("MergeRequest", "conflicts")
def conflicts(found: MergeRequest, context: Context) -> bool:
    return not merging.is_unchecked(context.state, found) and merging.conflicts(found)


@on("MergeRequest", "commits")
@on("MergeRequest", "commitsWithoutMergeCommits")
def commits(found: MergeRequest, context: Context, **cut: Any) -> JSON:
    """Newest first."""
    made = gitstore.between(found.project, found.base_sha, found.head_sha)[::-1]
    return page([commit(context, found.project, each) for each in made if len(each.parent_ids) < 2], **cut)


@on("UserCore", "id")
@on("CurrentUser", "id")
def user_id(found: User, context: Context) -> str:
    return gid("User", found.id)


@on("UserCore", "webUrl")
def user_url(found: User, context: Context) -> str:
    return f"{context.state.url}/{found.username}"


@on("MergeRequestReviewer", "id")
def reviewer_id(found: Reviewer, context: Context) -> str:
    return gid("User", found.user.id)


@on("MergeRequestReviewer", "username")
def reviewer_username(found: Reviewer, context: Context) -> str:
    return found.user.username


@on("MergeRequestReviewer", "name")
def reviewer_name(found: Reviewer, context: Context) -> str:
    return found.user.name


@on("MergeRequestReviewer", "mergeRequestInteraction")
def interaction(found: Reviewer, context: Context) -> JSON:
    told = {"approved": found.state == "approved", "reviewed": found.state in ("reviewed", "approved", "requested_changes")}
    return {"reviewState": found.state.upper(), **told}


@on("Label", "id")
def label_id(found: Label, context: Context) -> str:
    return gid("GroupLabel" if found.group else "ProjectLabel", found.id)


@on("Label", "title")
def label_title(found: Label, context: Context) -> str:
    return found.name


@on("Pipeline", "id")
def pipeline_id(found: Pipeline, context: Context) -> str:
    return gid("Ci::Pipeline", found.id)


@on("Pipeline", "status")
def pipeline_status(found: Pipeline, context: Context) -> str:
    return found.status.upper()


@on("Pipeline", "createdAt")
def pipeline_created(found: Pipeline, context: Context) -> str | None:
    return when(found.created_at)


@on("Pipeline", "jobs")
def pipeline_jobs(found: Pipeline, context: Context, *, retried: bool | None = None, **pages: Any) -> JSON:
    """The newest first."""
    jobs = [each for each in found.project.statuses if each.pipeline is found and retried in (None, each.retried)]
    return page(jobs[::-1], **pages)


reads(
    "CiJob",
    id=lambda found: gid("GenericCommitStatus", found.id),
    status=lambda found: found.status.upper(),
    allowFailure=lambda found: found.allow_failure,
)

_NOTES = {
    "id": lambda found: gid("Note", found.id),
    "createdAt": lambda found: when(found.created_at),
    "updatedAt": lambda found: when(found.updated_at),
    "resolved": lambda found: found.resolved_by is not None,
}
reads("Note", **_NOTES)
