"""Webhooks of groups and of projects."""

from __future__ import annotations

from collections.abc import Mapping

from tests.fakes.forge.refusals import Refused
from tests.fakes.gitlab.changes import groups as changes
from tests.fakes.gitlab.payloads import events, group_events
from tests.fakes.gitlab.payloads.basics import hook as shape
from tests.fakes.gitlab.payloads.basics import when
from tests.fakes.gitlab.records import JSON, Group, Issue, Level, Project
from tests.fakes.gitlab.rest.routing import Call, Reply, on
from tests.fakes.gitlab.state import bad_parameter, missing
from tests.fakes.gitlab.webhooks import KINDS, Delivery

Owner = Group | Project


def _list(call: Call, owner: Owner) -> Reply:
    _require_plan(call, owner)
    return call.page(list(owner.hooks.values()), lambda each: shape(call.state, each))


def _require_plan(call: Call, owner: Owner) -> None:
    """Groups have webhooks on some plans alone; elsewhere there is no such path."""
    if isinstance(owner, Group) and not call.state.group_hooks:
        raise Refused(404, "404 Not Found")


def _told(call: Call) -> JSON:
    told = dict(call.given)
    told.pop("id", None)
    for name in [each for each in told if each.endswith("_events") or each == "enable_ssl_verification"]:
        told[name] = call.flag(name)
    return told


def _create(call: Call, owner: Owner) -> Reply:
    _require_plan(call, owner)
    told = _told(call)
    return Reply(201, shape(call.state, changes.add_hook(call.state, owner, call.required("url"), **_without_url(told))))


def _without_url(told: JSON) -> JSON:
    return {name: value for name, value in told.items() if name != "url"}


def _get(call: Call, owner: Owner, hook: str) -> Reply:
    return Reply(200, shape(call.state, call.state.hook(owner, int(hook))))


def _update(call: Call, owner: Owner, hook: str) -> Reply:
    found = call.state.hook(owner, int(hook))
    changes.change_hook(call.state, found, **{"url": call.given.get("url"), **_without_url(_told(call))})
    return Reply(200, shape(call.state, found))


def _delete(call: Call, owner: Owner, hook: str) -> Reply:
    del owner.hooks[call.state.hook(owner, int(hook)).id]
    return Reply(204)


def _test(call: Call, owner: Owner, hook: str, trigger: str) -> Reply:
    """Send an event made of what there is; 422 where it is not taken, or where there is nothing to make it of."""
    found = call.state.hook(owner, int(hook))
    call.limits.charge_hook_test(call.actor.key)
    kind = next((kind for kind, (_, switch) in KINDS.items() if switch == trigger), None)
    if kind is None:
        raise bad_parameter("trigger does not have a valid value")
    sample = _sample(call, owner, kind)
    with call.state.unlocked():
        made = call.webhooks.test(found, kind, sample)
    if not made.ok:
        raise Refused(
            422, f"Hook executed successfully but returned HTTP {made.status_code}" if not made.problem else made.problem
        )
    return Reply(201, {"message": "201 Created"})


def _sample(call: Call, owner: Owner, kind: str) -> JSON:
    projects = [owner] if isinstance(owner, Project) else call.state.projects_in(owner)
    made = next((payload for project in projects if (payload := _of_project(call, project, kind)) is not None), None)
    if made is None:
        raise Refused(422, f"Ensure the project has {kind.replace('_', ' ')} events.")
    return made


def _of_project(call: Call, project: Project, kind: str) -> JSON | None:
    state, by = call.state, call.by
    threads: dict[str, Mapping[int, Issue]] = {"issue": project.issues, "merge_request": project.merge_requests}
    if threads.get(kind):
        last = list(threads[kind].values())[-1]
        return events.thread(state, last, by, changes={}, action=None)
    if kind == "push" and project.seen_refs:
        name, sha = next(iter(project.seen_refs.items()))
        return events.push(state, project, by, name, sha, sha)
    return group_events.project_event(project, "project_create") if kind == "project" else None


def _log(call: Call, owner: Owner, hook: str) -> Reply:
    """What was sent by it, newest first."""
    found = call.state.hook(owner, int(hook))
    sent = [each for each in call.webhooks.deliveries.values() if each.hook is found and each.status_code][::-1]
    return call.page(sent, _entry)


def _entry(one: Delivery) -> JSON:
    return {
        "id": one.id,
        "url": one.hook.url,
        "trigger": KINDS[one.kind][1].removesuffix("_events") + "_hooks",
        "request_headers": {**one.request_headers, "X-Gitlab-Token": "[REDACTED]"} if one.hook.token else one.request_headers,
        "request_data": one.payload,
        "response_headers": {},
        "response_body": one.response_body,
        "execution_duration": one.duration,
        "response_status": str(one.status_code) if not one.problem else "internal error",
        "created_at": when(one.sent_at),
    }


def _resend(call: Call, owner: Owner, hook: str, event: str) -> Reply:
    found, one = call.state.hook(owner, int(hook)), call.webhooks.deliveries.get(int(event))
    if one is None or one.hook is not found:
        raise missing("Hook log")
    call.webhooks.resend(one)
    return Reply(201, {"response_status": one.status_code})


for _path, _level in (("/groups/<id>", Level.OWNER), ("/projects/<id>", Level.MAINTAINER)):
    on("GET", f"{_path}/hooks", _level)(_list)
    on("POST", f"{_path}/hooks", _level)(_create)
    on("GET", f"{_path}/hooks/<hook>", _level)(_get)
    on("PUT", f"{_path}/hooks/<hook>", _level)(_update)
    on("DELETE", f"{_path}/hooks/<hook>", _level)(_delete)
    on("POST", f"{_path}/hooks/<hook>/test/<trigger>", _level)(_test)
    on("GET", f"{_path}/hooks/<hook>/events", _level)(_log)
    on("POST", f"{_path}/hooks/<hook>/events/<event>/resend", _level)(_resend)
