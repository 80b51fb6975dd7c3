"""The git part of a repository: what the fake reads and writes in its bare repository, in process.

Whoever writes calls `refs.settle` afterwards, which tells what has moved.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping

import pygit2
from pygit2.enums import DeltaStatus, FileMode, SortMode

from tests.fakes.github.records import JSON, Account, Pull, Repository
from tests.fakes.github.state import Refused, State, not_found

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
NO_COMMIT = "0" * 40
SIGNATURE = "-----BEGIN PGP SIGNATURE-----\n\nmade by the fake GitHub\n-----END PGP SIGNATURE-----"

Files = Mapping[str, bytes | str | None]
"""Content by path; None deletes the file."""


def opened(repository: Repository) -> pygit2.Repository:
    return pygit2.Repository(str(repository.path))


def commit(repository: Repository, revision: str) -> pygit2.Commit:
    """Of a branch, a tag or a commit's id."""
    git = opened(repository)
    for name in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
        try:
            return git.revparse_single(name).peel(pygit2.Commit)
        except (KeyError, ValueError, pygit2.InvalidSpecError):
            continue
    raise not_found()


def head(repository: Repository, branch: str) -> str | None:
    found = opened(repository).references.get(f"refs/heads/{branch}")
    return None if found is None else str(found.target)


def branches(repository: Repository) -> dict[str, str]:
    """Commit ids by branch, sorted."""
    return {name.removeprefix("refs/heads/"): sha for name, sha in refs(repository).items() if name.startswith("refs/heads/")}


def refs(repository: Repository) -> dict[str, str]:
    """Every branch and tag."""
    git = opened(repository)
    names = sorted(name for name in git.references if name.startswith(("refs/heads/", "refs/tags/")))
    return {name: str(git.references[name].target) for name in names}


def set_ref(repository: Repository, name: str, sha: str) -> None:
    opened(repository).references.create(name, sha, force=True)


def delete_ref(repository: Repository, name: str) -> None:
    opened(repository).references.delete(name)


def is_ancestor(repository: Repository, ancestor: str, descendant: str) -> bool:
    return ancestor == descendant or opened(repository).descendant_of(descendant, ancestor)


def write(
    repository: Repository,
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
        return _sign(git, text)
    return str(git.create_commit(None, author, committer or author, message, tree, parents))


def _sign(git: pygit2.Repository, text: object) -> str:
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


def signature(state: State, account: Account) -> pygit2.Signature:
    address = f"{account.id}+{account.login}@users.noreply.github.com"
    return pygit2.Signature(account.login, address, int(state.now().timestamp()), 0)


def merge_base(repository: Repository, one: str, other: str) -> str | None:
    found: pygit2.Oid | None = opened(repository).merge_base(one, other)
    return None if found is None else str(found)


def mergeable(repository: Repository, base_ref: str, head_sha: str) -> bool:
    base = head(repository, base_ref)
    return base is not None and not _conflicts(opened(repository).merge_commits(base, head_sha))


def merge(repository: Repository, base: str, head_sha: str, *, message: str, author: pygit2.Signature, squash: bool) -> str:
    """The merge's commit, on no branch yet. 405 where the two conflict."""
    git = opened(repository)
    index = git.merge_commits(base, head_sha)
    if _conflicts(index):
        raise Refused(405, "Pull Request is not mergeable")
    parents = [base] if squash else [base, head_sha]
    return str(git.create_commit(None, author, author, message, index.write_tree(git), parents))


def between(repository: Repository, base: str, head_sha: str) -> list[pygit2.Commit]:
    """The commits that `head_sha` has and `base` has not, oldest first."""
    walker = opened(repository).walk(head_sha, SortMode.TOPOLOGICAL | SortMode.REVERSE)
    walker.hide(base)
    return list(walker)


def diff(repository: Repository, base: str, head_sha: str) -> pygit2.Diff:
    """From where the two parted."""
    git = opened(repository)
    start = git.merge_base(base, head_sha) or base
    return git[start].peel(pygit2.Tree).diff_to_tree(git[head_sha].peel(pygit2.Tree))


def changed(repository: Repository, base: str, head_sha: str) -> JSON:
    """The figures of a pull request."""
    stats = diff(repository, base, head_sha).stats
    return {
        "additions": stats.insertions,
        "deletions": stats.deletions,
        "changed_files": stats.files_changed,
        "commits": len(between(repository, base, head_sha)),
    }


def changed_files(repository: Repository, base: str, head_sha: str) -> Iterator[pygit2.Patch]:
    return (patch for patch in diff(repository, base, head_sha) if patch is not None)


STATUSES = {DeltaStatus.ADDED: "added", DeltaStatus.DELETED: "removed", DeltaStatus.MODIFIED: "modified"}


def entry(repository: Repository, revision: str, path: str) -> pygit2.Object:
    """A file or folder; the whole tree for an empty path."""
    tree = commit(repository, revision).tree
    if not path:
        return tree
    try:
        return tree[path]
    except KeyError:
        raise not_found() from None


def take_head(pull: Pull) -> None:
    """Keep the pull request's head among its repository's own objects, as refs/pull/NUMBER/head."""
    if pull.head_repository is not pull.repository:
        source = f"refs/heads/{pull.head_ref}"
        fetch = ["git", "fetch", "--quiet", "--no-tags", str(pull.head_repository.path), source]
        subprocess.run(fetch, cwd=pull.repository.path, check=True, capture_output=True)
    set_ref(pull.repository, f"refs/pull/{pull.number}/head", pull.head_sha)


def is_empty(repository: Repository) -> bool:
    return not refs(repository)  # libgit2's own answer is about the branch that HEAD names


def commit_tree(
    repository: Repository, tree: str, *, parents: list[str], message: str, author: pygit2.Signature, signed: bool
) -> str:
    """A commit of a tree that is there already, on no branch yet."""
    git = opened(repository)
    lacking = [sha for sha in (tree, *parents) if sha not in git]
    if lacking:
        raise Refused(422, f"Object does not exist: {lacking[0]}")
    if not signed:
        return str(git.create_commit(None, author, author, message, pygit2.Oid(hex=tree), parents))
    text = git.create_commit_string(author, author, message, pygit2.Oid(hex=tree), [*parents])
    return _sign(git, text)


def build_tree(repository: Repository, base: str | None, entries: list[JSON]) -> str:
    """A tree of GitHub's entries (path, mode, sha or content; a null sha deletes) on top of `base`."""
    git = opened(repository)
    index = pygit2.Index()
    if base is not None:
        index.read_tree(git[base].peel(pygit2.Tree))
    for each in entries:
        path, mode = each["path"], FileMode(int(each["mode"], 8))
        if "content" in each:
            index.add(pygit2.IndexEntry(path, git.create_blob(each["content"].encode()), mode))
        elif each.get("sha") is None:
            index.remove(path)
        else:
            index.add(pygit2.IndexEntry(path, pygit2.Oid(hex=each["sha"]), mode))
    return str(index.write_tree(git))
