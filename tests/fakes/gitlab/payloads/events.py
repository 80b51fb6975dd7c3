"""What webhooks tell. Their shapes are not the API's: other names, other times, labels as objects."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pygit2

from tests.fakes.forge import gitstore
from tests.fakes.forge.gitstore import NO_COMMIT
from tests.fakes.gitlab import merging
from tests.fakes.gitlab.payloads import discussions, projects
from tests.fakes.gitlab.payloads.basics import VISIBILITY_LEVELS
from tests.fakes.gitlab.records import (
    JSON,
    Award,
    Issue,
    Label,
    MergeRequest,
    Note,
    Pipeline,
    Project,
    User,
)
from tests.fakes.gitlab.state import State

MOST_COMMITS = 20
_STATE_IDS = {"opened": 1, "closed": 2, "merged": 3, "locked": 4}


def moment(found: datetime | None) -> str | None:
    return None if found is None else found.strftime("%Y-%m-%d %H:%M:%S UTC")


def user(found: User) -> JSON:
    told = found.email if not found.bot else "[REDACTED]"
    return {"id": found.id, "name": found.name, "username": found.username, "avatar_url": None, "email": told}


def project(state: State, found: Project) -> JSON:
    web = projects.web_url(state, found)
    return {
        "id": found.id,
        "name": found.name,
        "description": found.description,
        "web_url": web,
        "avatar_url": None,
        "git_ssh_url": projects.ssh_url(state, found),
        "git_http_url": f"{web}.git",
        "namespace": found.group.name,
        "visibility_level": VISIBILITY_LEVELS[found.visibility],
        "path_with_namespace": found.full_path,
        "default_branch": found.default_branch,
        "ci_config_path": "",
        "homepage": web,
        "url": projects.ssh_url(state, found),
        "ssh_url": projects.ssh_url(state, found),
        "http_url": f"{web}.git",
    }


def repository(state: State, found: Project) -> JSON:
    return {
        "name": found.name,
        "url": projects.ssh_url(state, found),
        "description": found.description,
        "homepage": projects.web_url(state, found),
    }


def about(state: State, found: Project, by: User) -> JSON:
    """What stands in every event of a project."""
    return {"user": user(by), "project": project(state, found), "repository": repository(state, found)}


def label(found: Label, owner: Project) -> JSON:
    made = moment(found.created_at)
    return {
        "id": found.id,
        "title": found.name,
        "color": found.color,
        "project_id": None if found.group else owner.id,
        "created_at": made,
        "updated_at": made,
        "template": False,
        "description": found.description,
        "type": "GroupLabel" if found.group else "ProjectLabel",
        "group_id": owner.group.id if found.group else None,
    }


def _thread(state: State, found: Issue) -> JSON:
    return {
        "author_id": found.author.id,
        "created_at": moment(found.created_at),
        "description": found.description,
        "id": found.id,
        "iid": found.iid,
        "last_edited_at": None,
        "last_edited_by_id": None,
        "milestone_id": None,
        "state_id": _STATE_IDS[found.state],
        "time_estimate": 0,
        "title": found.title,
        "updated_at": moment(found.updated_at),
        "updated_by_id": None,
        "url": discussions.web_url(state, found),
        "total_time_spent": 0,
        "time_change": 0,
        "human_total_time_spent": None,
        "human_time_change": None,
        "human_time_estimate": None,
        "assignee_ids": [each.id for each in found.assignees],
        "assignee_id": found.assignees[0].id if found.assignees else None,
        "labels": [label(each, found.project) for each in found.labels],
        "state": found.state,
    }


def issue_attributes(state: State, found: Issue) -> JSON:
    return {
        **_thread(state, found),
        "closed_at": moment(found.closed_at),
        "confidential": found.confidential,
        "discussion_locked": found.locked or None,
        "due_date": None,
        "moved_to_id": None,
        "duplicated_to_id": None,
        "project_id": found.project.id,
        "relative_position": None,
        "weight": None,
        "health_status": None,
        "type": "Issue",
        "severity": "unknown",
        "customer_relations_contacts": [],
    }


def merge_request_attributes(state: State, found: MergeRequest) -> JSON:
    pipeline, status = merging.head_pipeline(found), merging.detailed_status(found)
    return {
        **_thread(state, found),
        "draft": found.draft,
        "work_in_progress": found.draft,
        "head_pipeline_id": pipeline.id if pipeline else None,
        "merge_commit_sha": found.merge_commit_sha,
        "merge_error": None,
        "merge_params": {"force_remove_source_branch": "1" if found.remove_source_branch else "0"},
        "merge_status": "cannot_be_merged" if status == "conflict" else "can_be_merged",
        "merge_user_id": found.merged_by.id if found.merged_by else None,
        "merge_when_pipeline_succeeds": found.auto_merge_by is not None,
        "source_branch": found.source_branch,
        "source_project_id": found.source_project.id,
        "target_branch": found.target_branch,
        "target_project_id": found.project.id,
        "prepared_at": moment(found.created_at),
        "source": project(state, found.source_project),
        "target": project(state, found.project),
        "last_commit": commit(state, found.project, gitstore.commit(found.project, found.head_sha)),
        "reviewer_ids": [each.user.id for each in found.reviewers],
        "blocking_discussions_resolved": found.discussions_resolved,
        "first_contribution": False,
        "detailed_merge_status": status,
    }


def attributes(state: State, found: Issue) -> JSON:
    return merge_request_attributes(state, found) if isinstance(found, MergeRequest) else issue_attributes(state, found)


def thread(state: State, found: Issue, by: User, *, changes: JSON, **attributes_: Any) -> JSON:
    """A merge_request or issue event; `attributes_` are the action, and what goes with it."""
    kind = "merge_request" if isinstance(found, MergeRequest) else "issue"
    told = {
        "object_kind": kind,
        "event_type": "confidential_issue" if found.confidential else kind,
        **about(state, found.project, by),
        "object_attributes": {**attributes(state, found), **attributes_},
        "labels": [label(each, found.project) for each in found.labels],
        "changes": changes,
    }
    if found.assignees:
        told["assignees"] = [user(each) for each in found.assignees]
    if isinstance(found, MergeRequest) and found.reviewers:
        told["reviewers"] = [{**user(each.user), "state": each.state, "re_requested": False} for each in found.reviewers]
    return told


def note(state: State, found: Note, by: User, action: str) -> JSON:
    owner = found.thread
    of_pull = isinstance(owner, MergeRequest)
    return {
        "object_kind": "note",
        "event_type": "confidential_note" if found.internal or owner.confidential else "note",
        **about(state, owner.project, by),
        "project_id": owner.project.id,
        "object_attributes": {
            "attachment": None,
            "author_id": found.author.id,
            "change_position": None,
            "commit_id": None,
            "created_at": moment(found.created_at),
            "discussion_id": found.discussion.id,
            "id": found.id,
            "internal": found.internal,
            "line_code": None,
            "note": found.body,
            "noteable_id": owner.id,
            "noteable_type": "MergeRequest" if of_pull else "Issue",
            "original_position": found.position,
            "position": found.position,
            "project_id": owner.project.id,
            "resolved_at": moment(found.resolved_at),
            "resolved_by_id": found.resolved_by.id if found.resolved_by else None,
            "resolved_by_push": None,
            "st_diff": None,
            "system": found.system,
            "type": found.type,
            "updated_at": moment(found.updated_at),
            "updated_by_id": None,
            "description": found.body,
            "url": f"{discussions.web_url(state, owner)}#note_{found.id}",
            "action": action,
        },
        "merge_request" if of_pull else "issue": attributes(state, owner),
    }


def emoji(state: State, found: Award, on: Issue | Note, by: User, action: str) -> JSON:
    """`action` is award or revoke."""
    owner = on.thread if isinstance(on, Note) else on
    kind = "MergeRequest" if isinstance(owner, MergeRequest) else "Issue"
    told = {
        "object_kind": "emoji",
        "event_type": action,
        "user": user(by),
        "project_id": owner.project.id,
        "project": project(state, owner.project),
        "object_attributes": {
            "user_id": found.user.id,
            "created_at": moment(found.created_at),
            "id": found.id,
            "name": found.name,
            "awardable_type": "Note" if isinstance(on, Note) else kind,
            "awardable_id": on.id,
            "updated_at": moment(found.created_at),
            "action": action,
            "awarded_on_url": discussions.web_url(state, owner),
        },
        "merge_request" if kind == "MergeRequest" else "issue": attributes(state, owner),
    }
    return told | ({"note": {"id": on.id, "note": on.body, "author_id": on.author.id}} if isinstance(on, Note) else {})


def commit(state: State, found: Project, made: pygit2.Commit) -> JSON:
    return {
        "id": str(made.id),
        "message": made.message,
        "title": made.message.split("\n", 1)[0],
        "timestamp": datetime.fromtimestamp(made.commit_time, UTC).isoformat(),
        "url": f"{projects.web_url(state, found)}/-/commit/{made.id}",
        "author": {"name": made.author.name, "email": made.author.email},
    }


def _pushed(state: State, found: Project, made: pygit2.Commit) -> JSON:
    parents = [str(each) for each in made.parent_ids]
    told: dict[str, list[str]] = {"added": [], "modified": [], "removed": []}
    if parents:
        names = {"added": "added", "removed": "removed"}
        for patch in gitstore.changed_files(found, parents[0], str(made.id)):
            told[names.get(gitstore.STATUSES.get(patch.delta.status, ""), "modified")].append(patch.delta.new_file.path)
    return {**commit(state, found, made), **told}


def push(state: State, found: Project, by: User, name: str, old: str, new: str) -> JSON:
    made, gone, tag = old == NO_COMMIT, new == NO_COMMIT, name.startswith("refs/tags/")
    branch = name.removeprefix("refs/heads/")
    base = gitstore.head(found, found.default_branch) if made else old
    every = [] if gone or tag else gitstore.between(found, base or new, new)
    tip = gitstore.commit(found, new) if not gone else None
    return {
        "object_kind": "tag_push" if tag else "push",
        "event_name": "tag_push" if tag else "push",
        "before": old,
        "after": new,
        "ref": name,
        "ref_protected": any(rule.fits(branch) for rule in found.protections.values()),
        "checkout_sha": None if gone else new,
        "message": None,
        "user_id": by.id,
        "user_name": by.name,
        "user_username": by.username,
        "user_email": "",
        "user_avatar": None,
        "project_id": found.id,
        "project": project(state, found),
        "commits": [_pushed(state, found, each) for each in (every[-MOST_COMMITS:] or ([tip] if tip and not tag else []))],
        "total_commits_count": len(every),
        "push_options": {},
        "repository": {
            **repository(state, found),
            "git_http_url": f"{projects.web_url(state, found)}.git",
            "git_ssh_url": projects.ssh_url(state, found),
            "visibility_level": VISIBILITY_LEVELS[found.visibility],
        },
    }


def pipeline(state: State, found: Pipeline, pull: MergeRequest | None) -> JSON:
    owner = found.project
    told: JSON = {
        "object_kind": "pipeline",
        "object_attributes": {
            "id": found.id,
            "iid": found.iid,
            "name": None,
            "ref": found.ref,
            "tag": False,
            "sha": found.sha,
            "before_sha": NO_COMMIT,
            "source": found.source,
            "status": found.status,
            "detailed_status": {"success": "passed"}.get(found.status, found.status),
            "stages": ["external"],
            "created_at": moment(found.created_at),
            "finished_at": moment(found.finished_at),
            "duration": None,
            "queued_duration": None,
            "protected_ref": False,
            "variables": [],
            "url": f"{projects.web_url(state, owner)}/-/pipelines/{found.id}",
        },
        "merge_request": None,
        "user": user(found.user),
        "project": project(state, owner),
        "commit": commit(state, owner, gitstore.commit(owner, found.sha)),
        "builds": [_build(each) for each in owner.statuses if each.pipeline is found and not each.retried],
    }
    if pull is not None:
        told["merge_request"] = {
            "id": pull.id,
            "iid": pull.iid,
            "title": pull.title,
            "source_branch": pull.source_branch,
            "source_project_id": pull.source_project.id,
            "target_branch": pull.target_branch,
            "target_project_id": pull.project.id,
            "state": pull.state,
            "merge_status": "can_be_merged",
            "detailed_merge_status": merging.detailed_status(pull),
            "url": discussions.web_url(state, pull),
        }
    return told


def _build(found: Any) -> JSON:
    return {
        "id": found.id,
        "stage": "external",
        "name": found.name,
        "status": found.status,
        "created_at": moment(found.created_at),
        "started_at": moment(found.started_at),
        "finished_at": moment(found.finished_at),
        "duration": None,
        "queued_duration": None,
        "failure_reason": None,
        "when": "on_success",
        "manual": False,
        "allow_failure": found.allow_failure,
        "user": user(found.author),
        "runner": None,
        "artifacts_file": {"filename": None, "size": None},
        "environment": None,
    }
