"""What the local host reads from, and merges in, its bare repositories: in process, so that no hook of theirs runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path

import pygit2
from pygit2.enums import FileMode, SortMode

from bot.errors import HostError, NotFound

COMMITS_SHOWN = 100
"""Of one pull request."""


def branch_head(repository: pygit2.Repository, branch: str) -> str | None:
    """The commit that a branch points at; None where there is no such branch."""
    try:
        reference = repository.references.get(f"refs/heads/{branch}")
    except pygit2.InvalidSpecError:
        return None
    return None if reference is None else str(reference.resolve().target)


def is_commit(repository: pygit2.Repository, name: str) -> bool:
    """Is this the full id of a commit that is there?"""
    try:
        return str(name) == str(pygit2.Oid(hex=name)) and isinstance(repository[name], pygit2.Commit)
    except (ValueError, KeyError):
        return False


def default_branch(repository: pygit2.Repository) -> str:
    """The branch that HEAD names, which has a commit unless no branch has one. Raises HostError where that is not so."""
    target = repository.references["HEAD"].target
    branch = str(target).removeprefix("refs/heads/")
    branches = list(repository.branches.local)
    if not str(target).startswith("refs/heads/"):
        raise HostError("its HEAD names no branch", mend="git symbolic-ref HEAD refs/heads/BRANCH")
    if branches and branch not in branches:
        raise HostError(
            f"its HEAD names {branch!r}, which is not there", mend=f"git symbolic-ref HEAD refs/heads/{branches[0]}"
        )
    return branch


def files_of(repository: pygit2.Repository, commit: str) -> Iterator[tuple[str, int]]:
    """The path and size of every file of a commit: links too, submodules not."""
    folders = [("", repository[commit].peel(pygit2.Tree))]
    while folders:
        prefix, tree = folders.pop()
        for entry in tree:
            path = prefix + (entry.raw_name or b"").decode("utf-8", "replace")
            if entry.filemode == FileMode.TREE:
                folders.append((f"{path}/", repository[entry.id].peel(pygit2.Tree)))
            elif entry.filemode != FileMode.COMMIT:
                yield path, repository.odb.read_header(entry.id)[1]


def size_kb(folder: Path) -> int:
    """What a bare repository's objects take on the disk, in KB, rounded up."""
    total = sum((Path(place) / name).lstat().st_size for place, _, names in os.walk(folder / "objects") for name in names)
    return -(-total // 1024)


def merge_branch(repository: pygit2.Repository, *, base: str, branch: str, message: str, by: str, at: datetime) -> str:
    """Bring `branch` into `base`, by moving it forward where that does; return the commit that `base` then points at.

    Raises HostError for a conflict, and, retryable, where somebody else moves `base` at the same time.
    """
    base_ref = _reference(repository, base)
    old, head = base_ref.peel(pygit2.Commit).id, _reference(repository, branch).peel(pygit2.Commit).id
    if head == old or repository.descendant_of(old, head):
        return str(old)
    new = head if repository.descendant_of(head, old) else _merge_commit(repository, old, head, message, by, at)
    try:
        base_ref.set_target(new)  # refused by libgit2 unless the branch is where base_ref was read
    except (pygit2.GitError, OSError) as error:
        raise HostError(f"{base} is being moved by somebody else: {error}", retryable=True) from error
    return str(new)


def conflicts(repository: pygit2.Repository, base: str, head: str) -> bool | None:
    """Can `head` not be merged into `base` by itself? None where one of the two is not there."""
    try:
        if head == base or repository.descendant_of(head, base):
            return False
        return repository.merge_commits(pygit2.Oid(hex=base), pygit2.Oid(hex=head)).conflicts is not None
    except (pygit2.GitError, KeyError):
        return None


def commits_between(repository: pygit2.Repository, base: str, head: str) -> tuple[str, ...]:
    """What `head` has and `base` has not, merges left out, oldest first; of very many, the newest."""
    try:
        walk = repository.walk(pygit2.Oid(hex=head), SortMode.TOPOLOGICAL)
        walk.hide(pygit2.Oid(hex=base))
        newest = [str(commit.id) for commit in islice(walk, COMMITS_SHOWN) if len(commit.parents) < 2]
    except (pygit2.GitError, KeyError):
        return ()
    return tuple(reversed(newest))


def _merge_commit(
    repository: pygit2.Repository, ours: pygit2.Oid, theirs: pygit2.Oid, message: str, by: str, at: datetime
) -> pygit2.Oid:
    index = repository.merge_commits(ours, theirs)
    if index.conflicts is not None:
        paths = {side.path for sides in index.conflicts for side in sides if side is not None}
        raise HostError(f"it conflicts with its base in {', '.join(sorted(paths))}", mend="bring its branch up to date first")
    signature = pygit2.Signature(by, f"{by}@localhost", int(at.timestamp()), 0)
    return repository.create_commit(None, signature, signature, message, index.write_tree(repository), [ours, theirs])


def _reference(repository: pygit2.Repository, branch: str) -> pygit2.Reference:
    try:
        return repository.references[f"refs/heads/{branch}"]
    except KeyError:
        raise NotFound(f"there is no branch {branch}") from None
