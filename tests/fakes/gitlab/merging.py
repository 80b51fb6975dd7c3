"""Whether a merge request can be merged, and why not: computed from the repository as it is."""

from __future__ import annotations

from collections.abc import Iterator

from tests.fakes.forge import gitstore
from tests.fakes.gitlab.payloads.projects import last_pipeline
from tests.fakes.gitlab.records import MergeRequest, Pipeline
from tests.fakes.gitlab.state import State

ACTIVE = ("created", "waiting_for_resource", "preparing", "pending", "running", "scheduled")


def is_unchecked(state: State, pull: MergeRequest) -> bool:
    """Whether GitLab has yet to find out, in the background: the first look after a change does not tell."""
    now = (pull.head_sha, gitstore.head(pull.project, pull.target_branch))
    return state.checks_later and pull.state == "opened" and pull.checked_at != now


def look(pull: MergeRequest) -> None:
    """Somebody has looked."""
    pull.checked_at = (pull.head_sha, gitstore.head(pull.project, pull.target_branch))


def head_pipeline(pull: MergeRequest) -> Pipeline | None:
    return last_pipeline(pull.source_project, pull.head_sha)


def conflicts(pull: MergeRequest) -> bool:
    return pull.state == "opened" and not gitstore.mergeable(pull.project, pull.target_branch, pull.head_sha)


def missing_approvals(pull: MergeRequest) -> int:
    return max(pull.project.approvals_required - len(pull.approved_by), 0)


def _is_behind(pull: MergeRequest) -> bool:
    base = gitstore.head(pull.project, pull.target_branch)
    return base is None or not gitstore.is_ancestor(pull.project, base, pull.head_sha)


def detailed_status(pull: MergeRequest) -> str:
    """GitLab's `detailed_merge_status`: the first thing that is in the way, or `mergeable`."""
    return next(_in_the_way(pull), "mergeable")


def _in_the_way(pull: MergeRequest) -> Iterator[str]:
    if pull.state != "opened":
        yield "not_open"
    if gitstore.head(pull.source_project, pull.source_branch) is None or pull.head_sha == pull.base_sha:
        yield "commits_status"
    if pull.draft:
        yield "draft_status"
    if pull.project.only_allow_merge_if_all_discussions_are_resolved and not pull.discussions_resolved:
        yield "discussions_not_resolved"
    if missing_approvals(pull):
        yield "not_approved"
    if any(each.state == "requested_changes" for each in pull.reviewers):
        yield "requested_changes"
    if conflicts(pull):
        yield "conflict"
    if pull.project.merge_method != "merge" and _is_behind(pull):
        yield "need_rebase"
    if pull.project.only_allow_merge_if_pipeline_succeeds:
        yield from _of_pipeline(pull)


def _of_pipeline(pull: MergeRequest) -> Iterator[str]:
    pipeline = head_pipeline(pull)
    if pipeline is not None and pipeline.status in ACTIVE:
        yield "ci_still_running"
    elif pipeline is None or pipeline.status != "success":
        yield "ci_must_pass"
