"""Groups, projects, and what is in their repositories."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pygit2

from tests.fakes.forge import gitstore
from tests.fakes.forge.refusals import Refused
from tests.fakes.gitlab import access
from tests.fakes.gitlab.graphql.fields import Context, gid, on, page, reads
from tests.fakes.gitlab.payloads import projects as shapes
from tests.fakes.gitlab.payloads.basics import when
from tests.fakes.gitlab.records import JSON, Group, Level, Project

MOST_BLOBS = 100


@on("Query", "currentUser")
def current_user(_: Any, context: Context) -> Any:
    return None if context.actor.token is None else context.actor.user


@on("Query", "metadata")
def metadata(_: Any, context: Context) -> JSON:
    return {"version": context.state.version, "revision": "0fake00", "enterprise": context.state.version.endswith("-ee")}


@on("Query", "group")
def group(_: Any, context: Context, fullPath: str) -> Group | None:
    """None for what is not there, or not to be seen: GraphQL has no 404."""
    try:
        found = context.state.group(fullPath)
    except Refused:
        return None
    return found if access.sees(context.state, context.actor, found) else None


@on("Query", "project")
def project(_: Any, context: Context, fullPath: str) -> Project | None:
    """By an old path too."""
    found = context.state.projects.get(context.state.paths.get(fullPath.lower(), 0)) or context.state.moved(fullPath)
    return found if found is not None and access.sees(context.state, context.actor, found) else None


@on("Query", "projects")
def projects(
    _: Any,
    context: Context,
    ids: list[str] | None = None,
    fullPaths: list[str] | None = None,
    membership: bool = False,
    search: str = "",
    **cut: Any,
) -> JSON:
    """By their present paths alone."""
    found = list(context.state.projects.values())
    if fullPaths is not None:
        wanted = {path.lower() for path in fullPaths}
        found = [each for each in found if each.full_path.lower() in wanted]
    if ids is not None:
        found = [each for each in found if gid("Project", each.id) in ids]
    if membership:
        found = [each for each in found if access.level_of(context.state, context.actor, each) > Level.NONE]
    found = [each for each in found if search.lower() in each.name.lower()]
    return page(_seen(context, found), **cut)


def _seen(context: Context, found: list[Project]) -> list[Project]:
    seen = [each for each in found if access.sees(context.state, context.actor, each)]
    return sorted(seen, key=lambda each: each.id, reverse=True)


@on("Group", "projects")
def projects_of_group(
    found: Group,
    context: Context,
    includeSubgroups: bool = False,
    includeArchived: bool = True,
    search: str = "",
    sort: str | None = None,
    **cut: Any,
) -> JSON:
    within = context.state.projects_in(found, subgroups=includeSubgroups)
    within = [each for each in within if search.lower() in each.name.lower() and (includeArchived or not each.archived)]
    seen = _seen(context, within)
    if sort is not None:
        name, _, direction = sort.lower().partition("_")
        keys = {"id": lambda each: each.id, "path": lambda each: each.slug, "activity": lambda each: each.last_activity_at}
        seen = sorted(seen, key=keys[name], reverse=direction == "desc")
    return page(seen, **cut)


@on("Group", "id")
def group_id(found: Group, context: Context) -> str:
    return gid("Group", found.id)


@on("Group", "fullPath")
def group_path(found: Group, context: Context) -> str:
    return found.full_path


@on("Group", "fullName")
def group_name(found: Group, context: Context) -> str:
    return found.full_name


@on("Group", "webUrl")
def group_url(found: Group, context: Context) -> str:
    return f"{context.state.url}/groups/{found.full_path}"


_PLAIN = {
    "path": lambda found: found.slug,
    "fullPath": lambda found: found.full_path,
    "nameWithNamespace": lambda found: found.full_name,
    "isForked": lambda found: found.forked_from is not None,
    "createdAt": lambda found: when(found.created_at),
    "lastActivityAt": lambda found: when(found.last_activity_at),
    "mergeRequestsEnabled": lambda found: found.merge_requests_enabled,
    "issuesEnabled": lambda found: found.issues_enabled,
    "squashReadOnly": lambda found: found.squash_option in ("always", "never"),
    "id": lambda found: gid("Project", found.id),
    "languages": lambda found: [{"name": name, "share": share, "color": None} for name, share in found.languages.items()],
}
reads("Project", **_PLAIN)


@on("Project", "webUrl")
def project_url(found: Project, context: Context) -> str:
    return shapes.web_url(context.state, found)


@on("Project", "statistics")
def statistics(found: Project, context: Context) -> JSON | None:
    """For reporters and above; for others there are none."""
    if access.level_of(context.state, context.actor, found) < Level.REPORTER:
        return None
    return {
        "repositorySize": float(found.size_bytes),
        "storageSize": float(found.size_bytes + found.lfs_bytes),
        "lfsObjectsSize": float(found.lfs_bytes),
        "commitCount": 0.0,
    }


@on("Project", "repository")
def repository(found: Project, context: Context) -> JSON | None:
    """None for whoever may not read the files."""
    try:
        access.require(context.state, context.actor, found, Level.NONE, code=True)
    except Refused:
        return None
    empty = gitstore.is_empty(found)
    return {"of": found, "rootRef": None if empty else found.default_branch, "empty": empty, "exists": True}


@on("Repository", "commit")
def commit_at(inside: JSON, context: Context, ref: str) -> JSON | None:
    found: Project = inside["of"]
    try:
        return commit(context, found, gitstore.commit(found, found.default_branch if ref == "HEAD" else ref))
    except Refused:
        return None


def commit(context: Context, found: Project, made: pygit2.Commit) -> JSON:
    sha = str(made.id)
    return {
        "id": f"gid://gitlab/Commit/{sha}",
        "sha": sha,
        "shortId": sha[:8],
        "title": made.message.split("\n", 1)[0],
        "message": made.message,
        "authorName": made.author.name,
        "authorEmail": made.author.email,
        "authoredDate": when(datetime.fromtimestamp(made.author.time, UTC)),
        "committedDate": when(datetime.fromtimestamp(made.commit_time, UTC)),
        "webUrl": f"{shapes.web_url(context.state, found)}/-/commit/{sha}",
    }


@on("Repository", "blobs")
def blobs(
    inside: JSON, context: Context, paths: list[str], ref: str | None = None, refType: str | None = None, **cut: Any
) -> JSON:
    """Those of `paths` that are files; links are, folders are not."""
    if len(paths) > MOST_BLOBS:
        raise Refused(422, f"blobs(paths): at most {MOST_BLOBS} paths")
    found: Project = inside["of"]
    if inside["empty"]:
        return page([], **cut)
    tree = gitstore.commit(found, ref if ref not in (None, "HEAD") else found.default_branch).tree
    entries = [(path, tree[path]) for path in paths if path and path in tree]
    return page([_blob(path, each) for path, each in entries if isinstance(each, pygit2.Blob)], **cut)


def _blob(path: str, found: pygit2.Blob) -> JSON:
    text = None if found.is_binary else found.data.decode(errors="replace")
    return {
        "id": f"gid://gitlab/Blob/{found.id}",
        "oid": str(found.id),
        "name": path.rsplit("/", 1)[-1],
        "path": path,
        "mode": f"{int(found.filemode):06o}",
        "size": found.size,
        "rawSize": found.size,
        "rawBlob": text,
        "rawTextBlob": text,
    }
