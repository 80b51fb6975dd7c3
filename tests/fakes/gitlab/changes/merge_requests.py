"""Merge requests: opened, changed, approved, closed, merged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tests.fakes.forge import gitstore
from tests.fakes.forge.refusals import Refused
from tests.fakes.gitlab import access, merging
from tests.fakes.gitlab.changes import refs, threads
from tests.fakes.gitlab.payloads import events
from tests.fakes.gitlab.payloads.discussions import squashes
from tests.fakes.gitlab.records import JSON, MergeRequest, Project, Reviewer, User, is_draft
from tests.fakes.gitlab.state import State, Worded, invalid

_WAITS_FOR = (
    "ci_must_pass",
    "ci_still_running",
    "not_approved",
    "discussions_not_resolved",
    "draft_status",
    "requested_changes",
)


def open_merge_request(
    state: State,
    project: Project,
    by: User,
    *,
    title: str,
    source: str,
    target: str,
    source_project: Project | None = None,
    description: str | None = None,
    labels: Sequence[str] = (),
    reviewers: Iterable[User] = (),
    assignees: Iterable[User] = (),
    squash: bool | None = None,
    remove_source_branch: bool | None = None,
    allow_collaboration: bool = False,
) -> MergeRequest:
    """`source` is a branch of `source_project`, where that is given."""
    origin = source_project or project
    _check_branches(project, origin, source, target)
    threads.check_title(title)
    moment = state.now()
    made = MergeRequest(
        state.new_id(), project.take_iid("merge_request"), project, by, title, description, moment, moment,
        source_project=origin, source_branch=source, target_branch=target,
        head_sha=gitstore.head(origin, source) or "", allow_collaboration=allow_collaboration,
    )  # fmt: skip
    made.labels = [state.label(project, name) for name in labels]
    made.reviewers = [Reviewer(each, moment) for each in reviewers]
    made.assignees = list(assignees)
    made.squash = project.squash_option == "default_on" if squash is None else squash
    settings = project.remove_source_branch_after_merge
    made.remove_source_branch = settings if remove_source_branch is None else remove_source_branch
    refs.take_head(made)
    project.merge_requests[made.iid] = made
    threads.tell(state, made, by, "open", changes=threads.fresh(made))
    return made


def _check_branches(project: Project, origin: Project, source: str, target: str) -> None:
    if gitstore.head(project, target) is None:
        raise Worded(422, {"message": {"validate_branches": ["Target branch does not exist"]}})
    if gitstore.head(origin, source) is None:
        raise Worded(400, {"message": ["Source branch does not exist"]})
    if origin is project and source == target:
        raise Worded(422, {"message": ["You can't use same project/branch for source and target"]})
    for other in project.merge_requests.values():
        if (other.state, other.source_project, other.source_branch, other.target_branch) == ("opened", origin, source, target):
            raise Worded(409, {"message": [f"Another open merge request already exists for this source branch: !{other.iid}"]})


def update(state: State, pull: MergeRequest, by: User, *, target: str | None = None, **fields: Any) -> None:
    """`fields`: those of `threads.update`, and reviewers, assignees, squash, remove_source_branch."""
    changes: JSON = {}
    if target is not None and target != pull.target_branch:
        if gitstore.head(pull.project, target) is None:
            raise Worded(422, {"message": {"validate_branches": ["Target branch does not exist"]}})
        changes["target_branch"] = {"previous": pull.target_branch, "current": target}
        pull.target_branch = target
        refs.take_head(pull)
    reviewers = fields.pop("reviewers", None)
    if reviewers is not None:
        changes |= _set_reviewers(state, pull, list(reviewers))
    assignees = fields.pop("assignees", None)
    if assignees is not None:
        pull.assignees = list(assignees)
    for name in ("squash", "remove_source_branch", "allow_collaboration"):
        value = fields.pop(name, None)
        if value is not None:
            setattr(pull, name, value)
    was_draft = pull.draft
    if is_draft(fields.get("title") or pull.title) != was_draft:
        changes["draft"] = {"previous": was_draft, "current": not was_draft}
    threads.update(state, pull, by, more=changes, **fields)
    try_auto_merge(state, pull)


def _set_reviewers(state: State, pull: MergeRequest, wanted: list[User]) -> JSON:
    before = [each.user for each in pull.reviewers]
    if before == wanted:
        return {}
    kept = {each.user.id: each for each in pull.reviewers}
    pull.reviewers = [kept.get(each.id) or Reviewer(each, state.now()) for each in wanted]
    return {
        "reviewers": {"previous": [events.user(each) for each in before], "current": [events.user(each) for each in wanted]}
    }


def close(state: State, pull: MergeRequest, by: User) -> None:
    pull.auto_merge_by = None
    threads.close(state, pull, by)


def reopen(state: State, pull: MergeRequest, by: User) -> None:
    if pull.state != "closed":
        return
    head = gitstore.head(pull.source_project, pull.source_branch)
    if head is None:
        raise invalid(base="Source branch does not exist")
    for other in pull.project.merge_requests.values():
        same = (other.source_project, other.source_branch) == (pull.source_project, pull.source_branch)
        if other.state == "opened" and same and other.target_branch == pull.target_branch:
            raise Worded(409, {"message": [f"Another open merge request already exists for this source branch: !{other.iid}"]})
    pull.head_sha = head
    refs.take_head(pull)
    threads.reopen(state, pull, by)


def merged(state: State, pull: MergeRequest, by: User, sha: str) -> None:
    """Its commits are in the target now, as `sha`."""
    pull.state, pull.merged_at, pull.merged_by, pull.auto_merge_by = "merged", state.now(), by, None
    pull.merge_commit_sha = sha
    threads.tell(state, pull, by, "merge", changes={"state_id": {"previous": 1, "current": 3}})


def merge(
    state: State, pull: MergeRequest, by: User, *, sha: str = "", squash: bool | None = None, remove_branch: bool | None = None
) -> str:
    """Merge it now, or raise 405, 409 or 422 as GitLab does. The id of the target's new commit."""
    status = merging.detailed_status(pull)
    if status == "conflict":
        raise Refused(422, "Branch cannot be merged")
    if status != "mergeable":
        raise Refused(405, "405 Method Not Allowed")
    check_sha(pull, sha)
    made = _merge_commit(state, pull, by, squashes(pull) if squash is None else squash)
    gitstore.set_ref(pull.project, refs.BRANCH + pull.target_branch, made)
    merged(state, pull, by, made)
    refs.settle(state, pull.project, by)
    if pull.remove_source_branch if remove_branch is None else remove_branch:
        _remove_source(state, pull, by)
    return made


def check_sha(pull: MergeRequest, sha: str) -> None:
    if sha and sha != pull.head_sha:
        raise Refused(409, f"SHA does not match HEAD of source branch: {pull.head_sha}")


def _merge_commit(state: State, pull: MergeRequest, by: User, squash: bool) -> str:
    base = gitstore.head(pull.project, pull.target_branch)
    assert base is not None
    author = gitstore.signature(by.name, by.email, state.now())
    tip = pull.head_sha
    if squash:
        message = f"{pull.title}\n"
        tip = _made(pull, gitstore.merge(pull.project, base, tip, message=message, author=author, squash=True))
        pull.squash_commit_sha = tip
    if pull.project.merge_method == "ff":
        return tip
    see = f"See merge request {pull.project.full_path}!{pull.iid}"
    message = f"Merge branch '{pull.source_branch}' into '{pull.target_branch}'\n\n{pull.title}\n\n{see}\n"
    return _made(pull, gitstore.merge(pull.project, base, tip, message=message, author=author, squash=False))


def _made(pull: MergeRequest, sha: str | None) -> str:
    if sha is None:
        raise Refused(422, "Branch cannot be merged")
    return sha


def _remove_source(state: State, pull: MergeRequest, by: User) -> None:
    """Where `by` may, and no rule protects it."""
    origin = pull.source_project
    protected = any(rule.fits(pull.source_branch) for rule in origin.protections.values())
    if not protected and access.may_push(state, by, origin, pull.source_branch):
        gitstore.delete_ref(origin, refs.BRANCH + pull.source_branch)
        refs.settle(state, origin, by)


def set_auto_merge(state: State, pull: MergeRequest, by: User) -> bool:
    """Merge it when all is well, if something is in the way that can still come right; whether it was set."""
    pipeline = merging.head_pipeline(pull)
    running = pipeline is not None and pipeline.status in merging.ACTIVE
    status = merging.detailed_status(pull)
    if status not in _WAITS_FOR and not (status == "mergeable" and running):
        return False
    pull.auto_merge_by = by
    threads.tell(state, pull, by, "update", changes={"merge_when_pipeline_succeeds": {"previous": False, "current": True}})
    return True


def drop_auto_merge(state: State, pull: MergeRequest) -> None:
    """What pushed commits do to it."""
    pull.auto_merge_by = None


def try_auto_merge(state: State, pull: MergeRequest) -> None:
    """What GitLab does when a pipeline ends, or something else that was in the way is not any more."""
    if pull.auto_merge_by is None or pull.state != "opened" or merging.detailed_status(pull) != "mergeable":
        return
    pipeline = merging.head_pipeline(pull)
    if pipeline is None or pipeline.status == "success":
        merge(state, pull, pull.auto_merge_by)
    elif pipeline.status not in merging.ACTIVE:
        pull.auto_merge_by = None


def approve(state: State, pull: MergeRequest, by: User, *, sha: str = "") -> None:
    """401 for whoever has approved it already, or is its author."""
    check_sha(pull, sha)
    if by is pull.author or any(each is by for each, _ in pull.approved_by):
        raise Refused(401, "401 Unauthorized")
    pull.approved_by.append((by, state.now()))
    _review(pull, by, "approved")
    threads.tell(state, pull, by, "approval" if merging.missing_approvals(pull) else "approved")
    try_auto_merge(state, pull)


def unapprove(state: State, pull: MergeRequest, by: User) -> None:
    """404 for whoever has not approved it."""
    if not any(each is by for each, _ in pull.approved_by):
        raise Refused(404, "404 Not Found")
    pull.approved_by = [each for each in pull.approved_by if each[0] is not by]
    _review(pull, by, "unreviewed")
    threads.tell(state, pull, by, "unapproval" if merging.missing_approvals(pull) else "unapproved")


def request_changes(state: State, pull: MergeRequest, by: User) -> None:
    """A review with that verdict: whoever gives it becomes a reviewer. GitLab sends no event for the verdict itself."""
    if all(each.user is not by for each in pull.reviewers):
        update(state, pull, by, reviewers=[*(each.user for each in pull.reviewers), by])
    _review(pull, by, "requested_changes")


def _review(pull: MergeRequest, by: User, verdict: str) -> None:
    for each in pull.reviewers:
        if each.user is by:
            each.state = verdict


def rebase(state: State, pull: MergeRequest, by: User) -> None:
    """Put its commits onto the target's head: as one commit, which is all that the fake can do."""
    base = gitstore.head(pull.project, pull.target_branch)
    if base is None or gitstore.is_ancestor(pull.project, base, pull.head_sha):
        return
    author = gitstore.signature(by.name, by.email, state.now())
    made = gitstore.merge(pull.project, base, pull.head_sha, message=f"{pull.title}\n", author=author, squash=True)
    if made is not None and pull.source_project is pull.project:
        gitstore.set_ref(pull.project, refs.BRANCH + pull.source_branch, made)
        refs.settle(state, pull.project, by)
