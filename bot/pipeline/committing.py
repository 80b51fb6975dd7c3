"""Whose commit is published: the bot's own or, where the policy wants it verified, the same change committed by the host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bot.domain.changesets import Changeset
from bot.git import Mirror
from bot.pipeline.assignment import Assignment
from bot.pipeline.places import Place
from bot.pipeline.recorder import Recorder
from bot.ports import Host, VerifiedCommits
from bot.services import Services
from bot.store import runs


@contextmanager
def committed(
    services: Services,
    assignment: Assignment,
    changeset: Changeset,
    commit: str,
    mirror: Mirror,
    host: Host,
    recorder: Recorder,
    *,
    place: Place,
) -> Iterator[str]:
    """The commit to move the branch to, recorded as this bot's; `commit` is its own one. Raises HostError or GitError."""
    if assignment.policy.commits == "pushed":
        yield commit
    elif place.owner:
        recorder.emit("the commit is pushed, and shown as verified by nobody: it goes to a fork")
        yield commit
    elif not isinstance(host, VerifiedCommits):
        recorder.emit("the commit is pushed, and shown as verified by nobody: this host makes none itself")
        yield commit
    elif mirror.commit(commit).parent_ids != [mirror.commit(changeset.base).id]:
        recorder.emit("the commit is pushed, and shown as verified by nobody: it joins the change with people's commits")
        yield commit
    elif reason := host.why_not(changeset):
        recorder.emit(f"the commit is pushed, and not shown as verified: {reason}")
        yield commit
    else:
        repository, message = assignment.run.repository, mirror.commit(commit).message
        with host.commit(repository, changeset, branch=place.branch, message=message) as made:
            mirror.fetch(host.remote(repository), [made.branch])
            if mirror.same_change(made.id, commit):
                _record(services, assignment, mirror, made.id)
                yield made.id
            else:
                recorder.emit("the commit is pushed, and not shown as verified: the host's is not the change that was proven")
                yield commit


def _record(services: Services, assignment: Assignment, mirror: Mirror, commit: str) -> None:
    """Before a branch shows it: a head that nobody has recorded is taken for a person's."""
    run = assignment.run
    mirror.keep(run.attempt_key, commit)
    with services.database.transaction() as tx:
        runs.require(tx, run)
        runs.note_attempt(tx, run, commit=commit)
