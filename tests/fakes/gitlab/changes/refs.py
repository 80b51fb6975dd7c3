"""Moved branches: what a push does to merge requests, and the events it sends."""

from __future__ import annotations

from tests.fakes.forge import gitstore
from tests.fakes.forge.gitstore import NO_COMMIT
from tests.fakes.gitlab.payloads import events
from tests.fakes.gitlab.records import MergeRequest, Project, User
from tests.fakes.gitlab.state import State

BRANCH = "refs/heads/"


def settle(state: State, project: Project, by: User) -> None:
    """Tell of every ref that is not where it was when this was last called."""
    before, after = project.seen_refs, gitstore.refs(project)
    project.seen_refs = after
    for name, old, new in gitstore.moved(before, after):
        project.last_activity_at = project.updated_at = state.now()
        _tell(state, project, by, name, old, new)
        if name.startswith(BRANCH):
            _moved(state, project, by, name.removeprefix(BRANCH), new)


def _tell(state: State, project: Project, by: User, name: str, old: str, new: str) -> None:
    kind = "tag_push" if name.startswith("refs/tags/") else "push"
    state.tell(kind, project, events.push(state, project, by, name, old, new))


def _moved(state: State, project: Project, by: User, branch: str, new: str) -> None:
    for other in (project, *state.forks_of(project), *([project.forked_from] if project.forked_from else [])):
        for pull in [each for each in other.merge_requests.values() if each.state == "opened"]:
            if pull.source_project is project and pull.source_branch == branch and new != NO_COMMIT:
                _source_moved(state, pull, by, new)
            elif pull.project is project and pull.target_branch == branch:
                _target_moved(state, pull, by, new)


def _source_moved(state: State, pull: MergeRequest, by: User, new: str) -> None:
    """A source branch that is gone leaves its merge request open, with the commits it had."""
    from tests.fakes.gitlab.changes import merge_requests, threads

    before, pull.head_sha = pull.head_sha, new
    take_head(pull)
    merge_requests.drop_auto_merge(state, pull)
    threads.tell(state, pull, by, "update", oldrev=before)


def take_head(pull: MergeRequest) -> None:
    """Keep the head among the project's own objects, and compute from where it has parted."""
    name = f"refs/merge-requests/{pull.iid}/head"
    gitstore.take(pull.project, pull.source_project, pull.source_branch, pull.head_sha, name)
    start = gitstore.head(pull.project, pull.target_branch)
    if start is not None:
        pull.start_sha = start
        pull.base_sha = gitstore.merge_base(pull.project, start, pull.head_sha) or start


def _target_moved(state: State, pull: MergeRequest, by: User, new: str) -> None:
    from tests.fakes.gitlab.changes import merge_requests

    if new == NO_COMMIT:
        merge_requests.close(state, pull, by)
    elif pull.head_sha != pull.base_sha and gitstore.is_ancestor(pull.project, pull.head_sha, new):
        merge_requests.merged(state, pull, by, new)
