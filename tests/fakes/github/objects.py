"""What GitHub's API makes of git objects, and in GitHub's words."""

from __future__ import annotations

import pygit2
from pygit2.enums import FileMode

from tests.fakes.forge import gitstore
from tests.fakes.forge.refusals import Refused
from tests.fakes.github.records import JSON, Account, Pull, Repository
from tests.fakes.github.state import State


def signature(state: State, account: Account) -> pygit2.Signature:
    address = f"{account.id}+{account.login}@users.noreply.github.com"
    return gitstore.signature(account.login, address, state.now())


def merge(repository: Repository, base: str, head_sha: str, *, message: str, author: pygit2.Signature, squash: bool) -> str:
    """The merge's commit, on no branch yet. 405 where the two conflict."""
    made = gitstore.merge(repository, base, head_sha, message=message, author=author, squash=squash)
    if made is None:
        raise Refused(405, "Pull Request is not mergeable")
    return made


def changed(repository: Repository, base: str, head_sha: str) -> JSON:
    """The figures of a pull request."""
    stats = gitstore.diff(repository, base, head_sha).stats
    return {
        "additions": stats.insertions,
        "deletions": stats.deletions,
        "changed_files": stats.files_changed,
        "commits": len(gitstore.between(repository, base, head_sha)),
    }


def take_head(pull: Pull) -> None:
    """Keep the pull request's head among its repository's own objects, as refs/pull/NUMBER/head."""
    gitstore.take(pull.repository, pull.head_repository, pull.head_ref, pull.head_sha, f"refs/pull/{pull.number}/head")


def commit_tree(
    repository: Repository, tree: str, *, parents: list[str], message: str, author: pygit2.Signature, signed: bool
) -> str:
    """A commit of a tree that is there already, on no branch yet."""
    git = gitstore.opened(repository)
    lacking = [sha for sha in (tree, *parents) if sha not in git]
    if lacking:
        raise Refused(422, f"Object does not exist: {lacking[0]}")
    if not signed:
        return str(git.create_commit(None, author, author, message, pygit2.Oid(hex=tree), parents))
    text = git.create_commit_string(author, author, message, pygit2.Oid(hex=tree), [*parents])
    return gitstore.sign(git, text)


def build_tree(repository: Repository, base: str | None, entries: list[JSON]) -> str:
    """A tree of GitHub's entries (path, mode, sha or content; a null sha deletes) on top of `base`."""
    git = gitstore.opened(repository)
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
