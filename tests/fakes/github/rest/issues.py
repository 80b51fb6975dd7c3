"""/repos/…/issues and /labels; pull requests are issues here."""

from __future__ import annotations

from typing import Any

from tests.fakes.forge.refusals import Refused, not_found
from tests.fakes.github.access import role
from tests.fakes.github.changes import issues as changes
from tests.fakes.github.changes import pulls
from tests.fakes.github.payloads import discussions as shapes
from tests.fakes.github.payloads.basics import label as label_shape
from tests.fakes.github.payloads.basics import reaction
from tests.fakes.github.records import Comment, Issue, Label, Pull, Reaction, Repository
from tests.fakes.github.rest.routing import Call, Reply, on
from tests.fakes.github.state import invalid

ISSUES = "/repos/<owner>/<repo>/issues"
READ, WRITE = "issues|pull_requests:read", "issues|pull_requests:write"


@on("GET", ISSUES, READ)
def list_issues(call: Call, found: Repository) -> Reply:
    state, labels = call.query.get("state", "open"), {each for each in call.query.get("labels", "").split(",") if each}
    chosen = [each for each in found.issues.values() if state in ("all", each.state)]
    chosen = [each for each in chosen if labels <= {label.name for label in each.labels}]
    if creator := call.query.get("creator"):
        chosen = [each for each in chosen if each.user.login == creator]
    return call.page(chosen[::-1], lambda each: shapes.issue(call.state, each))


@on("POST", ISSUES, "issues:write", person="read", content=True)
def create_issue(call: Call, found: Repository) -> Reply:
    made = changes.open_issue(
        call.state, found, call.by,
        title=call.required("title"), body=call.body.get("body"), labels=label_names(call.body.get("labels", [])),
    )  # fmt: skip
    return Reply(201, shapes.one_issue(call.state, made))


def label_names(given: Any) -> list[str]:
    """Of a list of names or objects, bare or under `labels`."""
    listed = given.get("labels", []) if isinstance(given, dict) else given or []
    return [each if isinstance(each, str) else each["name"] for each in listed]


@on("GET", f"{ISSUES}/<int:number>", READ)
def get_issue(call: Call, found: Repository, number: int) -> Reply:
    return Reply(200, shapes.one_issue(call.state, call.state.issue(found, number)))


@on("PATCH", f"{ISSUES}/<int:number>", WRITE, person="triage")
def update_issue(call: Call, found: Repository, number: int) -> Reply:
    issue = call.state.issue(found, number)
    changes.edit(call.state, issue, call.by, **call.given("title", "body"))
    if "labels" in call.body:
        changes.set_labels(call.state, issue, call.by, label_names(call.body["labels"]))
    _set_state(call, issue)
    return Reply(200, shapes.one_issue(call.state, issue))


def _set_state(call: Call, issue: Issue) -> None:
    wanted = call.body.get("state", issue.state)
    if isinstance(issue, Pull):
        pulls.update(call.state, issue, call.by, wanted=wanted)
    else:
        changes.set_state(call.state, issue, call.by, wanted)


@on("GET", f"{ISSUES}/<int:number>/comments", READ)
def list_comments(call: Call, found: Repository, number: int) -> Reply:
    issue = call.state.issue(found, number)
    return call.page(issue.comments, lambda each: shapes.comment(call.state, each))


@on("POST", f"{ISSUES}/<int:number>/comments", WRITE, person="read", content=True)
def create_comment(call: Call, found: Repository, number: int) -> Reply:
    issue = call.state.issue(found, number)
    made = changes.comment(call.state, issue, call.by, call.required("body"))
    return Reply(201, shapes.comment(call.state, made))


@on("GET", f"{ISSUES}/comments", READ)
def list_all_comments(call: Call, found: Repository) -> Reply:
    every = [comment for issue in found.issues.values() for comment in issue.comments]
    return call.page(every, lambda each: shapes.comment(call.state, each))


@on("GET", f"{ISSUES}/comments/<int:number>", READ)
def get_comment(call: Call, found: Repository, number: int) -> Reply:
    return Reply(200, shapes.comment(call.state, call.state.comment(found, number)))


@on("PATCH", f"{ISSUES}/comments/<int:number>", WRITE, person="read")
def update_comment(call: Call, found: Repository, number: int) -> Reply:
    comment = own_comment(call, found, number)
    changes.edit_comment(call.state, comment, call.by, call.required("body"))
    return Reply(200, shapes.comment(call.state, comment))


@on("DELETE", f"{ISSUES}/comments/<int:number>", WRITE, person="read")
def delete_comment(call: Call, found: Repository, number: int) -> Reply:
    changes.delete_comment(call.state, own_comment(call, found, number), call.by)
    return Reply(204)


def own_comment(call: Call, found: Repository, number: int, *, of_review: bool = False) -> Comment:
    """Another's comment is for maintainers to change, and no app is one."""
    comment = call.state.comment(found, number, of_review=of_review)
    if comment.user is not call.by and role(found, call.by) not in ("write", "maintain", "admin"):
        raise Refused(403, "Resource not accessible by integration")
    return comment


@on("GET", f"{ISSUES}/comments/<int:number>/reactions", READ)
def list_comment_reactions(call: Call, found: Repository, number: int) -> Reply:
    return reactions_page(call, call.state.comment(found, number).reactions)


@on("POST", f"{ISSUES}/comments/<int:number>/reactions", WRITE, person="read")
def react_to_comment(call: Call, found: Repository, number: int) -> Reply:
    return react(call, call.state.comment(found, number).reactions)


@on("GET", f"{ISSUES}/<int:number>/reactions", READ)
def list_reactions(call: Call, found: Repository, number: int) -> Reply:
    return reactions_page(call, call.state.issue(found, number).reactions)


@on("POST", f"{ISSUES}/<int:number>/reactions", WRITE, person="read")
def react_to_issue(call: Call, found: Repository, number: int) -> Reply:
    return react(call, call.state.issue(found, number).reactions)


def reactions_page(call: Call, reactions: list[Reaction]) -> Reply:
    chosen = [each for each in reactions if call.query.get("content", each.content) == each.content]
    return call.page(chosen, lambda each: reaction(call.state, each))


def react(call: Call, reactions: list[Reaction]) -> Reply:
    made, new = changes.react(call.state, reactions, call.by, call.required("content"))
    return Reply(201 if new else 200, reaction(call.state, made))


@on("GET", f"{ISSUES}/<int:number>/labels", READ)
def list_issue_labels(call: Call, found: Repository, number: int) -> Reply:
    return _labels(call, found, call.state.issue(found, number).labels)


def _labels(call: Call, found: Repository, labels: list[Label]) -> Reply:
    return call.page(labels, lambda each: label_shape(call.state, found, each))


@on("POST", f"{ISSUES}/<int:number>/labels", WRITE, person="triage")
def add_labels(call: Call, found: Repository, number: int) -> Reply:
    issue = call.state.issue(found, number)
    changes.add_labels(call.state, issue, call.by, label_names(call.body))
    return _labels(call, found, issue.labels)


@on("PUT", f"{ISSUES}/<int:number>/labels", WRITE, person="triage")
def set_labels(call: Call, found: Repository, number: int) -> Reply:
    issue = call.state.issue(found, number)
    changes.set_labels(call.state, issue, call.by, label_names(call.body))
    return _labels(call, found, issue.labels)


@on("DELETE", f"{ISSUES}/<int:number>/labels/<path:name>", WRITE, person="triage")
def remove_label(call: Call, found: Repository, number: int, name: str) -> Reply:
    issue = call.state.issue(found, number)
    changes.remove_label(call.state, issue, call.by, name)
    return _labels(call, found, issue.labels)


@on("GET", "/repos/<owner>/<repo>/labels", READ)
def list_labels(call: Call, found: Repository) -> Reply:
    return _labels(call, found, list(found.labels.values()))


@on("POST", "/repos/<owner>/<repo>/labels", WRITE, person="write")
def create_label(call: Call, found: Repository) -> Reply:
    color, description = call.body.get("color", "ededed"), call.body.get("description")
    if len(color) != 6:
        raise invalid("Label", "color")
    made = changes.create_label(call.state, found, call.required("name"), color=color, description=description)
    return Reply(201, label_shape(call.state, found, made))


@on("GET", "/repos/<owner>/<repo>/labels/<path:name>", READ)
def get_label(call: Call, found: Repository, name: str) -> Reply:
    if name.lower() not in found.labels:
        raise not_found()
    return Reply(200, label_shape(call.state, found, found.labels[name.lower()]))


@on("POST", f"{ISSUES}/<int:number>/assignees", WRITE, person="triage")
def add_assignees(call: Call, found: Repository, number: int) -> Reply:
    """Whoever cannot be assigned is left out in silence."""
    issue = call.state.issue(found, number)
    for login in call.body.get("assignees", []):
        person = call.state.accounts.get(login.lower())
        if person is not None and person not in issue.assignees and role(found, person) not in ("none", "read"):
            issue.assignees.append(person)
    return Reply(201, shapes.issue(call.state, issue))
