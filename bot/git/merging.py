"""Merges of whole trees, in process on a mirror's objects: no checkout, no driver, nothing that a repository names."""

from __future__ import annotations

import pygit2

from bot.git.commits import Signature, merge_base
from bot.git.mirrors import Mirror, written


def merged_tree(mirror: Mirror, ancestor: pygit2.Oid, ours: pygit2.Oid, theirs: pygit2.Oid) -> pygit2.Oid | None:
    """The tree `ours` with what changed from `ancestor` to `theirs`, trees too; None where both changed the same lines."""
    before, left, right = (mirror.read(each, pygit2.Tree) for each in (ancestor, ours, theirs))
    with written(mirror.folder):
        index = mirror.repository.merge_trees(before, left, right)
        return None if index.conflicts is not None else index.write_tree(mirror.repository)


def moved_tree(mirror: Mirror, commit: str, base: str, onto: str) -> pygit2.Oid | None:
    """What a commit makes of its `base`, made of the commit `onto`; None where it does not apply there."""
    before, now, made = (mirror.commit(each).tree_id for each in (base, onto, commit))
    return merged_tree(mirror, before, now, made)


def write_merge(mirror: Mirror, tree: pygit2.Oid, parents: tuple[str, str], message: str, author: Signature) -> str:
    """A commit of `tree` that both parents lead to; return its id. No ref points at it yet: `Mirror.keep` it."""
    made = pygit2.Signature(author.name, author.email, int(author.at.timestamp()), 0)
    with written(mirror.folder):
        ids = [mirror.commit(parent).id for parent in parents]
        return str(mirror.repository.create_commit(None, made, made, message, tree, ids))


def is_plain_merge(mirror: Mirror, commit: str) -> bool:
    """Did whoever merged add nothing of their own? So does a host's button that brings a branch up to date."""
    found = mirror.commit(commit)
    if len(found.parent_ids) != 2:
        return False
    left, right = map(str, found.parent_ids)
    ancestor = merge_base(mirror, left, right)
    if ancestor is None:
        return False
    return moved_tree(mirror, right, ancestor, left) == found.tree_id
