"""Commits, made and read in process on a mirror's objects."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import pygit2
from pygit2.enums import DeltaStatus, DiffOption, SortMode
from pygit2.enums import FileMode as GitMode

from bot.domain.changesets import Changeset, FileChange
from bot.errors import GitError
from bot.git.checkouts import MODES
from bot.git.mirrors import Mirror, written

_GIT_MODES = {mode: git_mode for git_mode, mode in MODES.items()}


@dataclass(frozen=True, slots=True)
class Signature:
    """Who made a commit, and when (timezone-aware; git keeps whole seconds)."""

    name: str
    email: str
    at: datetime


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """A commit as it is told to people."""

    id: str
    author_name: str
    author_email: str
    message: str


def write_commit(mirror: Mirror, changeset: Changeset, message: str, author: Signature) -> str:
    """Commit the changeset on its base; return the commit's id. No ref points at it yet: `Mirror.keep` it.

    The same changeset, message and author give the same id. Raises GitError, retryable where the disk is full.
    """
    base = mirror.commit(changeset.base)
    changes = sorted(((change.path.split("/"), change) for change in changeset.files), key=lambda item: item[0])
    offset = author.at.utcoffset()
    minutes = int(offset.total_seconds() // 60) if offset else 0
    signature = pygit2.Signature(author.name, author.email, int(author.at.timestamp()), minutes)
    repository = mirror.repository
    with written(mirror.folder):
        tree = _write_tree(mirror, mirror.read(base.tree_id, pygit2.Tree), changes) or repository.TreeBuilder().write()
        return str(repository.create_commit(None, signature, signature, message, tree, [base.id]))


def read_changeset(mirror: Mirror, commit: str) -> Changeset:
    """What `write_commit` was given: the change that a commit makes on its only parent. Raises GitError."""
    made = mirror.commit(commit)
    (base,) = made.parent_ids
    return changes_between(mirror, str(base), made.tree_id)


def changes_between(mirror: Mirror, base: str, tree: pygit2.Oid) -> Changeset:
    """What makes the commit `base` that tree. Raises GitError."""
    before, after = (mirror.read(each, pygit2.Tree) for each in (mirror.commit(base).tree_id, tree))
    found = before.diff_to_tree(after, flags=DiffOption.INCLUDE_TYPECHANGE)
    return Changeset(base, tuple(sorted((_change(mirror, delta) for delta in found.deltas), key=lambda each: each.path)))


def _change(mirror: Mirror, delta: pygit2.DiffDelta) -> FileChange:
    if delta.status is DeltaStatus.DELETED:
        return FileChange(delta.old_file.path, MODES[delta.old_file.mode], None)
    content = mirror.read(delta.new_file.id, pygit2.Blob).data
    return FileChange(delta.new_file.path, MODES[delta.new_file.mode], content)


def commits_between(mirror: Mirror, base: str, head: str) -> list[CommitInfo]:
    """The commits that `head` has and `base` has not, oldest first."""
    found = (mirror.commit(each) for each in commits_apart(mirror, head, [base]))
    return [CommitInfo(str(each.id), each.author.name, each.author.email, each.message) for each in found]


def recent_subjects(mirror: Mirror, commit: str, most: int = 30) -> list[str]:
    """The first lines of the newest commits, merges left out, as far as the mirror has them."""
    found: list[str] = []
    for each in mirror.repository.walk(mirror.commit(commit).id, SortMode.TIME):
        if len(each.parent_ids) < 2:
            found.append(each.message.partition("\n")[0])
        if len(found) >= most:
            break
    return found


def commits_apart(mirror: Mirror, head: str, others: Iterable[str]) -> list[str]:
    """The ids of the commits that `head` has and none of the `others` has, oldest first."""
    walker = mirror.repository.walk(mirror.commit(head).id, SortMode.TOPOLOGICAL | SortMode.REVERSE)
    for other in others:
        walker.hide(mirror.commit(other).id)
    return [str(found.id) for found in walker]


def merge_base(mirror: Mirror, one: str, other: str) -> str | None:
    """The newest commit that is in the history of both; None where there is none."""
    found: pygit2.Oid | None = mirror.repository.merge_base(mirror.commit(one).id, mirror.commit(other).id)
    return None if found is None else str(found)


def read_blob(mirror: Mirror, commit: str, path: str) -> bytes | None:
    """The content of the regular file at `path` in the commit; None where there is no regular file."""
    tree = mirror.read(mirror.commit(commit).tree_id, pygit2.Tree)
    return blob_at(tree, path)


def blob_at(tree: pygit2.Tree, path: str) -> bytes | None:
    """The content of the regular file at `path` in the tree; None where there is no regular file."""
    try:
        found = tree[path] if path else None
    except KeyError:
        return None
    if not isinstance(found, pygit2.Blob) or found.filemode == GitMode.LINK:
        return None
    return found.data


def paths_at(mirror: Mirror, commit: str) -> list[str]:
    """Every path of a file or link in the commit, sorted; bytes of one that are no UTF-8 are surrogates."""
    found, folders = [], [("", mirror.commit(commit).tree_id)]
    while folders:
        prefix, tree = folders.pop()
        for entry in mirror.read(tree, pygit2.Tree):
            path = prefix + os.fsdecode(entry.raw_name or b"")
            if entry.filemode == GitMode.TREE:
                folders.append((f"{path}/", entry.id))
            elif entry.filemode != GitMode.COMMIT:
                found.append(path)
    return sorted(found)


def has_path(mirror: Mirror, commit: str, path: str) -> bool:
    """Is there a file, a link or a folder at `path` in the commit?"""
    return _find_entry(mirror.read(mirror.commit(commit).tree_id, pygit2.Tree), path) is not None


def same_at(mirror: Mirror, one: str, other: str, path: str) -> bool:
    """Is the same file, link or nothing at `path` in both commits?"""
    left, right = (_find_entry(mirror.read(mirror.commit(each).tree_id, pygit2.Tree), path) for each in (one, other))
    return left == right


def _find_entry(tree: pygit2.Tree, path: str) -> tuple[pygit2.Oid, int] | None:
    try:
        found = tree[path]
    except KeyError:
        return None
    return found.id, found.filemode


def diff(mirror: Mirror, base: str, commit: str) -> str:
    """The unified diff, renames found, binary files named only. Bytes that are no UTF-8 are surrogates."""
    return b"".join(patch.data for patch in _diff(mirror, base, commit) if patch is not None).decode("utf-8", "surrogateescape")


def changed_lines(mirror: Mirror, base: str, commit: str) -> tuple[int, int]:
    """How many lines were added, and how many removed."""
    stats = _diff(mirror, base, commit).stats
    return stats.insertions, stats.deletions


def _diff(mirror: Mirror, base: str, commit: str) -> pygit2.Diff:
    old, new = (mirror.read(mirror.commit(each).tree_id, pygit2.Tree) for each in (base, commit))
    found = old.diff_to_tree(new)
    found.find_similar()
    return found


def _write_tree(mirror: Mirror, base: pygit2.Tree | None, changes: Sequence[tuple[list[str], FileChange]]) -> pygit2.Oid | None:
    """Write `base` with the changes, whose paths are split and sorted; None where nothing is left in it."""
    builder = mirror.repository.TreeBuilder(base) if base is not None else mirror.repository.TreeBuilder()
    for name, group in groupby(changes, key=lambda item: item[0][0]):
        below = []
        for parts, change in group:
            if len(parts) == 1:
                _put(mirror, builder, name, change)
            else:
                below.append((parts[1:], change))
        if below:
            _put_folder(mirror, builder, base, name, below)
    return builder.write() if len(builder) else None


def _put(mirror: Mirror, builder: pygit2.TreeBuilder, name: str, change: FileChange) -> None:
    if change.content is not None:
        builder.insert(name, mirror.repository.create_blob(change.content), _GIT_MODES[change.mode])
    elif builder.get(name) is not None:
        builder.remove(name)
    else:
        raise GitError(f"{change.path!r} is to be deleted, and is not in the base")


def _put_folder(
    mirror: Mirror,
    builder: pygit2.TreeBuilder,
    base: pygit2.Tree | None,
    name: str,
    below: Sequence[tuple[list[str], FileChange]],
) -> None:
    old = base[name] if base is not None and name in base else None
    tree = _write_tree(mirror, old if isinstance(old, pygit2.Tree) else None, below)
    now: pygit2.Object | None = builder.get(name)  # its type hint does not know of None
    if tree is not None:
        builder.insert(name, tree, GitMode.TREE)
    elif now is not None and now.filemode == GitMode.TREE:  # else a file has taken the folder's place
        builder.remove(name)
