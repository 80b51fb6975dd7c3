"""Projects and branches: made, forked, renamed, moved, archived, deleted, committed to."""

from __future__ import annotations

from typing import Any

from tests.fakes.forge import gitstore
from tests.fakes.forge.gitstore import Files
from tests.fakes.forge.refusals import Refused
from tests.fakes.gitlab.changes import merge_requests, refs
from tests.fakes.gitlab.payloads import group_events
from tests.fakes.gitlab.records import Group, Level, MergeRequest, Project, Protection, User
from tests.fakes.gitlab.state import State, invalid

_HOOK = """#!/bin/sh
# update REF OLD NEW: what the server asked of, by its environment
ref=$1 old=$2 new=$3
refuse() { echo "GitLab: $1" >&2; exit 1; }
case "$ref" in
    refs/merge-requests/*|refs/keep-around/*|refs/pipelines/*) refuse "You can't push to this ref." ;;
esac
for pattern in $HUB_NO_PUSH; do
    case "$ref" in
        refs/heads/$pattern) refuse "You are not allowed to push code to protected branches on this project." ;;
    esac
done
zero=0000000000000000000000000000000000000000
for pattern in $HUB_NO_FORCE; do
    case "$ref" in
        refs/heads/$pattern)
            if [ "$new" = $zero ]; then refuse "You can only delete protected branches using the web interface."; fi
            if [ "$old" != $zero ] && ! git merge-base --is-ancestor "$old" "$new"; then
                refuse "You are not allowed to force push code to a protected branch on this project."
            fi ;;
    esac
done
"""


def create(state: State, group: Group, slug: str, *, by: User, files: Files | None, protected: bool, **more: Any) -> Project:
    """`files` None: an empty repository. `more`: fields of the record."""
    if f"{group.full_path}/{slug}".lower() in state.paths:
        raise invalid(project_namespace_path="has already been taken", name="has already been taken")
    number, moment = state.new_id(), state.now()
    path = state.folder / "repositories" / f"{number}.git"
    made = Project(number, group, slug, more.pop("name", slug), path, by, moment, moment, moment, **more)
    gitstore.begin(path, made.default_branch, _HOOK)
    state.projects[number] = made
    state.paths[made.full_path.lower()] = number
    state.old_paths.pop(made.full_path.lower(), None)
    if files is not None:
        author = gitstore.signature(by.name, by.email, moment)
        sha = gitstore.write(made, files, parents=[], message="Begin\n", author=author)
        gitstore.set_ref(made, refs.BRANCH + made.default_branch, sha)
        made.seen_refs = gitstore.refs(made)
    if protected:
        protect(state, made, made.default_branch)
    state.tell("project", group, group_events.project_event(made, "project_create"))
    return made


def protect(
    state: State,
    project: Project,
    name: str,
    *,
    push: Level = Level.MAINTAINER,
    merge: Level = Level.MAINTAINER,
    allow_force_push: bool = False,
) -> Protection:
    made = project.protections[name] = Protection(state.new_id(), name, push, merge, allow_force_push)
    return made


def fork(state: State, source: Project, group: Group, *, by: User, slug: str = "", name: str = "") -> Project:
    """It is `scheduled` until `finish_import`."""
    return create(
        state, group, slug or source.slug, by=by, files=None, protected=False, name=name or source.name,
        default_branch=source.default_branch, visibility=source.visibility, description=source.description,
        forked_from=source, import_status="scheduled",
    )  # fmt: skip


def look(state: State, project: Project) -> None:
    """Somebody asks for the project: a fork is a step further each time."""
    if project.import_status not in ("scheduled", "started"):
        return
    project.looks += 1
    project.import_status = "started"
    if project.looks > state.fork_looks:
        finish_import(state, project)


def finish_import(state: State, project: Project) -> None:
    """What GitLab does in the background after it has answered that a fork is made."""
    source = project.forked_from
    assert source is not None
    (project.path / "objects" / "info" / "alternates").write_text(f"{source.path / 'objects'}\n")
    for ref, sha in gitstore.refs(source).items():
        gitstore.set_ref(project, ref, sha)
    project.seen_refs = gitstore.refs(project)
    protect(state, project, project.default_branch)
    project.import_status = "finished"


def move(state: State, project: Project, *, slug: str | None = None, group: Group | None = None) -> None:
    """Rename it, or move it to another group. Its old path leads to it from then on; no webhook tells of it."""
    target, wanted = group or project.group, slug or project.slug
    there = state.paths.get(f"{target.full_path}/{wanted}".lower())
    if there is not None and there != project.id:
        raise invalid(path="has already been taken")
    project.group, project.slug, project.updated_at = target, wanted, state.now()
    state.index()


def edit(state: State, project: Project, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(project, name, value)
    if "default_branch" in fields:
        gitstore.opened(project).set_head(refs.BRANCH + project.default_branch)
    project.updated_at = state.now()


def delete(state: State, project: Project, *, by: User) -> None:
    del state.projects[project.id]
    del state.paths[project.full_path.lower()]
    for pull in _pulls_from(state, project):
        merge_requests.close(state, pull, by)
    state.tell("project", project.group, group_events.project_event(project, "project_destroy"))


def _pulls_from(state: State, project: Project) -> list[MergeRequest]:
    others = [each for each in state.projects.values() if each is not project]
    return [pull for each in others for pull in each.merge_requests.values() if pull.source_project is project]


def commit(
    state: State,
    project: Project,
    branch: str,
    files: Files,
    *,
    by: User,
    message: str,
    start: str | None = None,
    forced: bool = False,
) -> str:
    """Commit to `branch` (made from `start`, else the default branch, where it is missing). The commit's id.

    A forced one starts again from `start` and forgets what the branch had.
    """
    tip = gitstore.head(project, branch)
    origin = None if gitstore.is_empty(project) else str(gitstore.commit(project, start or project.default_branch).id)
    parent = origin if forced or tip is None else tip
    author = gitstore.signature(by.name, by.email, state.now())
    made = gitstore.write(project, files, parents=[] if parent is None else [parent], message=message, author=author)
    gitstore.set_ref(project, refs.BRANCH + branch, made)
    refs.settle(state, project, by)
    return made


def check_writable(project: Project) -> None:
    if project.archived:
        raise Refused(403, "403 Forbidden")
