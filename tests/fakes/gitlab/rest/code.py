"""/projects/…/repository: branches, commits, trees and files; protected branches."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pygit2

from tests.fakes.forge import gitstore
from tests.fakes.forge.refusals import Refused
from tests.fakes.gitlab import access
from tests.fakes.gitlab.changes import projects as changes
from tests.fakes.gitlab.changes import refs
from tests.fakes.gitlab.payloads import projects as shapes
from tests.fakes.gitlab.records import JSON, Level, Project
from tests.fakes.gitlab.rest.routing import Call, Reply, on
from tests.fakes.gitlab.state import Worded, bad_parameter, missing

REPOSITORY = "/projects/<id>/repository"
_ACTIONS = ("create", "update", "delete", "move", "chmod")


def commit_at(project: Project, revision: str, what: str = "Commit") -> pygit2.Commit:
    """404 in GitLab's words where it is not there; HEAD is the default branch."""
    try:
        return gitstore.commit(project, project.default_branch if revision in ("", "HEAD") else revision)
    except Refused:
        raise missing(what) from None


@on("GET", f"{REPOSITORY}/branches", code=True)
def list_branches(call: Call, project: Project) -> Reply:
    names = list(gitstore.branches(project))
    if search := call.text("search"):
        names = [name for name in names if _fits(search, name)]
    if call.text("pagination") == "keyset":
        build = lambda name: shapes.branch(call.state, project, name, call.actor)  # noqa: E731
        return call.keyset(names, str, build, name="page_token")
    return call.page(names, lambda name: shapes.branch(call.state, project, name, call.actor))


def _fits(search: str, name: str) -> bool:
    """`^begin` and `end$` are what GitLab knows of patterns."""
    if search.startswith("^"):
        return name.lower().startswith(search[1:].lower())
    return name.lower().endswith(search[:-1].lower()) if search.endswith("$") else search.lower() in name.lower()


@on("POST", f"{REPOSITORY}/branches", Level.DEVELOPER)
def create_branch(call: Call, project: Project) -> Reply:
    name, ref = call.required("branch"), call.required("ref")
    if gitstore.head(project, name) is not None:
        raise Refused(400, "Branch already exists")
    try:
        sha = str(gitstore.commit(project, ref).id)
    except Refused:
        raise Refused(400, f"Invalid reference name: {ref}") from None
    _may_push(call, project, name)
    gitstore.set_ref(project, refs.BRANCH + name, sha)
    refs.settle(call.state, project, call.by)
    return Reply(201, shapes.branch(call.state, project, name, call.actor))


def _may_push(call: Call, project: Project, branch: str) -> None:
    if not access.may_push(call.state, call.by, project, branch):
        raise Refused(403, "You are not allowed to push into this branch")


@on("GET", f"{REPOSITORY}/branches/<branch>", code=True)
def get_branch(call: Call, project: Project, branch: str) -> Reply:
    if gitstore.head(project, branch) is None:
        raise missing("Branch")
    return Reply(200, shapes.branch(call.state, project, branch, call.actor))


@on("DELETE", f"{REPOSITORY}/branches/<branch>", Level.DEVELOPER)
def delete_branch(call: Call, project: Project, branch: str) -> Reply:
    if gitstore.head(project, branch) is None:
        raise missing("Branch")
    if branch == project.default_branch:
        raise Refused(400, "Cannot remove HEAD branch")
    if any(rule.fits(branch) for rule in project.protections.values()):
        _may_push(call, project, branch)
    gitstore.delete_ref(project, refs.BRANCH + branch)
    refs.settle(call.state, project, call.by)
    return Reply(204)


@on("GET", f"{REPOSITORY}/tree", code=True)
def list_tree(call: Call, project: Project) -> Reply:
    ref = call.text("ref") or project.default_branch
    commit = commit_at(project, ref, "Tree")
    path = call.text("path").strip("/")
    entries = _entries(project, commit, path, deep=call.flag("recursive"))
    if call.text("pagination") == "keyset":
        return call.keyset(entries, lambda each: each["id"] + each["path"], _bare, name="page_token")
    return call.page(entries, _bare)


def _bare(entry: JSON) -> JSON:
    return entry


def _entries(project: Project, commit: pygit2.Commit, path: str, *, deep: bool) -> list[JSON]:
    """404 for a path that is no folder (since GitLab 15)."""
    tree: Any = commit.tree
    if path:
        try:
            tree = tree[path]
        except KeyError:
            raise Refused(404, "404 invalid revision or path Not Found") from None
    found: list[JSON] = []
    _walk(tree, path, deep, found)
    return found


def _walk(tree: Any, path: str, deep: bool, found: list[JSON]) -> None:
    """Folders come before files, as GitLab lists them."""
    if not isinstance(tree, pygit2.Tree):
        raise Refused(404, "404 invalid revision or path Not Found")
    for entry in sorted(tree, key=lambda each: not isinstance(each, pygit2.Tree)):
        name = f"{path}/{entry.name}" if path else str(entry.name)
        kind = "tree" if isinstance(entry, pygit2.Tree) else "blob" if isinstance(entry, pygit2.Blob) else "commit"
        found.append(
            {"id": str(entry.id), "name": entry.name, "type": kind, "path": name, "mode": f"{int(entry.filemode):06o}"}
        )
        if deep and kind == "tree":
            _walk(entry, name, deep, found)


def _blob(call: Call, project: Project, path: str) -> tuple[pygit2.Commit, pygit2.Blob]:
    ref = call.text("ref") or "HEAD"
    commit = commit_at(project, ref)
    try:
        found = commit.tree[path]
    except KeyError:
        raise missing("File") from None
    if not isinstance(found, pygit2.Blob):
        raise missing("File")
    return commit, found


def _file_facts(call: Call, project: Project, path: str) -> JSON:
    commit, blob = _blob(call, project, path)
    data = blob.data
    return {
        "file_name": path.rsplit("/", 1)[-1],
        "file_path": path,
        "size": len(data),
        "encoding": "base64",
        "content_sha256": hashlib.sha256(data).hexdigest(),
        "ref": call.text("ref") or "HEAD",
        "blob_id": str(blob.id),
        "commit_id": str(commit.id),
        "last_commit_id": str(commit.id),
        "execute_filemode": int(commit.tree[path].filemode) == 0o100755,
    }


@on("GET", f"{REPOSITORY}/files/<path>", code=True)
def get_file(call: Call, project: Project, path: str) -> Reply:
    """HEAD tells all but the content, by headers."""
    call.required("ref")
    _, blob = _blob(call, project, path)
    facts = _file_facts(call, project, path)
    headers = {f"X-Gitlab-{name.title().replace('_', '-')}": str(value) for name, value in facts.items()}
    return Reply(200, {**facts, "content": base64.b64encode(blob.data).decode()}, headers)


@on("GET", f"{REPOSITORY}/files/<path>/raw", code=True)
def get_raw_file(call: Call, project: Project, path: str) -> Reply:
    _, blob = _blob(call, project, path)
    return Reply(200, blob.data, {"Content-Type": "text/plain; charset=utf-8"})


@on("GET", f"{REPOSITORY}/commits", code=True)
def list_commits(call: Call, project: Project) -> Reply:
    """Of a branch, a tag, a commit; or of a range, `main..branch`."""
    base, _, ref = (call.text("ref_name") or project.default_branch).rpartition("..")
    tip = str(commit_at(project, ref).id)
    made = gitstore.between(project, str(commit_at(project, base).id), tip)[::-1] if base else _all_of(project, tip)
    return call.page(made, lambda each: shapes.commit(call.state, project, each))


def _all_of(project: Project, tip: str) -> list[pygit2.Commit]:
    return list(gitstore.opened(project).walk(tip))


@on("GET", f"{REPOSITORY}/blobs/<sha>/raw", code=True)
def get_raw_blob(call: Call, project: Project, sha: str) -> Reply:
    found = gitstore.opened(project).get(sha)
    if not isinstance(found, pygit2.Blob):
        raise missing("Blob")
    return Reply(200, found.data, {"Content-Type": "text/plain; charset=utf-8"})


@on("GET", f"{REPOSITORY}/commits/<sha>", code=True)
def get_commit(call: Call, project: Project, sha: str) -> Reply:
    return Reply(200, shapes.one_commit(call.state, project, commit_at(project, sha)))


@on("GET", f"{REPOSITORY}/commits/<sha>/refs", code=True)
def list_refs_of_commit(call: Call, project: Project, sha: str) -> Reply:
    found = str(commit_at(project, sha).id)
    names = [name for name, head in gitstore.branches(project).items() if gitstore.is_ancestor(project, found, head)]
    return call.page(names, lambda name: {"type": "branch", "name": name})


@on("GET", f"{REPOSITORY}/compare", code=True)
def compare(call: Call, project: Project) -> Reply:
    start, end = commit_at(project, call.required("from")), commit_at(project, call.required("to"))
    made = gitstore.between(project, str(start.id), str(end.id))
    shown = [shapes.commit(call.state, project, each) for each in made]
    told = {"commit": shown[-1] if shown else None, "commits": shown, "diffs": diffs(project, str(start.id), str(end.id))}
    url = f"{shapes.web_url(call.state, project)}/-/compare/{start.id}...{end.id}"
    return Reply(200, {**told, "compare_timeout": False, "compare_same_ref": start.id == end.id, "web_url": url})


@on("GET", f"{REPOSITORY}/merge_base", code=True)
def merge_base(call: Call, project: Project) -> Reply:
    one, other = call.words("refs")[:2]
    base = gitstore.merge_base(project, str(commit_at(project, one).id), str(commit_at(project, other).id))
    if base is None:
        raise missing("Merge Base")
    return Reply(200, shapes.commit(call.state, project, gitstore.commit(project, base)))


def diffs(project: Project, base: str, head: str) -> list[JSON]:
    """Each changed file, as merge requests and comparisons show it."""
    found = []
    for patch in gitstore.changed_files(project, base, head):
        delta, text = patch.delta, patch.text or ""
        status = gitstore.STATUSES.get(delta.status, "")
        at = text.find("@@")
        found.append(
            {
                "diff": text[at:] if at >= 0 else "",
                "collapsed": False,
                "too_large": False,
                "new_path": delta.new_file.path,
                "old_path": delta.old_file.path,
                "a_mode": f"{int(delta.old_file.mode):o}",
                "b_mode": f"{int(delta.new_file.mode):o}",
                "new_file": status == "added",
                "renamed_file": False,
                "deleted_file": status == "removed",
                "generated_file": False,
            }
        )
    return found


@on("POST", f"{REPOSITORY}/commits", Level.DEVELOPER)
def create_commit(call: Call, project: Project) -> Reply:
    """Actions on files, as one commit on a branch that is there, or is made from `start_branch` or `start_sha`."""
    branch, message = call.required("branch"), call.required("commit_message")
    tip, start = gitstore.head(project, branch), call.text("start_branch") or call.text("start_sha")
    force = call.flag("force")
    if tip is not None and start and not force:
        raise Refused(400, f"A branch called '{branch}' already exists. Switch to that branch in order to make changes")
    if tip is None and not start and not gitstore.is_empty(project):
        raise Refused(400, "You can only create or edit files when you are on a branch")
    _may_push(call, project, branch)
    base = commit_at(project, start).tree if start else commit_at(project, branch).tree if tip else None
    files = _files(call.required("actions"), base)
    made = changes.commit(
        call.state, project, branch, files, by=call.by, message=message, start=start or None, forced=bool(start) and force
    )
    return Reply(201, shapes.one_commit(call.state, project, gitstore.commit(project, made)))


def _files(actions: list[JSON], base: pygit2.Tree | None) -> dict[str, bytes | None]:
    files: dict[str, bytes | None] = {}
    for action in actions:
        kind, path = action.get("action"), action.get("file_path")
        if kind not in _ACTIONS or not path:
            raise bad_parameter("actions[action] does not have a valid value" if path else "actions[file_path] is missing")
        there = base is not None and path in base
        if kind == "create" and there:
            raise Refused(400, "A file with this name already exists")
        if kind in ("update", "delete") and not there:
            raise Refused(400, "A file with this name doesn't exist")
        if kind == "move":
            files[action["previous_path"]] = None
        files[path] = None if kind == "delete" else _content(action)
    return files


def _content(action: JSON) -> bytes:
    content = action.get("content") or ""
    return base64.b64decode(content) if action.get("encoding") == "base64" else content.encode()


@on("GET", "/projects/<id>/protected_branches", Level.DEVELOPER)
def list_protected(call: Call, project: Project) -> Reply:
    return call.page(list(project.protections.values()), lambda each: shapes.protection(call.state, each))


@on("POST", "/projects/<id>/protected_branches", Level.MAINTAINER)
def protect(call: Call, project: Project) -> Reply:
    name = call.required("name")
    if name in project.protections:
        raise Worded(409, {"message": f"Protected branch '{name}' already exists"})
    levels = {what: _level(call.number(f"{what}_access_level", 40)) for what in ("push", "merge")}
    made = changes.protect(call.state, project, name, **levels, allow_force_push=call.flag("allow_force_push"))
    return Reply(201, shapes.protection(call.state, made))


def _level(number: int) -> Level:
    return Level.NOBODY if number == 0 else Level(number)


@on("GET", "/projects/<id>/protected_branches/<name>", Level.DEVELOPER)
def get_protected(call: Call, project: Project, name: str) -> Reply:
    if name not in project.protections:
        raise missing("Not Found")
    return Reply(200, shapes.protection(call.state, project.protections[name]))


@on("DELETE", "/projects/<id>/protected_branches/<name>", Level.MAINTAINER)
def unprotect(call: Call, project: Project, name: str) -> Reply:
    if project.protections.pop(name, None) is None:
        raise missing("Protected Branch")
    return Reply(204)
