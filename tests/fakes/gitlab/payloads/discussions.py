"""Issues, merge requests and what is said about them, as the API shows them."""

from __future__ import annotations

from tests.fakes.forge import gitstore
from tests.fakes.gitlab import access, merging
from tests.fakes.gitlab.access import Actor
from tests.fakes.gitlab.payloads import projects
from tests.fakes.gitlab.payloads.basics import maybe_user, user, when
from tests.fakes.gitlab.records import JSON, Discussion, Issue, MergeRequest, Note
from tests.fakes.gitlab.state import State

_TIME = {"time_estimate": 0, "total_time_spent": 0, "human_time_estimate": None, "human_total_time_spent": None}
_TASKS = {"count": 0, "completed_count": 0}


def web_url(state: State, found: Issue) -> str:
    kind = "merge_requests" if isinstance(found, MergeRequest) else "issues"
    return f"{projects.web_url(state, found.project)}/-/{kind}/{found.iid}"


def _thread(state: State, found: Issue, mark: str) -> JSON:
    """What issues and merge requests have in common."""
    votes = {"thumbsup": 0, "thumbsdown": 0}
    for each in found.awards:
        votes[each.name] = votes.get(each.name, 0) + 1
    own = f"{mark}{found.iid}"
    return {
        "id": found.id,
        "iid": found.iid,
        "project_id": found.project.id,
        "title": found.title,
        "description": found.description,
        "state": found.state,
        "created_at": when(found.created_at),
        "updated_at": when(found.updated_at),
        "closed_at": when(found.closed_at),
        "closed_by": maybe_user(state, found.closed_by),
        "labels": sorted(each.name for each in found.labels),
        "milestone": None,
        "assignees": [user(state, each) for each in found.assignees],
        "assignee": maybe_user(state, found.assignees[0] if found.assignees else None),
        "author": user(state, found.author),
        "user_notes_count": sum(not note.system for note in found.notes),
        "upvotes": votes["thumbsup"],
        "downvotes": votes["thumbsdown"],
        "discussion_locked": found.locked or None,
        "web_url": web_url(state, found),
        "references": {"short": own, "relative": own, "full": f"{found.project.full_path}{own}"},
        "time_stats": dict(_TIME),
        "task_completion_status": dict(_TASKS),
        "imported": False,
        "imported_from": "none",
    }


def issue(state: State, found: Issue) -> JSON:
    return {
        **_thread(state, found, "#"),
        "type": "ISSUE",
        "issue_type": "issue",
        "confidential": found.confidential,
        "due_date": None,
        "merge_requests_count": 0,
        "has_tasks": False,
        "_links": {
            "self": f"{state.api_url}/projects/{found.project.id}/issues/{found.iid}",
            "notes": f"{state.api_url}/projects/{found.project.id}/issues/{found.iid}/notes",
            "award_emoji": f"{state.api_url}/projects/{found.project.id}/issues/{found.iid}/award_emoji",
            "project": f"{state.api_url}/projects/{found.project.id}",
            "closed_as_duplicate_of": None,
        },
        "moved_to_id": None,
        "service_desk_reply_to": None,
        "severity": "UNKNOWN",
        "subscribed": False,
        "weight": None,
        "blocking_issues_count": 0,
    }


def merge_request(state: State, found: MergeRequest) -> JSON:
    """As it stands in a list."""
    status = merging.detailed_status(found)
    merged = {"mergeable": "can_be_merged", "conflict": "cannot_be_merged"}
    return {
        **_thread(state, found, "!"),
        "merged_by": maybe_user(state, found.merged_by),
        "merge_user": maybe_user(state, found.merged_by or found.auto_merge_by),
        "merged_at": when(found.merged_at),
        "target_branch": found.target_branch,
        "source_branch": found.source_branch,
        "reviewers": [user(state, each.user) for each in found.reviewers],
        "source_project_id": found.source_project.id,
        "target_project_id": found.project.id,
        "draft": found.draft,
        "work_in_progress": found.draft,
        "merge_when_pipeline_succeeds": found.auto_merge_by is not None,
        "merge_status": merged.get(status, "can_be_merged"),
        "detailed_merge_status": status,
        "merge_after": None,
        "sha": found.head_sha,
        "merge_commit_sha": found.merge_commit_sha,
        "squash_commit_sha": found.squash_commit_sha,
        "should_remove_source_branch": None,
        "force_remove_source_branch": found.remove_source_branch,
        "prepared_at": when(found.created_at),
        "allow_collaboration": found.allow_collaboration,
        "allow_maintainer_to_push": found.allow_collaboration,
        "reference": f"!{found.iid}",
        "squash": found.squash,
        "squash_on_merge": squashes(found),
        "has_conflicts": status == "conflict",
        "blocking_discussions_resolved": found.discussions_resolved,
        "approvals_before_merge": None,
    }


def squashes(found: MergeRequest) -> bool:
    """What the project says goes before what the merge request says."""
    return {"always": True, "never": False}.get(found.project.squash_option, found.squash)


def one_merge_request(state: State, found: MergeRequest, actor: Actor) -> JSON:
    pipeline = merging.head_pipeline(found)
    changed = 0
    if found.base_sha and found.head_sha:
        changed = sum(1 for _ in gitstore.changed_files(found.project, found.base_sha, found.head_sha))
    may = actor.token is not None and access.may_merge(state, actor.user, found.project, found.target_branch)
    return {
        **merge_request(state, found),
        "subscribed": False,
        "changes_count": str(changed) if changed else None,
        "latest_build_started_at": when(pipeline.started_at) if pipeline else None,
        "latest_build_finished_at": when(pipeline.finished_at) if pipeline else None,
        "first_deployed_to_production_at": None,
        "pipeline": projects.pipeline(state, pipeline) if pipeline else None,
        "head_pipeline": projects.one_pipeline(state, pipeline) if pipeline else None,
        "diff_refs": {"base_sha": found.base_sha, "head_sha": found.head_sha, "start_sha": found.start_sha},
        "merge_error": None,
        "first_contribution": False,
        "user": {"can_merge": may},
    }


def approvals(state: State, found: MergeRequest, actor: Actor) -> JSON:
    lacking = merging.missing_approvals(found)
    mine = actor.token is not None and any(each is actor.user for each, _ in found.approved_by)
    return {
        "id": found.id,
        "iid": found.iid,
        "project_id": found.project.id,
        "title": found.title,
        "description": found.description,
        "state": found.state,
        "created_at": when(found.created_at),
        "updated_at": when(found.updated_at),
        "merge_status": "can_be_merged",
        "approved": lacking == 0,
        "approvals_required": found.project.approvals_required,
        "approvals_left": lacking,
        "require_password_to_approve": False,
        "approved_by": [{"user": user(state, each), "approved_at": when(moment)} for each, moment in found.approved_by],
        "suggested_approvers": [],
        "approvers": [],
        "approver_groups": [],
        "user_has_approved": mine,
        "user_can_approve": actor.token is not None and not mine and actor.user is not found.author,
        "approval_rules_left": [],
        "has_approval_rules": True,
        "merge_request_approvers_available": True,
        "multiple_approval_rules_available": True,
        "invalid_approvers_rules": [],
    }


def note(state: State, found: Note) -> JSON:
    thread = found.thread
    shown: JSON = {
        "id": found.id,
        "type": found.type,
        "body": found.body,
        "author": user(state, found.author),
        "created_at": when(found.created_at),
        "updated_at": when(found.updated_at),
        "system": found.system,
        "noteable_id": thread.id,
        "noteable_type": "MergeRequest" if isinstance(thread, MergeRequest) else "Issue",
        "project_id": thread.project.id,
        "resolvable": found.resolvable,
        "confidential": found.internal,
        "internal": found.internal,
        "imported": False,
        "imported_from": "none",
        "noteable_iid": thread.iid,
        "commands_changes": {},
    }
    if found.position is not None and isinstance(thread, MergeRequest):
        shown |= {"commit_id": thread.head_sha, "position": found.position}
    if found.resolvable:
        shown |= {
            "resolved": found.resolved_by is not None,
            "resolved_by": maybe_user(state, found.resolved_by),
            "resolved_at": when(found.resolved_at),
        }
    return shown


def discussion(state: State, found: Discussion) -> JSON:
    return {"id": found.id, "individual_note": found.individual, "notes": [note(state, each) for each in found.notes]}
