"""Repositories and branches: made, forked, renamed, transferred, archived, deleted, committed to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.fakes.forge import gitstore
from tests.fakes.forge.gitstore import Files
from tests.fakes.forge.refusals import Refused
from tests.fakes.github import objects
from tests.fakes.github.changes import refs
from tests.fakes.github.payloads.basics import organization, user
from tests.fakes.github.records import Account, Repository
from tests.fakes.github.state import State, invalid

_HOOK = """#!/bin/sh
# update REF OLD NEW: what the server asked of, by its environment
ref=$1 old=$2 new=$3
if [ -n "$HUB_PROTECTED" ]; then
    for pattern in $HUB_PROTECTED; do
        case "$ref" in
            refs/heads/$pattern) echo "error: GH006: Protected branch update failed for $ref." >&2; exit 1 ;;
        esac
    done
fi
if [ -n "$HUB_NO_WORKFLOWS" ] && [ "$new" != 0000000000000000000000000000000000000000 ]; then
    if ! git rev-list "$new" --not --all -- .github/workflows | head -n 1 | grep -q .; then exit 0; fi
    echo "refusing to allow a GitHub App to create or update workflow without \\`workflows\\` permission" >&2
    exit 1
fi
"""


def create(state: State, owner: Account, name: str, *, by: Account, files: Files | None, **more: Any) -> Repository:
    """`files` None: an empty repository. `more`: fields of the record."""
    if f"{owner.login}/{name}".lower() in state.by_name:
        raise invalid("Repository", "name", "custom", "name already exists on this account")
    number, moment = state.new_id(), state.now()
    path = state.folder / "repositories" / f"{number}.git"
    made = Repository(number, owner, name, path, moment, moment, moment, **more)
    gitstore.begin(path, made.default_branch, _HOOK)
    state.add_repository(made)
    if files is not None:
        sha = gitstore.write(made, files, parents=[], message="Begin\n", author=objects.signature(state, by))
        gitstore.set_ref(made, refs.BRANCH + made.default_branch, sha)
        made.seen_refs = gitstore.refs(made)
    state.tell("repository", "created", repository=made, sender=by)
    return made


def fork(
    state: State, source: Repository, owner: Account, *, by: Account, name: str | None = None, default_branch_only: bool = False
) -> Repository:
    """The fork; the one there is, where there is one. Its branches come after `state.fork_seconds`."""
    for other in state.repositories_of(owner):
        if other.parent is source:
            return other
    made = create(
        state, owner, name or source.name, by=by, files=None, fork=True, parent=source,
        default_branch=source.default_branch, visibility=source.visibility,
    )  # fmt: skip
    (made.path / "objects" / "info" / "alternates").write_text(f"{source.path / 'objects'}\n")
    made.only_default = default_branch_only
    state.copying[made.id] = state.clock.now() + timedelta(seconds=state.fork_seconds)
    finish_forks(state)
    return made


def finish_forks(state: State) -> None:
    """Copy into each fork whose time has come."""
    for number in [number for number, due in state.copying.items() if due <= state.clock.now()]:
        del state.copying[number]
        if made := state.repositories.get(number):
            _copy(made)


def _copy(made: Repository) -> None:
    assert made.parent is not None
    for ref, sha in gitstore.refs(made.parent).items():
        if not made.only_default or ref == refs.BRANCH + made.default_branch:
            gitstore.set_ref(made, ref, sha)
    made.seen_refs = gitstore.refs(made)


def rename(state: State, repository: Repository, name: str, *, by: Account) -> None:
    before = repository.name
    _move(state, repository, repository.owner, name)
    state.tell("repository", "renamed", repository=repository, sender=by, changes={"repository": {"name": {"from": before}}})


def transfer(state: State, repository: Repository, owner: Account, *, by: Account) -> None:
    """Its collaborators stay behind; an installation of the old owner hears of it no more."""
    before = repository.owner
    _move(state, repository, owner, repository.name)
    for installation in state.installations.values():
        if installation.account is before and installation.repository_ids is not None:
            installation.repository_ids.discard(repository.id)
    of = {"organization": organization(state, before)} if before.type == "Organization" else {"user": user(state, before)}
    state.tell("repository", "transferred", repository=repository, sender=by, changes={"owner": {"from": of}})


def _move(state: State, repository: Repository, owner: Account, name: str) -> None:
    if f"{owner.login}/{name}".lower() in state.by_name:
        raise invalid("Repository", "name", "custom", "name already exists on this account")
    old = repository.full_name.lower()
    del state.by_name[old]
    repository.owner, repository.name, repository.updated_at = owner, name, state.now()
    state.add_repository(repository)
    state.old_names[old] = repository.id


def set_archived(state: State, repository: Repository, archived: bool, *, by: Account) -> None:
    repository.archived = archived
    state.tell("repository", "archived" if archived else "unarchived", repository=repository, sender=by)


def edit(state: State, repository: Repository, *, by: Account, **fields: Any) -> None:
    """Change description, topics or default_branch."""
    changes: dict[str, Any] = {}
    for name, value in fields.items():
        changes[name] = {"from": getattr(repository, name)}
        setattr(repository, name, value)
    if "default_branch" in fields:
        gitstore.opened(repository).set_head(refs.BRANCH + repository.default_branch)
    state.tell("repository", "edited", repository=repository, sender=by, changes=changes)


def delete(state: State, repository: Repository, *, by: Account) -> None:
    state.tell("repository", "deleted", repository=repository, sender=by)
    del state.by_name[repository.full_name.lower()]
    del state.repositories[repository.id]


def check_writable(repository: Repository) -> None:
    if repository.archived:
        raise Refused(403, "Repository was archived so is read-only.")


def commit(
    state: State,
    repository: Repository,
    branch: str,
    files: Files,
    *,
    by: Account,
    message: str,
    expected: str | None = None,
    signed: bool = False,
    forced: bool = False,
    start: str | None = None,
) -> str:
    """Commit to `branch` (made from `start`, else the default branch, where it is missing). The commit's id.

    409 where the branch is not at `expected`. A forced one starts again from `start` and forgets what the branch had.
    """
    tip = gitstore.head(repository, branch)
    if expected is not None and expected != tip:
        raise Refused(409, f"{branch} is at {tip} but expected {expected}")
    origin = gitstore.head(repository, start or repository.default_branch)
    parent = origin if forced or tip is None else tip
    author = objects.signature(state, by)
    committer = objects.signature(state, state.web_flow) if signed else author
    parents = [] if parent is None else [parent]
    made = gitstore.write(
        repository, files, parents=parents, message=message, author=author, committer=committer, signed=signed
    )
    gitstore.set_ref(repository, refs.BRANCH + branch, made)
    refs.settle(state, repository, by)
    return made
