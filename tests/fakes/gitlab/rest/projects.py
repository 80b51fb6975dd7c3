"""/projects: found, changed, forked, moved, shared; their labels."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.fakes.forge.refusals import Refused
from tests.fakes.gitlab import access
from tests.fakes.gitlab.changes import projects as changes
from tests.fakes.gitlab.payloads import projects as shapes
from tests.fakes.gitlab.payloads.basics import label as label_shape
from tests.fakes.gitlab.records import Group, Label, Level, Project
from tests.fakes.gitlab.rest.groups import projects_page, select
from tests.fakes.gitlab.rest.routing import Call, Reply, on
from tests.fakes.gitlab.state import Worded, bad_parameter, missing

_CHANGEABLE = (
    "name", "description", "default_branch", "visibility", "merge_method", "squash_option", "issues_enabled",
    "merge_requests_enabled", "remove_source_branch_after_merge", "only_allow_merge_if_pipeline_succeeds",
    "only_allow_merge_if_all_discussions_are_resolved", "topics",
)  # fmt: skip


@on("GET", "/projects")
def list_projects(call: Call) -> Reply:
    found = list(call.state.projects.values())
    if call.flag("membership"):
        found = [each for each in found if access.level_of(call.state, call.actor, each) > Level.NONE]
    if call.text("pagination") != "keyset":
        return projects_page(call, found)
    if call.text("order_by", "created_at") != "id":
        said = "Keyset pagination is not yet available for this type of request"
        raise Worded(405, {"error": said})
    ordered = select(call, found)
    after = "id_before" if call.text("sort", "desc") == "desc" else "id_after"
    build: Callable[[Project], object] = lambda each: shapes.project(call.state, each, call.actor)  # noqa: E731
    if call.flag("simple"):
        build = lambda each: shapes.basic(call.state, each)  # noqa: E731
    return call.keyset(ordered, lambda each: each.id, build, name=after)


@on("POST", "/projects")
def create_project(call: Call) -> Reply:
    slug = call.text("path") or re.sub(r"[^\w.-]+", "-", call.text("name")).lower()
    if not slug:
        raise bad_parameter("name, path are missing, at least one parameter must be provided")
    group = call.state.groups.get(call.number("namespace_id", 0)) or call.state.namespace_of(call.by)
    access.require_group(call.state, call.actor, group, Level.DEVELOPER)
    files = {"README.md": f"# {slug}\n"} if call.flag("initialize_with_readme") else None
    made = changes.create(call.state, group, slug, by=call.by, files=files, protected=files is not None)
    return Reply(201, shapes.project(call.state, made, call.actor))


@on("GET", "/projects/<id>")
def get_project(call: Call, project: Project) -> Reply:
    changes.look(call.state, project)
    return Reply(200, shapes.one_project(call.state, project, call.actor, statistics=call.flag("statistics")))


@on("PUT", "/projects/<id>", Level.MAINTAINER)
def update_project(call: Call, project: Project) -> Reply:
    fields = {}
    for name in _CHANGEABLE:
        if name in call.given:
            now = getattr(project, name)
            fields[name] = (
                call.flag(name) if isinstance(now, bool) else call.words(name) if name == "topics" else call.given[name]
            )
    given = [name for name in _CHANGEABLE if name in call.given]
    changes.edit(call.state, project, **{name: _as(call, name, getattr(project, name)) for name in given})
    if slug := call.text("path"):
        changes.move(call.state, project, slug=slug)
    return Reply(200, shapes.project(call.state, project, call.actor))


def _as(call: Call, name: str, now: object) -> object:
    """The parameter, of the kind that the field has now."""
    if isinstance(now, bool):
        return call.flag(name)
    return call.words(name) if isinstance(now, list) else call.given[name]


@on("DELETE", "/projects/<id>", Level.OWNER)
def delete_project(call: Call, project: Project) -> Reply:
    changes.delete(call.state, project, by=call.by)
    return Reply(202, {"message": "202 Accepted"})


@on("GET", "/projects/<id>/languages")
def get_languages(call: Call, project: Project) -> Reply:
    return Reply(200, project.languages)


@on("POST", "/projects/<id>/archive", Level.OWNER)
def archive(call: Call, project: Project) -> Reply:
    changes.edit(call.state, project, archived=True)
    return Reply(201, shapes.project(call.state, project, call.actor))


@on("POST", "/projects/<id>/unarchive", Level.OWNER)
def unarchive(call: Call, project: Project) -> Reply:
    changes.edit(call.state, project, archived=False)
    return Reply(201, shapes.project(call.state, project, call.actor))


@on("PUT", "/projects/<id>/transfer", Level.OWNER)
def transfer(call: Call, project: Project) -> Reply:
    changes.move(call.state, project, group=call.state.group(call.required("namespace")))
    return Reply(200, shapes.project(call.state, project, call.actor))


@on("POST", "/projects/<id>/share", Level.MAINTAINER)
def share(call: Call, project: Project) -> Reply:
    group, level = call.state.group(call.required("group_id")), Level(int(call.required("group_access")))
    project.shared_with[group.id] = level
    told = {"id": call.state.new_id(), "project_id": project.id, "group_id": group.id, "group_access": int(level)}
    return Reply(201, {**told, "expires_at": None})


@on("DELETE", "/projects/<id>/share/<group>", Level.MAINTAINER)
def unshare(call: Call, project: Project, group: str) -> Reply:
    if project.shared_with.pop(int(group), None) is None:
        raise missing("Group Link")
    return Reply(204)


@on("POST", "/projects/<id>/fork", code=True, scopes=("api",))
def fork(call: Call, project: Project) -> Reply:
    """Answered at once; its files come a little later (`import_status`)."""
    by = call.by
    group = _fork_namespace(call)
    access.require_group(call.state, call.actor, group, Level.DEVELOPER)
    if not project.forking:
        raise Refused(403, "403 Forbidden")
    slug = call.text("path") or project.slug
    if f"{group.full_path}/{slug}".lower() in call.state.paths:
        taken = ["Project namespace name has already been taken", "Name has already been taken", "Path has already been taken"]
        raise Worded(409, {"message": taken})
    made = changes.fork(call.state, project, group, by=by, slug=slug, name=call.text("name"))
    shown = shapes.project(call.state, made, call.actor)
    if not call.state.fork_looks:
        changes.finish_import(call.state, made)
    return Reply(201, shown)


def _fork_namespace(call: Call) -> Group:
    if number := call.number("namespace_id", 0):
        return call.state.group(number)
    path = call.text("namespace_path") or call.text("namespace")
    if path:
        return call.state.group(path)
    if call.by.bot:
        raise Refused(404, "404 Target Namespace Not Found")
    return call.state.namespace_of(call.by)


@on("GET", "/projects/<id>/forks")
def list_forks(call: Call, project: Project) -> Reply:
    return projects_page(call, call.state.forks_of(project))


@on("GET", "/projects/<id>/labels")
def list_labels(call: Call, project: Project) -> Reply:
    found = list(call.state.labels_of(project).values())
    if search := call.text("search").lower():
        found = [each for each in found if search in each.name.lower()]
    return call.page(sorted(found, key=lambda each: each.name.lower()), lambda each: label_shape(call.state, each))


@on("POST", "/projects/<id>/labels", Level.PLANNER)
def create_label(call: Call, project: Project) -> Reply:
    name, color = call.required("name"), call.required("color")
    if name.lower() in call.state.labels_of(project):
        raise Refused(409, "Label already exists")
    if not re.fullmatch(r"#[0-9A-Fa-f]{3}|#[0-9A-Fa-f]{6}|[a-z]+", color):
        raise Worded(400, {"message": {"color": ["must be a valid color code"]}})
    made = Label(call.state.new_id(), name, color, call.given.get("description"), created_at=call.state.now())
    project.labels[name.lower()] = made
    return Reply(201, label_shape(call.state, made))


@on("GET", "/projects/<id>/labels/<name>")
def get_label(call: Call, project: Project, name: str) -> Reply:
    for each in call.state.labels_of(project).values():
        if name in (each.name, str(each.id)):
            return Reply(200, label_shape(call.state, each))
    raise missing("Label")
