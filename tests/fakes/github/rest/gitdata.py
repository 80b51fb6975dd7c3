"""/repos/…/git: refs, commits, trees, blobs."""

from __future__ import annotations

import base64

import pygit2

from tests.fakes.forge import gitstore
from tests.fakes.forge.refusals import Refused, not_found
from tests.fakes.github import objects
from tests.fakes.github.changes import refs
from tests.fakes.github.payloads import repositories as shapes
from tests.fakes.github.records import JSON, Repository
from tests.fakes.github.rest.contents import require_workflows
from tests.fakes.github.rest.routing import Call, Reply, on


@on("GET", "/repos/<owner>/<repo>/git/ref/<path:ref>", "contents:read")
def get_ref(call: Call, found: Repository, ref: str) -> Reply:
    return _ref(call, found, f"refs/{ref}")


def _ref(call: Call, found: Repository, name: str, status: int = 200) -> Reply:
    sha = gitstore.refs(found).get(name)
    if sha is None:
        raise not_found()
    return Reply(status, shapes.reference(call.state, found, name, sha))


@on("GET", "/repos/<owner>/<repo>/git/matching-refs/<path:ref>", "contents:read")
def matching_refs(call: Call, found: Repository, ref: str) -> Reply:
    matching = [item for item in gitstore.refs(found).items() if item[0].startswith(f"refs/{ref}")]
    return call.page(matching, lambda item: shapes.reference(call.state, found, *item))


@on("POST", "/repos/<owner>/<repo>/git/refs", "contents:write")
def create_ref(call: Call, found: Repository) -> Reply:
    name, sha = call.required("ref"), call.required("sha")
    if not name.startswith("refs/") or name.count("/") < 2:
        raise Refused(422, "Reference name must start with 'refs/' and contain at least two slashes.")
    if name in gitstore.refs(found):
        raise Refused(422, "Reference already exists")
    _move(call, found, name, sha)
    return _ref(call, found, name, 201)


@on("PATCH", "/repos/<owner>/<repo>/git/refs/<path:ref>", "contents:write")
def update_ref(call: Call, found: Repository, ref: str) -> Reply:
    name, sha = f"refs/{ref}", call.required("sha")
    before = gitstore.refs(found).get(name)
    if before is None:
        raise Refused(422, "Reference does not exist")
    if not call.body.get("force") and not gitstore.is_ancestor(found, before, sha):
        raise Refused(422, "Update is not a fast forward")
    _move(call, found, name, sha)
    return _ref(call, found, name)


def _move(call: Call, found: Repository, name: str, sha: str) -> None:
    if sha not in gitstore.opened(found):
        raise Refused(422, "Object does not exist")
    refs.check_protection(call.state, found, call.by, name)
    gitstore.set_ref(found, name, sha)
    refs.settle(call.state, found, call.by)


@on("DELETE", "/repos/<owner>/<repo>/git/refs/<path:ref>", "contents:write")
def delete_ref(call: Call, found: Repository, ref: str) -> Reply:
    name = f"refs/{ref}"
    if name not in gitstore.refs(found):
        raise Refused(422, "Reference does not exist")
    refs.check_protection(call.state, found, call.by, name)
    gitstore.delete_ref(found, name)
    refs.settle(call.state, found, call.by)
    return Reply(204)


@on("GET", "/repos/<owner>/<repo>/git/commits/<sha>", "contents:read")
def get_commit(call: Call, found: Repository, sha: str) -> Reply:
    return Reply(200, shapes.git_commit(call.state, found, gitstore.commit(found, sha)))


@on("POST", "/repos/<owner>/<repo>/git/commits", "contents:write")
def create_commit(call: Call, found: Repository) -> Reply:
    """As an app it is signed, unless the app names an author or committer of its own."""
    own = not call.given("author", "committer") and call.actor.kind == "installation"
    author = objects.signature(call.state, call.by)
    if given := call.body.get("author"):
        author = pygit2.Signature(given["name"], given["email"], int(call.state.now().timestamp()), 0)
    parents, message = call.body.get("parents", []), call.required("message")
    sha = objects.commit_tree(found, call.required("tree"), parents=parents, message=message, author=author, signed=own)
    return Reply(201, shapes.git_commit(call.state, found, gitstore.commit(found, sha)))


@on("GET", "/repos/<owner>/<repo>/git/trees/<path:sha>", "contents:read")
def get_tree(call: Call, found: Repository, sha: str) -> Reply:
    git = gitstore.opened(found)
    if gitstore.is_empty(found):
        raise Refused(409, "Git Repository is empty.")
    tree = git.get(sha) if len(sha) == 40 else None
    tree = tree if isinstance(tree, pygit2.Tree) else gitstore.commit(found, sha).tree
    entries = list(_entries(call, found, tree, "", recursive="recursive" in call.query))
    url = f"{shapes.api_url(call.state, found)}/git/trees/{tree.id}"
    some = entries[: found.tree_limit] if "recursive" in call.query else entries
    return Reply(200, {"sha": str(tree.id), "url": url, "tree": some, "truncated": len(some) < len(entries)})


def _entries(call: Call, found: Repository, tree: pygit2.Tree, prefix: str, *, recursive: bool) -> list[JSON]:
    listed: list[JSON] = []
    for each in tree:
        path, kind = f"{prefix}{each.name}", each.type_str
        mode = f"{each.filemode:06o}"
        entry: JSON = {"path": path, "mode": mode, "type": kind, "sha": str(each.id)}
        if kind != "commit":
            entry["url"] = f"{shapes.api_url(call.state, found)}/git/{kind}s/{each.id}"
        if isinstance(each, pygit2.Blob):
            entry["size"] = each.size
        listed.append(entry)
        if recursive and isinstance(each, pygit2.Tree):
            listed += _entries(call, found, each, f"{path}/", recursive=True)
    return listed


@on("POST", "/repos/<owner>/<repo>/git/trees", "contents:write")
def create_tree(call: Call, found: Repository) -> Reply:
    entries = call.required("tree")
    require_workflows(call, found, [each["path"] for each in entries])
    sha = objects.build_tree(found, call.body.get("base_tree"), entries)
    tree = gitstore.opened(found)[sha]
    url = f"{shapes.api_url(call.state, found)}/git/trees/{sha}"
    shown = _entries(call, found, tree.peel(pygit2.Tree), "", recursive=False)
    return Reply(201, {"sha": sha, "url": url, "tree": shown, "truncated": False})


@on("POST", "/repos/<owner>/<repo>/git/blobs", "contents:write")
def create_blob(call: Call, found: Repository) -> Reply:
    content = call.required("content")
    data = base64.b64decode(content) if call.body.get("encoding") == "base64" else content.encode()
    sha = str(gitstore.opened(found).create_blob(data))
    return Reply(201, {"sha": sha, "url": f"{shapes.api_url(call.state, found)}/git/blobs/{sha}"})


@on("GET", "/repos/<owner>/<repo>/git/blobs/<sha>", "contents:read")
def get_blob(call: Call, found: Repository, sha: str) -> Reply:
    blob = gitstore.opened(found).get(sha)
    if not isinstance(blob, pygit2.Blob):
        raise not_found()
    if "raw" in call.accept:
        return Reply(200, blob.data, {"Content-Type": "application/vnd.github.raw+json; charset=utf-8"})
    told = {
        "sha": sha,
        "node_id": f"B_{sha}",
        "size": blob.size,
        "url": f"{shapes.api_url(call.state, found)}/git/blobs/{sha}",
        "content": base64.encodebytes(blob.data).decode(),
        "encoding": "base64",
    }
    return Reply(200, told)
