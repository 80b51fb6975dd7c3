"""Pipelines, and the statuses that systems outside set on commits: each of those is a job of an external pipeline."""

from __future__ import annotations

from typing import Any

from tests.fakes.forge import gitstore
from tests.fakes.forge.refusals import Refused
from tests.fakes.gitlab import merging
from tests.fakes.gitlab.changes import merge_requests
from tests.fakes.gitlab.payloads import events
from tests.fakes.gitlab.records import MergeRequest, Pipeline, Project, Status, User
from tests.fakes.gitlab.state import State, bad_parameter

STATES = ("pending", "running", "success", "failed", "canceled", "skipped")
_UNFINISHED = ("pending", "running")
_EVENTS = {
    "pending": "enqueue",
    "running": "run",
    "success": "success",
    "failed": "drop",
    "canceled": "cancel",
    "skipped": "skip",
}


def set_status(
    state: State,
    project: Project,
    by: User,
    sha: str,
    wanted: str,
    *,
    name: str = "default",
    ref: str = "",
    pipeline_id: int | None = None,
    **told: Any,
) -> Status:
    """One that waits or runs changes its state; after the end, a new one takes its place. `told`: description, target_url."""
    if wanted not in STATES:
        raise bad_parameter("state does not have a valid value")
    commit = str(gitstore.commit(project, sha).id)
    pipeline = _pipeline(state, project, by, commit, ref, pipeline_id)
    same = [each for each in project.statuses if each.pipeline is pipeline and each.name == name and not each.retried]
    current = next((each for each in same if each.status in _UNFINISHED), None)
    if current is None:
        for each in same:
            each.retried = True
        current = Status(state.new_id(), pipeline, name, "created", by, state.now())
        project.statuses.append(current)
    _move(state, current, wanted)
    for field, value in told.items():
        setattr(current, field, value)
    _settle(state, pipeline)
    return current


def _move(state: State, status: Status, wanted: str) -> None:
    if status.status == wanted or (status.status == "running" and wanted == "pending"):
        event = _EVENTS[wanted]
        said = f"Cannot transition status via :{event} from :{status.status}"
        raise Refused(400, f'{said} (Reason(s): Status cannot transition via "{event}")')
    status.status = wanted
    if wanted == "running":
        status.started_at = state.now()
    if wanted not in _UNFINISHED:
        status.finished_at = state.now()


def _pipeline(state: State, project: Project, by: User, sha: str, ref: str, pipeline_id: int | None) -> Pipeline:
    if pipeline_id is not None:
        found = next((each for each in project.pipelines if each.id == pipeline_id), None)
        if found is None or found.sha != sha:
            raise Refused(404, "404 Pipeline for pipeline_id, sha and ref Not Found")
        return found
    at = ref or next((name for name, head in gitstore.branches(project).items() if head == sha), "")
    fitting = [each for each in project.pipelines if each.sha == sha and each.ref == (at or each.ref)]
    if fitting:
        return fitting[-1]
    if not at:
        raise Refused(404, "404 References for commit Not Found")
    return start(state, project, by, sha, at, source="external")


def start(state: State, project: Project, by: User, sha: str, ref: str, *, source: str = "push") -> Pipeline:
    moment = state.now()
    made = Pipeline(state.new_id(), project.take_iid("pipeline"), project, sha, ref, source, by, moment, moment)
    project.pipelines.append(made)
    return made


def run(state: State, project: Project, by: User, ref: str, status: str, *, job: str = "test") -> Pipeline:
    """A pipeline of GitLab's own at the head of a branch, with one job of that status. A later call moves it on."""
    sha = gitstore.head(project, ref) or ""
    own = [each for each in project.pipelines if each.sha == sha and each.ref == ref and each.source == "push"]
    pipeline = own[-1] if own else start(state, project, by, sha, ref)
    set_status(state, project, by, sha, status, name=job, ref=ref, pipeline_id=pipeline.id)
    return pipeline


def _settle(state: State, pipeline: Pipeline) -> None:
    """Let the pipeline be what its jobs are, and tell where that is something new."""
    jobs = [each for each in pipeline.project.statuses if each.pipeline is pipeline and not each.retried]
    status = _of(jobs)
    if status == pipeline.status:
        return
    pipeline.status, pipeline.updated_at = status, state.now()
    if status == "running":
        pipeline.started_at = pipeline.started_at or state.now()
    pipeline.finished_at = None if status in merging.ACTIVE else state.now()
    pulls = _pulls(state, pipeline)
    payload = events.pipeline(state, pipeline, pulls[0] if pulls and pipeline.source != "external" else None)
    state.tell("pipeline", pipeline.project, payload)
    for pull in pulls:
        merge_requests.try_auto_merge(state, pull)


def _of(jobs: list[Status]) -> str:
    found = {"failed" if each.status == "failed" and not each.allow_failure else each.status for each in jobs}
    for status in ("running", "pending", "failed", "canceled"):
        if status in found:
            # Some have ended and others wait: GitLab calls that running.
            return "running" if status == "pending" and found - {"pending"} else status
    return "success" if "success" in found else "skipped"


def _pulls(state: State, pipeline: Pipeline) -> list[MergeRequest]:
    origin = pipeline.project
    owners = [origin, *([origin.forked_from] if origin.forked_from else [])]
    every = [pull for owner in owners for pull in owner.merge_requests.values() if pull.state == "opened"]
    return [pull for pull in every if pull.source_project is origin and pull.head_sha == pipeline.sha]
