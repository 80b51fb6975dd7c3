"""Commit statuses and pipelines."""

from __future__ import annotations

from tests.fakes.gitlab.changes import pipelines as changes
from tests.fakes.gitlab.payloads import projects as shapes
from tests.fakes.gitlab.records import Level, Pipeline, Project
from tests.fakes.gitlab.rest.code import commit_at
from tests.fakes.gitlab.rest.routing import Call, Reply, on
from tests.fakes.gitlab.state import missing


@on("POST", "/projects/<id>/statuses/<sha>", Level.DEVELOPER)
def set_status(call: Call, project: Project, sha: str) -> Reply:
    found = str(commit_at(project, sha).id)
    told = {name: call.given[name] for name in ("description", "target_url", "coverage") if name in call.given}
    made = changes.set_status(
        call.state, project, call.by, found, call.required("state"),
        name=call.text("name") or call.text("context") or "default", ref=call.text("ref"),
        pipeline_id=call.number("pipeline_id", 0) or None, **told,
    )  # fmt: skip
    return Reply(201, shapes.status(call.state, made))


@on("GET", "/projects/<id>/repository/commits/<sha>/statuses", Level.REPORTER)
def list_statuses(call: Call, project: Project, sha: str) -> Reply:
    """The last one of each name, unless `all` are asked for."""
    found = str(commit_at(project, sha).id)
    every = [each for each in project.statuses if each.pipeline.sha == found]
    for name in ("name", "ref"):
        if wanted := call.text(name):
            every = [each for each in every if (each.name if name == "name" else each.pipeline.ref) == wanted]
    if not call.flag("all"):
        every = [each for each in every if not each.retried]
    return call.page(every, lambda each: shapes.status(call.state, each))


@on("GET", "/projects/<id>/pipelines")
def list_pipelines(call: Call, project: Project) -> Reply:
    found = project.pipelines[::-1]
    for name in ("ref", "sha", "status"):
        if wanted := call.text(name):
            found = [each for each in found if getattr(each, name) == wanted]
    return call.page(found, lambda each: shapes.pipeline(call.state, each))


@on("GET", "/projects/<id>/pipelines/<int:number>")
def get_pipeline(call: Call, project: Project, number: str) -> Reply:
    return Reply(200, shapes.one_pipeline(call.state, _pipeline(project, number)))


def _pipeline(project: Project, number: str) -> Pipeline:
    for each in project.pipelines:
        if each.id == int(number):
            return each
    raise missing("Pipeline")
