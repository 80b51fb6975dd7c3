"""/repos/…/contents: files by their path."""

from __future__ import annotations

import base64
import binascii

import pygit2

from tests.fakes.forge import gitstore
from tests.fakes.forge.refusals import Refused, not_found
from tests.fakes.github.access import require
from tests.fakes.github.changes import refs
from tests.fakes.github.changes import repositories as changes
from tests.fakes.github.payloads import repositories as shapes
from tests.fakes.github.records import JSON, Repository
from tests.fakes.github.rest.routing import Call, Reply, on

WORKFLOWS = ".github/workflows/"


@on("GET", "/repos/<owner>/<repo>/contents/", "contents:read")
@on("GET", "/repos/<owner>/<repo>/contents/<path:path>", "contents:read")
def get_content(call: Call, found: Repository, path: str = "") -> Reply:
    ref, path = call.query.get("ref", found.default_branch), path.strip("/")
    if gitstore.is_empty(found):
        raise Refused(404, "This repository is empty.")
    entry = gitstore.entry(found, ref, path)
    if isinstance(entry, pygit2.Tree):
        return Reply(200, [_listed(call, found, f"{path}/{each.name}".strip("/"), each, ref) for each in entry])
    if not isinstance(entry, pygit2.Blob):
        raise not_found()
    if "raw" in call.accept:
        return Reply(200, entry.data, {"Content-Type": "application/vnd.github.raw+json; charset=utf-8"})
    return Reply(200, shapes.file_content(call.state, found, path, entry, ref))


@on("GET", "/repos/<owner>/<repo>/readme", "contents:read")
def get_readme(call: Call, found: Repository) -> Reply:
    return get_content(call, found, "README.md")


def _listed(call: Call, found: Repository, path: str, entry: pygit2.Object, ref: str) -> JSON:
    if isinstance(entry, pygit2.Blob):
        return shapes.file_content(call.state, found, path, entry, ref, listed=True)
    return shapes.folder_entry(call.state, found, path, str(entry.id), ref)


@on("PUT", "/repos/<owner>/<repo>/contents/<path:path>", "contents:write")
def put_content(call: Call, found: Repository, path: str) -> Reply:
    try:
        content = base64.b64decode(call.required("content"))
    except binascii.Error:
        raise Refused(422, "content is not valid Base64") from None
    before = _present(call, found, path)
    _check_sha(call, path, before)
    commit = _write(call, found, path, content)
    return Reply(201 if before is None else 200, _written(call, found, path, commit))


@on("DELETE", "/repos/<owner>/<repo>/contents/<path:path>", "contents:write")
def delete_content(call: Call, found: Repository, path: str) -> Reply:
    call.body = {**dict(call.query), **(call.body or {})}
    before = _present(call, found, path)
    if before is None:
        raise not_found()
    _check_sha(call, path, before)
    commit = _write(call, found, path, None)
    return Reply(200, {**_written(call, found, path, commit), "content": None})


def _branch(call: Call, found: Repository) -> str:
    branch: str = call.body.get("branch", found.default_branch)
    if gitstore.head(found, branch) is None and not gitstore.is_empty(found):
        raise Refused(404, f"Branch {branch} not found")
    return branch


def _present(call: Call, found: Repository, path: str) -> str | None:
    branch = _branch(call, found)
    try:
        return str(gitstore.entry(found, branch, path).id)
    except Refused:
        return None


def _check_sha(call: Call, path: str, before: str | None) -> None:
    given = call.body.get("sha")
    if before is not None and given is None:
        raise Refused(422, 'Invalid request.\n\n"sha" wasn\'t supplied.')
    if given is not None and given != before:
        raise Refused(409, f"{path} does not match {given}")


def _write(call: Call, found: Repository, path: str, content: bytes | None) -> str:
    branch = _branch(call, found)
    require_workflows(call, found, [path])
    refs.check_protection(call.state, found, call.by, refs.BRANCH + branch)
    return changes.commit(call.state, found, branch, {path: content}, by=call.by, message=call.required("message"))


def require_workflows(call: Call, found: Repository, paths: list[str]) -> None:
    if any(path.startswith(WORKFLOWS) for path in paths):
        require(call.actor, found, ("workflows",), "write")


def _written(call: Call, found: Repository, path: str, sha: str) -> JSON:
    commit = gitstore.commit(found, sha)
    told: JSON = {"commit": shapes.git_commit(call.state, found, commit)}
    if path_is_there := _blob(found, sha, path):
        told["content"] = shapes.file_content(call.state, found, path, path_is_there, sha, listed=True)
    return told


def _blob(found: Repository, sha: str, path: str) -> pygit2.Blob | None:
    try:
        entry = gitstore.entry(found, sha, path)
    except Refused:
        return None
    return entry if isinstance(entry, pygit2.Blob) else None
