"""Small bare repositories, built in process.

A file is bytes, or a `Link`, or an `Executable`, by its path; None deletes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pygit2
from pygit2.enums import FileMode

ALICE = ("Alice", "alice@example.org")


@dataclass(frozen=True)
class Link:
    target: bytes


@dataclass(frozen=True)
class Executable:
    content: bytes


Content = bytes | Link | Executable
Files = Mapping[str, Content | None]


def make(folder: Path, files: Files | None = None, *, branch: str = "main") -> pygit2.Repository:
    """A new bare repository whose HEAD is `branch`, with one commit of `files`; without files it has no commit."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    repository = pygit2.init_repository(folder, bare=True, initial_head=branch)
    if files is not None:
        commit(repository, files, branch=branch, message="Begin\n")
    return repository


def commit(
    repository: pygit2.Repository,
    files: Files,
    *,
    branch: str = "main",
    start: str | None = None,
    message: str = "Change\n",
    author: tuple[str, str] = ALICE,
) -> str:
    """Add a commit to `branch`, which is made from `start` (a branch) where it is missing. Returns its id."""
    parent = _tip(repository, branch) or _tip(repository, start or branch)
    index = pygit2.Index()
    if parent is not None:
        index.read_tree(parent.tree)
    for path, content in files.items():
        _stage(repository, index, path, content)
    signature = pygit2.Signature(*author, 1_700_000_000, 0)
    made = repository.create_commit(
        None, signature, signature, message, index.write_tree(repository), [parent.id] if parent else []
    )
    repository.references.create(f"refs/heads/{branch}", made, force=True)
    return str(made)


def merge(repository: pygit2.Repository, *, into: str, branch: str) -> str:
    """Merge `branch` into another one, with a commit of its own. Returns its id."""
    ours, theirs = repository.references[f"refs/heads/{into}"].target, repository.references[f"refs/heads/{branch}"].target
    signature = pygit2.Signature(*ALICE, 1_700_000_000, 0)
    tree = repository.merge_commits(ours, theirs).write_tree(repository)
    message = f"Merge branch '{branch}' into {into}\n"
    return str(repository.create_commit(f"refs/heads/{into}", signature, signature, message, tree, [ours, theirs]))


def raw_tree(repository: pygit2.Repository, *entries: tuple[str, bytes, pygit2.Oid]) -> pygit2.Oid:
    """A tree of exactly these (mode, name, id): what no honest git would write."""
    content = b"".join(mode.encode() + b" " + name + b"\0" + object_id.raw for mode, name, object_id in entries)
    return repository.odb.write(pygit2.enums.ObjectType.TREE, content)


def commit_tree(repository: pygit2.Repository, tree: pygit2.Oid, *, branch: str = "main") -> str:
    signature = pygit2.Signature(*ALICE, 1_700_000_000, 0)
    parent = _tip(repository, branch)
    made = repository.create_commit(None, signature, signature, "Raw\n", tree, [parent.id] if parent else [])
    repository.references.create(f"refs/heads/{branch}", made, force=True)
    return str(made)


def head(repository: pygit2.Repository | Path, branch: str = "main") -> str | None:
    found = _tip(opened(repository), branch)
    return None if found is None else str(found.id)


def files_at(repository: pygit2.Repository | Path, revision: str = "main") -> dict[str, Content]:
    """Every file of a branch or commit, submodules left out."""
    return dict(_files(opened(repository).revparse_single(revision).peel(pygit2.Tree), ""))


def _files(tree: pygit2.Tree, prefix: str) -> list[tuple[str, Content]]:
    found: list[tuple[str, Content]] = []
    for entry in tree:
        path = f"{prefix}{entry.name}"
        if isinstance(entry, pygit2.Tree):
            found += _files(entry, f"{path}/")
        elif isinstance(entry, pygit2.Blob):
            kinds = {FileMode.LINK: Link, FileMode.BLOB_EXECUTABLE: Executable}
            kind = kinds.get(entry.filemode)
            found.append((path, kind(entry.data) if kind else entry.data))
    return found


def opened(repository: pygit2.Repository | Path) -> pygit2.Repository:
    return pygit2.Repository(repository) if isinstance(repository, Path) else repository


def _tip(repository: pygit2.Repository, branch: str) -> pygit2.Commit | None:
    reference = repository.references.get(f"refs/heads/{branch}")
    return None if reference is None else reference.peel(pygit2.Commit)


def _stage(repository: pygit2.Repository, index: pygit2.Index, path: str, content: Content | None) -> None:
    if content is None:
        index.remove(path)
        return
    mode, data = FileMode.BLOB, content
    if isinstance(content, Link):
        mode, data = FileMode.LINK, content.target
    elif isinstance(content, Executable):
        mode, data = FileMode.BLOB_EXECUTABLE, content.content
    index.add(pygit2.IndexEntry(path, repository.create_blob(data), mode))
