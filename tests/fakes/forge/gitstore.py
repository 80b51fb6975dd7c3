"""The git part of a repository: what a fake host reads and writes in its bare repository, in process.

Whoever writes settles the refs afterwards, which tells what has moved.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol

import pygit2
from pygit2.enums import DeltaStatus, FileMode, SortMode

from tests.fakes.forge.refusals import Refused, not_found

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
NO_COMMIT = "0" * 40
SIGNATURE = "-----BEGIN PGP SIGNATURE-----\n\nmade by a fake\n-----END PGP SIGNATURE-----"

_CONFIG = """[core]
	repositoryformatversion = 0
	bare = true
[http]
	receivepack = true
[uploadpack]
	allowAnySHA1InWant = true
	allowFilter = true
[receive]
	advertisePushOptions = true
"""
Files = Mapping[str, bytes | str | None]
"""Content by path; None deletes the file."""


class Bare(Protocol):
    """A host's record of a repository: GitHub's, or GitLab's project."""

    path: Path


def begin(path: Path, branch: str, update_hook: str) -> None:
    """An empty bare repository, written by hand: hundreds of them are made for a test."""
    for folder in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "hooks"):
        (path / folder).mkdir(parents=True)
    (path / "HEAD").write_text(f"ref: refs/heads/{branch}\n")
    (path / "config").write_text(_CONFIG)
    hook = path / "hooks" / "update"
    hook.write_text(update_hook)
    hook.chmod(0o755)


def opened(repository: Bare) -> pygit2.Repository:
    return pygit2.Repository(str(repository.path))


def commit(repository: Bare, revision: str) -> pygit2.Commit:
    """Of a branch, a tag or a commit's id."""
    git = opened(repository)
    for name in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
        try:
            return git.revparse_single(name).peel(pygit2.Commit)
        except (KeyError, ValueError, pygit2.InvalidSpecError):
            continue
    raise not_found()


def head(repository: Bare, branch: str) -> str | None:
    found = opened(repository).references.get(f"refs/heads/{branch}")
    return None if found is None else str(found.target)


def branches(repository: Bare) -> dict[str, str]:
    """Commit ids by branch, sorted."""
    return {name.removeprefix("refs/heads/"): sha for name, sha in refs(repository).items() if name.startswith("refs/heads/")}


def refs(repository: Bare) -> dict[str, str]:
    """Every branch and tag."""
    git = opened(repository)
    names = sorted(name for name in git.references if name.startswith(("refs/heads/", "refs/tags/")))
    return {name: str(git.references[name].target) for name in names}


def set_ref(repository: Bare, name: str, sha: str) -> None:
    opened(repository).references.create(name, sha, force=True)


def delete_ref(repository: Bare, name: str) -> None:
    opened(repository).references.delete(name)


def is_ancestor(repository: Bare, ancestor: str, descendant: str) -> bool:
    return ancestor == descendant or opened(repository).descendant_of(descendant, ancestor)


def write(
    repository: Bare,
    files: Files,
    *,
    parents: list[str],
    message: str,
    author: pygit2.Signature,
    committer: pygit2.Signature | None = None,
    signed: bool = False,
) -> str:
    """A new commit that no branch has yet: the first parent's files with `files` laid over them."""
    git = opened(repository)
    index = pygit2.Index()
    if parents:
        index.read_tree(git[parents[0]].peel(pygit2.Tree))
    for path, content in files.items():
        _stage(git, index, path, content)
    tree = index.write_tree(git)
    if signed:
        text = git.create_commit_string(author, committer or author, message, tree, [*parents])
        return sign(git, text)
    return str(git.create_commit(None, author, committer or author, message, tree, parents))


def sign(git: pygit2.Repository, text: object) -> str:
    """`text` is what create_commit_string gave: a str, whatever its stub says."""
    return str(git.create_commit_with_signature(str(text), SIGNATURE, "gpgsig"))


def _conflicts(index: pygit2.Index) -> bool:
    return index.conflicts is not None


def _stage(git: pygit2.Repository, index: pygit2.Index, path: str, content: bytes | str | None) -> None:
    if content is None:
        try:
            index.remove(path)
        except OSError:
            raise Refused(422, f"{path} is not there to be deleted") from None
        return
    mode = index[path].mode if path in index else FileMode.BLOB
    data = content.encode() if isinstance(content, str) else content
    index.add(pygit2.IndexEntry(path, git.create_blob(data), mode))


def signature(name: str, address: str, moment: datetime) -> pygit2.Signature:
    return pygit2.Signature(name, address, int(moment.timestamp()), 0)


def merge_base(repository: Bare, one: str, other: str) -> str | None:
    found: pygit2.Oid | None = opened(repository).merge_base(one, other)
    return None if found is None else str(found)


def mergeable(repository: Bare, base_ref: str, head_sha: str) -> bool:
    base = head(repository, base_ref)
    return base is not None and not _conflicts(opened(repository).merge_commits(base, head_sha))


def merge(repository: Bare, base: str, head_sha: str, *, message: str, author: pygit2.Signature, squash: bool) -> str | None:
    """The merge's commit, on no branch yet; None where the two conflict."""
    git = opened(repository)
    index = git.merge_commits(base, head_sha)
    if _conflicts(index):
        return None
    parents = [base] if squash else [base, head_sha]
    return str(git.create_commit(None, author, author, message, index.write_tree(git), parents))


def between(repository: Bare, base: str, head_sha: str) -> list[pygit2.Commit]:
    """The commits that `head_sha` has and `base` has not, oldest first."""
    walker = opened(repository).walk(head_sha, SortMode.TOPOLOGICAL | SortMode.REVERSE)
    walker.hide(base)
    return list(walker)


def diff(repository: Bare, base: str, head_sha: str) -> pygit2.Diff:
    """From where the two parted."""
    git = opened(repository)
    start = git.merge_base(base, head_sha) or base
    return git[start].peel(pygit2.Tree).diff_to_tree(git[head_sha].peel(pygit2.Tree))


def changed_files(repository: Bare, base: str, head_sha: str) -> Iterator[pygit2.Patch]:
    return (patch for patch in diff(repository, base, head_sha) if patch is not None)


STATUSES = {DeltaStatus.ADDED: "added", DeltaStatus.DELETED: "removed", DeltaStatus.MODIFIED: "modified"}


def entry(repository: Bare, revision: str, path: str) -> pygit2.Object:
    """A file or folder; the whole tree for an empty path."""
    tree = commit(repository, revision).tree
    if not path:
        return tree
    try:
        return tree[path]
    except KeyError:
        raise not_found() from None


def is_empty(repository: Bare) -> bool:
    return not refs(repository)  # libgit2's own answer is about the branch that HEAD names


def take(repository: Bare, source: Bare, branch: str, sha: str, name: str) -> None:
    """Keep `sha`, the head of a branch of `source`, among the repository's own objects, as the ref `name`."""
    if source is not repository:
        fetch = ["git", "fetch", "--quiet", "--no-tags", str(source.path), f"refs/heads/{branch}"]
        subprocess.run(fetch, cwd=repository.path, check=True, capture_output=True)
    set_ref(repository, name, sha)


def moved(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Each ref that is not where it was, sorted: its name, and where it was and is (NO_COMMIT for nowhere)."""
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name, NO_COMMIT), after.get(name, NO_COMMIT)
        if old != new:
            yield name, old, new
