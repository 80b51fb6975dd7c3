"""Moved branches: what a push does to pull requests, and the events it sends."""

from __future__ import annotations

from tests.fakes.forge import gitstore
from tests.fakes.forge.gitstore import NO_COMMIT
from tests.fakes.forge.refusals import Refused
from tests.fakes.github import objects
from tests.fakes.github.payloads import repositories as shapes
from tests.fakes.github.payloads.basics import named
from tests.fakes.github.payloads.discussions import full_pull
from tests.fakes.github.records import Account, Pull, Repository
from tests.fakes.github.state import State

BRANCH = "refs/heads/"


def settle(state: State, repository: Repository, by: Account) -> None:
    """Tell of every ref that is not where it was when this was last called."""
    before, after = repository.seen_refs, gitstore.refs(repository)
    repository.seen_refs = after
    for name, old, new in gitstore.moved(before, after):
        repository.pushed_at = repository.updated_at = state.now()
        _tell_push(state, repository, by, name, old, new)
        if name.startswith(BRANCH):
            _branch_moved(state, repository, by, name.removeprefix(BRANCH), new)


def check_protection(state: State, repository: Repository, by: Account, name: str) -> None:
    """Raises 422 where a rule keeps `by` from moving the ref."""
    branch = name.removeprefix(BRANCH)
    if name.startswith(BRANCH) and any(rule.fits(branch) for rule in repository.protections) and not is_admin(repository, by):
        raise Refused(422, f"Repository rule violations found\n\nCannot update this protected ref: {name}.")


def is_admin(repository: Repository, account: Account) -> bool:
    login = account.login.lower()
    return repository.roles.get(login) == "admin" or repository.owner.members.get(login) == "admin"


def _tell_push(state: State, repository: Repository, by: Account, name: str, old: str, new: str) -> None:
    made, gone = old == NO_COMMIT, new == NO_COMMIT
    default = gitstore.head(repository, repository.default_branch)
    base = old if not made else (default or new)
    commits = [] if gone else gitstore.between(repository, base, new)[:20]
    forced = not made and not gone and not gitstore.is_ancestor(repository, old, new)
    tip = None if gone else shapes.pushed_commit(state, repository, gitstore.commit(repository, new))
    state.tell(
        "push",
        repository=repository,
        sender=by,
        ref=name,
        before=old,
        after=new,
        created=made,
        deleted=gone,
        forced=forced,
        base_ref=None,
        compare=f"{shapes.html_url(state, repository)}/compare/{old[:12]}...{new[:12]}",
        commits=[shapes.pushed_commit(state, repository, each) for each in commits],
        head_commit=tip,
        pusher=named(name=by.login, email=f"{by.login}@users.noreply.github.com"),
    )
    if made or gone:
        described = {"description": repository.description, "master_branch": repository.default_branch} if made else {}
        kind = "branch" if name.startswith(BRANCH) else "tag"
        state.tell(
            "create" if made else "delete",
            repository=repository,
            sender=by,
            ref=name.split("/", 2)[2],
            ref_type=kind,
            pusher_type="user",
            **described,
        )


def _branch_moved(state: State, repository: Repository, by: Account, branch: str, new: str) -> None:
    for other in state.repositories.values():
        for pull in [each for each in other.pulls if each.state == "open"]:
            if pull.head_repository is repository and pull.head_ref == branch:
                _head_moved(state, pull, by, new)
            elif pull.repository is repository and pull.base_ref == branch:
                _base_moved(state, pull, by, new)


def _head_moved(state: State, pull: Pull, by: Account, new: str) -> None:
    from tests.fakes.github.changes.pulls import close  # a closed pull request's branch may be moved in turn

    if new == NO_COMMIT:
        close(state, pull, by)
        return
    before, pull.head_sha = pull.head_sha, new
    objects.take_head(pull)
    pull.updated_at = state.now()
    if gitstore.between(pull.repository, pull.base_sha, new):
        _synchronized(state, pull, by, before)
    else:
        close(state, pull, by)


def _synchronized(state: State, pull: Pull, by: Account, before: str) -> None:
    state.tell(
        "pull_request",
        "synchronize",
        repository=pull.repository,
        sender=by,
        number=pull.number,
        before=before,
        after=pull.head_sha,
        pull_request=full_pull(state, pull),
    )


def _base_moved(state: State, pull: Pull, by: Account, new: str) -> None:
    from tests.fakes.github.changes.pulls import close, merged

    if new == NO_COMMIT:
        close(state, pull, by)
    elif gitstore.is_ancestor(pull.repository, pull.head_sha, new):
        merged(state, pull, by, new)
    else:
        pull.base_sha = new
