"""/projects/…/issues."""

from __future__ import annotations

from typing import Any

from tests.fakes.forge.refusals import Refused
from tests.fakes.gitlab import access
from tests.fakes.gitlab.changes import threads
from tests.fakes.gitlab.payloads import discussions as shapes
from tests.fakes.gitlab.records import JSON, Issue, Level, Project
from tests.fakes.gitlab.rest.routing import Call, Reply, on

ISSUES = "/projects/<id>/issues"


def filtered(call: Call, found: list[Any]) -> list[Any]:
    """Issues or merge requests as the parameters want them, newest first."""
    state, labels = call.text("state", "all"), {each.lower() for each in call.words("labels")}
    chosen = [each for each in found if state in ("all", each.state)]
    chosen = [each for each in chosen if labels <= {label.name.lower() for label in each.labels}]
    if iids := call.numbers("iids"):
        chosen = [each for each in chosen if each.iid in iids]
    if author := call.text("author_username"):
        chosen = [each for each in chosen if each.author.username == author]
    if author_id := call.number("author_id", 0):
        chosen = [each for each in chosen if each.author.id == author_id]
    if search := call.text("search").lower():
        within = call.words("in") or ["title", "description"]
        chosen = [each for each in chosen if any(search in (getattr(each, name) or "").lower() for name in within)]
    if since := call.text("updated_after"):
        chosen = [each for each in chosen if each.updated_at.isoformat()[:19] >= since[:19]]
    order = "updated_at" if call.text("order_by") == "updated_at" else "created_at"
    return sorted(chosen, key=lambda each: (getattr(each, order), each.id), reverse=call.text("sort", "desc") == "desc")


def label_changes(call: Call) -> JSON:
    """How the parameters want labels changed: all of them set, or some added and some removed."""
    wanted = {"labels": call.words("labels")} if "labels" in call.given else {}
    return {**wanted, "add_labels": call.words("add_labels"), "remove_labels": call.words("remove_labels")}


def require_edit(call: Call, thread: Issue) -> None:
    """Authors change what they wrote; anything else takes a planner, of a merge request a developer."""
    least = Level.PLANNER if type(thread) is Issue else Level.DEVELOPER
    if thread.author is not call.by and access.level_of(call.state, call.actor, thread.project) < least:
        raise Refused(403, "403 Forbidden")


@on("GET", ISSUES)
def list_issues(call: Call, project: Project) -> Reply:
    return call.page(filtered(call, list(project.issues.values())), lambda each: shapes.issue(call.state, each))


@on("POST", ISSUES, Level.GUEST)
def create_issue(call: Call, project: Project) -> Reply:
    labels = call.words("labels") if access.level_of(call.state, call.actor, project) >= Level.PLANNER else []
    made = threads.open_issue(
        call.state, project, call.by,
        title=call.required("title"), description=call.given.get("description"), labels=labels,
        confidential=call.flag("confidential"),
    )  # fmt: skip
    return Reply(201, shapes.issue(call.state, made))


@on("GET", f"{ISSUES}/<int:iid>")
def get_issue(call: Call, project: Project, iid: int) -> Reply:
    return Reply(200, shapes.issue(call.state, call.state.issue(project, int(iid))))


@on("PUT", f"{ISSUES}/<int:iid>", Level.GUEST)
def update_issue(call: Call, project: Project, iid: int) -> Reply:
    issue = call.state.issue(project, int(iid))
    require_edit(call, issue)
    text = {name: call.given[name] for name in ("title", "description") if name in call.given}
    threads.update(call.state, issue, call.by, **text, **label_changes(call))
    {"close": threads.close, "reopen": threads.reopen}.get(call.text("state_event"), _nothing)(call.state, issue, call.by)
    return Reply(200, shapes.issue(call.state, issue))


def _nothing(*_: object) -> None:
    """No state was asked for."""
