"""/groups: what is in them, and who."""

from __future__ import annotations

from collections.abc import Iterable

from tests.fakes.gitlab import access
from tests.fakes.gitlab.changes import groups as changes
from tests.fakes.gitlab.payloads import projects as project_shapes
from tests.fakes.gitlab.payloads.basics import group as group_shape
from tests.fakes.gitlab.payloads.basics import label as label_shape
from tests.fakes.gitlab.payloads.basics import member as member_shape
from tests.fakes.gitlab.records import Group, Label, Level, Member, Project
from tests.fakes.gitlab.rest.routing import Call, Reply, on
from tests.fakes.gitlab.state import missing

PROJECT_ORDERS = {
    "id": lambda each: each.id,
    "name": lambda each: each.name.lower(),
    "path": lambda each: each.slug.lower(),
    "created_at": lambda each: each.id,
    "updated_at": lambda each: (each.updated_at, each.id),
    "last_activity_at": lambda each: (each.last_activity_at, each.id),
}


@on("GET", "/groups")
def list_groups(call: Call) -> Reply:
    seen = [each for each in call.state.groups.values() if each.owner is None and access.sees(call.state, call.actor, each)]
    if call.flag("top_level_only"):
        seen = [each for each in seen if each.parent is None]
    if search := call.text("search").lower():
        seen = [each for each in seen if search in each.full_path.lower()]
    return call.page(sorted(seen, key=lambda each: each.name.lower()), lambda each: group_shape(call.state, each))


@on("POST", "/groups")
def create_group(call: Call) -> Reply:
    slug, parent = call.required("path"), call.number("parent_id", 0)
    above = f"{call.state.group(parent).full_path}/" if parent else ""
    made = changes.create(call.state, above + slug, name=call.required("name"))
    changes.add_member(call.state, made, call.by, Level.OWNER)
    return Reply(201, group_shape(call.state, made))


@on("GET", "/groups/<id>")
def get_group(call: Call, group: Group) -> Reply:
    shown = {**group_shape(call.state, group), "shared_with_groups": [], "prevent_sharing_groups_outside_hierarchy": False}
    if call.flag("with_projects", default=True):
        own = [each for each in call.state.projects_in(group, subgroups=False) if access.sees(call.state, call.actor, each)]
        shown["projects"] = [project_shapes.project(call.state, each, call.actor) for each in own[:100]]
        shown["shared_projects"] = []
    return Reply(200, shown)


@on("GET", "/groups/<id>/subgroups")
def list_subgroups(call: Call, group: Group) -> Reply:
    children = [each for each in call.state.groups.values() if each.parent is group]
    return _groups(call, children)


@on("GET", "/groups/<id>/descendant_groups")
def list_descendants(call: Call, group: Group) -> Reply:
    return _groups(call, [each for each in call.state.below(group) if each is not group])


def _groups(call: Call, groups: Iterable[Group]) -> Reply:
    seen = [each for each in groups if access.sees(call.state, call.actor, each)]
    return call.page(sorted(seen, key=lambda each: each.name.lower()), lambda each: group_shape(call.state, each))


@on("GET", "/groups/<id>/projects")
def list_projects(call: Call, group: Group) -> Reply:
    """By page numbers alone: GitLab has no keyset pagination here."""
    call.limits.charge_projects(call.actor.key)
    found = call.state.projects_in(group, subgroups=call.flag("include_subgroups"))
    if call.flag("with_shared", default=True):
        within = {each.id for each in (call.state.below(group) if call.flag("include_subgroups") else [group])}
        found += [each for each in call.state.projects.values() if within & each.shared_with.keys() and each not in found]
    return projects_page(call, found)


def projects_page(call: Call, found: Iterable[Project]) -> Reply:
    """The list filtered, ordered and cut as the parameters want it."""
    ordered = select(call, found)
    if call.flag("simple"):
        return call.page(ordered, lambda each: project_shapes.basic(call.state, each))
    statistics = call.flag("statistics")
    return call.page(ordered, lambda each: project_shapes.project(call.state, each, call.actor, statistics=statistics))


def select(call: Call, found: Iterable[Project]) -> list[Project]:
    seen = [each for each in found if access.sees(call.state, call.actor, each)]
    for name, of in (("archived", "archived"), ("with_merge_requests_enabled", "merge_requests_enabled")):
        if (wanted := call.maybe_flag(name)) is not None:
            seen = [each for each in seen if getattr(each, of) is wanted]
    if visibility := call.text("visibility"):
        seen = [each for each in seen if each.visibility == visibility]
    if search := call.text("search").lower():
        seen = [each for each in seen if search in each.slug.lower() or search in each.name.lower()]
    if topics := set(call.words("topic")):
        seen = [each for each in seen if topics <= set(each.topics)]
    if least := call.number("min_access_level", 0):
        seen = [each for each in seen if access.level_of(call.state, call.actor, each) >= least]
    order = PROJECT_ORDERS[call.text("order_by", "created_at")]
    return sorted(seen, key=order, reverse=call.text("sort", "desc") == "desc")


def _members(call: Call, members: Iterable[Member]) -> Reply:
    found = list(members)
    if query := call.text("query").lower():
        found = [each for each in found if query in each.user.username.lower() or query in each.user.name.lower()]
    if wanted := set(call.numbers("user_ids")):
        found = [each for each in found if each.user.id in wanted]
    return call.page(found, lambda each: member_shape(call.state, each))


def _one_member(call: Call, members: Iterable[Member], user: str) -> Reply:
    for each in members:
        if str(each.user.id) == user:
            return Reply(200, member_shape(call.state, each))
    raise missing("Member")


@on("GET", "/groups/<id>/members")
def list_members(call: Call, group: Group) -> Reply:
    return _members(call, group.members.values())


@on("POST", "/groups/<id>/members", Level.OWNER)
def add_member(call: Call, group: Group) -> Reply:
    return _add_member(call, group)


def _add_member(call: Call, where: Group | Project) -> Reply:
    who = call.state.user(call.number("user_id", 0))
    made = changes.add_member(call.state, where, who, Level(int(call.required("access_level"))), call.day("expires_at"))
    return Reply(201, member_shape(call.state, made))


@on("GET", "/groups/<id>/members/all")
def list_all_members(call: Call, group: Group) -> Reply:
    return _members(call, access.members_of_group(call.state, group))


@on("GET", "/groups/<id>/members/<user>")
def get_member(call: Call, group: Group, user: str) -> Reply:
    return _one_member(call, group.members.values(), user)


@on("GET", "/groups/<id>/members/all/<user>")
def get_any_member(call: Call, group: Group, user: str) -> Reply:
    return _one_member(call, access.members_of_group(call.state, group), user)


@on("DELETE", "/groups/<id>/members/<user>", Level.OWNER)
def remove_member(call: Call, group: Group, user: str) -> Reply:
    changes.remove_member(call.state, group, call.state.user(int(user)))
    return Reply(204)


@on("GET", "/projects/<id>/members")
def list_project_members(call: Call, project: Project) -> Reply:
    return _members(call, project.members.values())


@on("POST", "/projects/<id>/members", Level.MAINTAINER)
def add_project_member(call: Call, project: Project) -> Reply:
    return _add_member(call, project)


@on("GET", "/projects/<id>/members/all")
def list_all_project_members(call: Call, project: Project) -> Reply:
    return _members(call, access.members_of_project(call.state, project))


@on("GET", "/projects/<id>/members/<user>")
def get_project_member(call: Call, project: Project, user: str) -> Reply:
    return _one_member(call, project.members.values(), user)


@on("GET", "/projects/<id>/members/all/<user>")
def get_any_project_member(call: Call, project: Project, user: str) -> Reply:
    return _one_member(call, access.members_of_project(call.state, project), user)


@on("GET", "/groups/<id>/labels")
def list_group_labels(call: Call, group: Group) -> Reply:
    return call.page(list(group.labels.values()), lambda each: label_shape(call.state, each))


@on("POST", "/groups/<id>/labels", Level.PLANNER)
def create_group_label(call: Call, group: Group) -> Reply:
    made = Label(
        call.state.new_id(), call.required("name"), call.required("color"), call.given.get("description"),
        group=True, created_at=call.state.now(),
    )  # fmt: skip
    group.labels[made.name.lower()] = made
    return Reply(201, label_shape(call.state, made))
