"""What discovery reads, in few requests: the repositories a hundred at a time, the files of many of them at once."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from github.Repository import Repository as SdkRepository

from bot.domain.repositories import Repository
from bot.hosts.batches import in_parts, pages, slices
from bot.hosts.blobs import is_plain
from bot.hosts.github_errors import Refused
from bot.hosts.github_graphql import CHOSEN, REPOSITORIES, REPOSITORY, Node, blobs, files_document, repository_value
from bot.hosts.github_transport import Client, rest_path

_PAGE = 100
_AT_ONCE, _PATHS_AT_ONCE = 25, 50
_EMPTY = 409


def all_repositories(client: Client, org: str) -> Iterator[Repository]:
    for page in pages(client.graphql, REPOSITORIES, {"org": org}, "organization", "repositories"):
        for node in page["repositories"]["nodes"]:
            if node is not None:
                yield repository_value(org, node)


def chosen_repositories(client: Client, org: str) -> Iterator[Repository]:
    """Those that the installation has: GraphQL would list the org's public ones too."""
    found = sorted(_installed(client), key=lambda each: str(each["name"]).lower())
    for some in slices(found, _PAGE):
        nodes = client.graphql(CHOSEN, {"ids": [each["node_id"] for each in some]}, missing_is_null=True)["nodes"]
        yield from (repository_value(org, node) for node in nodes if node)


def find_repository(client: Client, org: str, name: str) -> Repository | None:
    """The one of that very name; None where there is none, or it has another name now."""
    node = client.graphql(REPOSITORY, {"owner": org, "name": name}, missing_is_null=True)["repository"]
    return repository_value(org, node) if node is not None and node["name"] == name else None


def properties(client: Client, org: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """The custom property values that are set, by the repository's name."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for each in _pages(client, f"/orgs/{quote(org, safe='')}/properties/values"):
        values = {one["property_name"]: one["value"] for one in each["properties"]}
        found[each["repository_name"]] = {
            name: (value,) if isinstance(value, str) else tuple(value) for name, value in values.items() if value is not None
        }
    return found


def read_many(client: Client, repositories: Sequence[Repository], paths: Sequence[str]) -> dict[str, dict[str, bytes]]:
    """The content of those of `paths` that are regular files, at the heads of the default branches, by repository and path.

    A repository that is not there (any more), or has another name now, is left out.
    """
    for repository in repositories:
        rest_path(repository)
    asked = [path for path in dict.fromkeys(paths) if is_plain(path)]
    found: dict[str, dict[str, bytes]] = {}
    for some in slices(repositories, _AT_ONCE):
        for wanted in slices(asked, _PATHS_AT_ONCE) if asked else [[]]:
            for name, contents in in_parts(some, partial(_read, client, paths=wanted)):
                found.setdefault(name, {}).update(contents)
    return found


def list_paths(client: Client, repository: Repository) -> list[str]:
    """Sorted. A tree that is too large for one answer is read folder by folder."""
    rest_path(repository)
    branch = repository.default_branch
    try:
        return sorted(_walk(client, repository, quote(branch, safe="") if branch else "HEAD"))
    except Refused as error:
        if error.status != _EMPTY:
            raise
        return []


def _installed(client: Client) -> Iterator[dict[str, Any]]:
    return _pages(client, "/installation/repositories", "repositories")


def _pages(client: Client, path: str, key: str = "") -> Iterator[dict[str, Any]]:
    """Each item of a listing; `key` is where its answers have the list, where they are no list themselves."""
    for number in itertools.count(1):
        _, answer = client.requestJsonAndCheck("GET", path, parameters={"per_page": _PAGE, "page": number})
        page = answer[key] if key else answer
        yield from page
        if len(page) < _PAGE:
            return


def _read(client: Client, repositories: Sequence[Repository], paths: Sequence[str]) -> Iterator[tuple[str, dict[str, bytes]]]:
    variables = {f"n{index}": repository.name for index, repository in enumerate(repositories)}
    variables |= {f"p{index}": path for index, path in enumerate(paths)}
    document = files_document(len(repositories), len(paths))
    data = client.graphql(document, {"owner": repositories[0].org, **variables}, missing_is_null=True)
    for index, repository in enumerate(repositories):
        node: Node | None = data[f"r{index}"]
        if node is not None and node["nameWithOwner"].lower() == repository.full_name.lower():
            yield repository.name, _contents(client, repository, node, paths)


def _contents(client: Client, repository: Repository, node: Node, paths: Sequence[str]) -> dict[str, bytes]:
    return {
        paths[index]: _blob(client, repository, blob_id) if content is None else content
        for index, blob_id, content in blobs(node, len(paths))
    }


def _blob(client: Client, repository: Repository, blob_id: str) -> bytes:
    """Bytes as they are: binary, large, or in another encoding than UTF-8."""
    there = SdkRepository(client, url=rest_path(repository))
    return base64.b64decode(there.get_git_blob(blob_id).content)


def _walk(client: Client, repository: Repository, tree: str) -> Iterator[str]:
    _, found = client.requestJsonAndCheck("GET", f"{rest_path(repository)}/git/trees/{tree}", parameters={"recursive": "1"})
    if not found["truncated"]:
        yield from (entry["path"] for entry in found["tree"] if entry["type"] == "blob")
        return
    _, found = client.requestJsonAndCheck("GET", f"{rest_path(repository)}/git/trees/{tree}")
    for entry in found["tree"]:
        if entry["type"] == "tree":
            yield from (f"{entry['path']}/{path}" for path in _walk(client, repository, entry["sha"]))
        elif entry["type"] == "blob":
            yield entry["path"]
