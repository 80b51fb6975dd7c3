"""/projects/…/merge_requests, and those of a group."""

from __future__ import annotations

from typing import Any

from tests.fakes.forge import gitstore
from tests.fakes.forge.refusals import Refused
from tests.fakes.gitlab import access, merging
from tests.fakes.gitlab.changes import merge_requests as changes
from tests.fakes.gitlab.payloads import discussions as shapes
from tests.fakes.gitlab.payloads import projects as project_shapes
from tests.fakes.gitlab.payloads.basics import user, when
from tests.fakes.gitlab.records import JSON, Group, Level, MergeRequest, Project, User
from tests.fakes.gitlab.rest.code import diffs
from tests.fakes.gitlab.rest.issues import filtered, label_changes, require_edit
from tests.fakes.gitlab.rest.routing import Call, Reply, on

PULLS = "/projects/<id>/merge_requests"
ONE = f"{PULLS}/<int:iid>"


def _chosen(call: Call, found: list[MergeRequest]) -> list[Any]:
    for name in ("source_branch", "target_branch"):
        if wanted := call.text(name):
            found = [each for each in found if getattr(each, name) == wanted]
    if source := call.number("source_project_id", 0):
        found = [each for each in found if each.source_project.id == source]
    if (draft := call.text("wip") or call.text("draft")) in ("yes", "no"):
        found = [each for each in found if each.draft is (draft == "yes")]
    if reviewer := call.text("reviewer_username"):
        found = [each for each in found if reviewer in {r.user.username for r in each.reviewers}]
    return filtered(call, found)


@on("GET", PULLS)
def list_merge_requests(call: Call, project: Project) -> Reply:
    found = _chosen(call, list(project.merge_requests.values()))
    return call.page(found, lambda each: shapes.merge_request(call.state, each))


@on("GET", "/groups/<id>/merge_requests")
def list_of_group(call: Call, group: Group) -> Reply:
    """Of every project below it that the asking user sees."""
    seen = [each for each in call.state.projects_in(group) if access.sees(call.state, call.actor, each)]
    if call.flag("non_archived", default=True):
        seen = [each for each in seen if not each.archived]
    found = _chosen(call, [pull for each in seen for pull in each.merge_requests.values()])
    return call.page(found, lambda each: shapes.merge_request(call.state, each))


@on("POST", PULLS, scopes=("api",))
def create_merge_request(call: Call, project: Project) -> Reply:
    """Asked of the project that has the source branch; `target_project_id` names another to merge into."""
    target = call.state.project(call.number("target_project_id", project.id))
    access.require(call.state, call.actor, project, Level.DEVELOPER)
    _require_into(call, target)
    made = changes.open_merge_request(
        call.state, target, call.by,
        title=call.required("title"), source=call.required("source_branch"), target=call.required("target_branch"),
        source_project=project, description=call.given.get("description"), labels=call.words("labels"),
        reviewers=_people(call, "reviewer_ids"), assignees=_people(call, "assignee_ids"),
        squash=call.maybe_flag("squash"), remove_source_branch=call.maybe_flag("remove_source_branch"),
        allow_collaboration=call.flag("allow_collaboration"),
    )  # fmt: skip
    return Reply(201, shapes.one_merge_request(call.state, made, call.actor))


def _require_into(call: Call, target: Project) -> None:
    """Whoever sees a public project may offer it a change from a fork."""
    level = Level.NONE if target.visibility != "private" else Level.REPORTER
    access.require(call.state, call.actor, target, level)
    if not target.merge_requests_enabled or target.archived:
        raise Refused(403, "403 Forbidden")


def _people(call: Call, name: str) -> list[User]:
    """Numbers that nobody has are left out in silence, as GitLab does; 0 is for nobody."""
    return [call.state.users[number] for number in call.numbers(name) if number in call.state.users]


@on("GET", ONE)
def get_merge_request(call: Call, project: Project, iid: str) -> Reply:
    return _shown(call, call.state.merge_request(project, int(iid)))


def _shown(call: Call, pull: MergeRequest, status: int = 200) -> Reply:
    return Reply(status, _lazily(call, pull, shapes.one_merge_request(call.state, pull, call.actor)))


def _lazily(call: Call, pull: MergeRequest, shown: JSON) -> JSON:
    """GitLab finds out in the background whether it can be merged: the first look after a change may not tell."""
    if merging.is_unchecked(call.state, pull):
        merging.look(pull)
        return {**shown, "merge_status": "checking", "detailed_merge_status": "checking", "has_conflicts": False}
    return shown


@on("PUT", ONE)
def update_merge_request(call: Call, project: Project, iid: str) -> Reply:
    pull = call.state.merge_request(project, int(iid))
    require_edit(call, pull)
    fields: JSON = {name: call.given[name] for name in ("title", "description") if name in call.given}
    for name in ("reviewer_ids", "assignee_ids"):
        if name in call.given:
            fields[name.replace("_ids", "s")] = _people(call, name)
    for name in ("squash", "remove_source_branch", "allow_collaboration"):
        fields[name] = call.maybe_flag(name)
    changes.update(call.state, pull, call.by, target=call.given.get("target_branch"), **fields, **label_changes(call))
    event = call.text("state_event")
    if event == "close":
        changes.close(call.state, pull, call.by)
    elif event == "reopen":
        changes.reopen(call.state, pull, call.by)
    return Reply(200, shapes.one_merge_request(call.state, pull, call.actor))


@on("DELETE", ONE, Level.OWNER)
def delete_merge_request(call: Call, project: Project, iid: str) -> Reply:
    del project.merge_requests[call.state.merge_request(project, int(iid)).iid]
    return Reply(204)


@on("PUT", f"{ONE}/merge")
def merge(call: Call, project: Project, iid: str) -> Reply:
    pull = call.state.merge_request(project, int(iid))
    if not access.may_merge(call.state, call.by, project, pull.target_branch):
        raise Refused(401, "401 Unauthorized")
    changes.check_sha(pull, call.text("sha"))
    squash, remove = call.maybe_flag("squash"), call.maybe_flag("should_remove_source_branch")
    if squash is not None:
        pull.squash = squash
    if remove is not None:
        pull.remove_source_branch = remove
    later = call.flag("auto_merge") or call.flag("merge_when_pipeline_succeeds")
    if not (later and changes.set_auto_merge(call.state, pull, call.by)):
        pipeline = merging.head_pipeline(pull)
        if later and (pipeline is None or pipeline.status != "success"):
            raise Refused(405, "405 Method Not Allowed")
        changes.merge(call.state, pull, call.by, sha=call.text("sha"))
    return Reply(200, shapes.one_merge_request(call.state, pull, call.actor))


@on("POST", f"{ONE}/cancel_merge_when_pipeline_succeeds", Level.DEVELOPER)
def cancel_auto_merge(call: Call, project: Project, iid: str) -> Reply:
    pull = call.state.merge_request(project, int(iid))
    if pull.auto_merge_by is None:
        raise Refused(406, "406 Not Acceptable")
    changes.drop_auto_merge(call.state, pull)
    return _shown(call, pull, 201)


@on("PUT", f"{ONE}/rebase", Level.DEVELOPER)
def rebase(call: Call, project: Project, iid: str) -> Reply:
    changes.rebase(call.state, call.state.merge_request(project, int(iid)), call.by)
    return Reply(202, {"rebase_in_progress": True})


@on("GET", f"{ONE}/commits")
def list_commits(call: Call, project: Project, iid: str) -> Reply:
    pull = call.state.merge_request(project, int(iid))
    made = gitstore.between(project, pull.base_sha, pull.head_sha)[::-1]
    return call.page(made, lambda each: project_shapes.commit(call.state, project, each))


@on("GET", f"{ONE}/diffs")
def list_diffs(call: Call, project: Project, iid: str) -> Reply:
    pull = call.state.merge_request(project, int(iid))
    return call.page(diffs(project, pull.base_sha, pull.head_sha), lambda each: each)


@on("GET", f"{ONE}/changes")
def list_changes(call: Call, project: Project, iid: str) -> Reply:
    pull = call.state.merge_request(project, int(iid))
    shown = shapes.one_merge_request(call.state, pull, call.actor)
    return Reply(200, {**shown, "changes": diffs(project, pull.base_sha, pull.head_sha), "overflow": False})


@on("GET", f"{ONE}/versions")
def list_versions(call: Call, project: Project, iid: str) -> Reply:
    """The last one alone."""
    pull = call.state.merge_request(project, int(iid))
    told = {
        "id": pull.id,
        "head_commit_sha": pull.head_sha,
        "base_commit_sha": pull.base_sha,
        "start_commit_sha": pull.start_sha,
        "created_at": when(pull.updated_at),
        "merge_request_id": pull.id,
        "state": "collected",
        "real_size": "1",
        "patch_id_sha": None,
    }
    return call.page([told], lambda each: each)


@on("GET", f"{ONE}/pipelines")
def list_pipelines(call: Call, project: Project, iid: str) -> Reply:
    pull = call.state.merge_request(project, int(iid))
    within = {str(each.id) for each in gitstore.between(project, pull.base_sha, pull.head_sha)} | {pull.head_sha}
    found = [each for each in pull.source_project.pipelines if each.sha in within][::-1]
    return call.page(found, lambda each: project_shapes.pipeline(call.state, each))


@on("GET", f"{ONE}/reviewers")
def list_reviewers(call: Call, project: Project, iid: str) -> Reply:
    pull = call.state.merge_request(project, int(iid))
    build = lambda each: {"user": user(call.state, each.user), "state": each.state, "created_at": when(each.created_at)}  # noqa: E731
    return call.page(pull.reviewers, build)


@on("GET", f"{ONE}/participants")
def list_participants(call: Call, project: Project, iid: str) -> Reply:
    pull = call.state.merge_request(project, int(iid))
    found = list(dict.fromkeys([pull.author, *(note.author for note in pull.notes)]))
    return call.page(found, lambda each: user(call.state, each))


@on("GET", f"{ONE}/approvals")
def get_approvals(call: Call, project: Project, iid: str) -> Reply:
    return Reply(200, shapes.approvals(call.state, call.state.merge_request(project, int(iid)), call.actor))


@on("GET", f"{ONE}/approval_state")
def get_approval_state(call: Call, project: Project, iid: str) -> Reply:
    pull = call.state.merge_request(project, int(iid))
    rule = {
        "id": project.id,
        "name": "All Members",
        "rule_type": "any_approver",
        "report_type": None,
        "eligible_approvers": [],
        "approvals_required": project.approvals_required,
        "users": [],
        "groups": [],
        "contains_hidden_groups": False,
        "section": None,
        "source_rule": None,
        "overridden": False,
        "code_owner": False,
        "approved_by": [user(call.state, each) for each, _ in pull.approved_by],
        "approved": not merging.missing_approvals(pull),
    }
    return Reply(200, {"approval_rules_overwritten": False, "rules": [rule]})


@on("POST", f"{ONE}/approve")
def approve(call: Call, project: Project, iid: str) -> Reply:
    pull = call.state.merge_request(project, int(iid))
    if access.level_of(call.state, call.actor, project) < Level.REPORTER:
        raise Refused(401, "401 Unauthorized")
    changes.approve(call.state, pull, call.by, sha=call.text("sha"))
    return Reply(201, shapes.approvals(call.state, pull, call.actor))


@on("POST", f"{ONE}/unapprove")
def unapprove(call: Call, project: Project, iid: str) -> Reply:
    pull = call.state.merge_request(project, int(iid))
    changes.unapprove(call.state, pull, call.by)
    return Reply(201)
