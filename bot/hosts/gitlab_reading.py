"""What discovery reads, in few requests: the projects a hundred at a time, a dozen files of fifty of them at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from bot.domain.repositories import Repository
from bot.errors import NotFound
from bot.hosts.batches import in_parts, pages, slices
from bot.hosts.blobs import exact, is_plain
from bot.hosts.gitlab_graphql import (
    FILES,
    PROJECT,
    PROJECTS,
    Node,
    is_below,
    is_regular,
    nodes,
    repository_value,
)
from bot.hosts.gitlab_transport import Client, full_path, project_url

AT_ONCE, FILES_AT_ONCE = 50, 12


def all_repositories(client: Client, org: str) -> list[Repository]:
    """Of the group and the groups below it, by name: GitLab orders them by number. Raises NotFound without such a group."""
    found, known = [], False
    for page in pages(client.graphql, PROJECTS, {"group": org}, "group", "projects"):
        known = True
        if page["fullPath"].lower() != org.lower():
            raise NotFound(f"the group {org} is called {page['fullPath']} now", mend="rename its policy in policies/orgs/")
        found += [repository_value(org, node) for node in nodes(page["projects"]) if is_below(org, node)]
    if not known:
        raise NotFound(f"there is no group {org}, or the bot may not see it")
    return sorted(found, key=lambda repository: repository.name)


def find_repository(client: Client, org: str, name: str) -> Repository | None:
    """The one of that very name; None where there is none, or it has another name now."""
    try:
        path = full_path(Repository(org, name, "", None))
    except NotFound:
        return None
    node: Node | None = client.graphql(PROJECT, {"path": path})["project"]
    if node is None or not is_below(org, node):
        return None
    found = repository_value(org, node)
    return found if found.name == name else None


def read_many(client: Client, repositories: Sequence[Repository], paths: Sequence[str]) -> dict[str, dict[str, bytes]]:
    """The content of those of `paths` that are regular files, at the heads of the default branches, by repository and path.

    A repository that is not there (any more), or has another name now, is left out.
    """
    by_path = {full_path(repository): repository for repository in repositories}
    asked = [path for path in dict.fromkeys(paths) if is_plain(path)]
    found: dict[str, dict[str, bytes]] = {}
    for some in slices(list(by_path), AT_ONCE):
        for wanted in slices(asked, FILES_AT_ONCE) if asked else [[]]:
            for path, contents in in_parts(some, partial(_read_all, client, paths=wanted)):
                if path in by_path:
                    found.setdefault(by_path[path].name, {}).update(contents)
    return found


def list_paths(client: Client, repository: Repository) -> list[str]:
    """Sorted; a hundred a request. GitLab has no tree where there is no commit."""
    url = project_url(repository)
    query = {"recursive": True, "pagination": "keyset", "ref": repository.default_branch or "HEAD"}
    try:
        return sorted(entry["path"] for entry in client.pages(f"{url}/repository/tree", **query) if entry["type"] == "blob")
    except NotFound:
        there = find_repository(client, repository.org, repository.name)
        if there is None or there.head is not None:
            raise
        return []


def _read_all(client: Client, projects: Sequence[str], paths: Sequence[str]) -> list[tuple[str, dict[str, bytes]]]:
    """Fewer paths at once first: GitLab bounds them, and the bytes of more than one of them."""
    return in_parts(paths, partial(_read, client, projects))


def _read(client: Client, projects: Sequence[str], paths: Sequence[str]) -> Iterator[tuple[str, dict[str, bytes]]]:
    variables = {"paths": list(projects), "projects": len(projects), "files": list(paths), "blobs": max(len(paths), 1)}
    found = client.graphql(FILES, variables)["projects"]
    for node in nodes(found):
        if node["repository"] is not None:
            yield node["fullPath"], _contents(client, node)


def _contents(client: Client, node: Node) -> dict[str, bytes]:
    found = {}
    for blob in nodes(node["repository"]["blobs"]):
        if is_regular(blob):
            content = exact(blob["rawTextBlob"], blob["oid"])
            found[blob["path"]] = _blob(client, node["fullPath"], blob["oid"]) if content is None else content
    return found


def _blob(client: Client, path: str, blob_id: str) -> bytes:
    """Bytes as they are: binary, large, or in another encoding than UTF-8."""
    group, _, name = path.partition("/")
    return client.content(f"{project_url(Repository(group, name, '', None))}/repository/blobs/{blob_id}/raw")
