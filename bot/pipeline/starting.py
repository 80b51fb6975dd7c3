"""The start of an attempt: the base is fetched, and what its own policy allows is held to."""

from __future__ import annotations

from dataclasses import dataclass

from bot.domain.policies import RepositoryPolicy
from bot.domain.policy_files import parse_repository
from bot.domain.selection import REPOSITORY_POLICY, opted_out
from bot.domain.states import Stage
from bot.errors import PolicyError
from bot.git import Mirror, read_blob
from bot.pipeline.assignment import Assignment
from bot.pipeline.recorder import Recorder
from bot.services import Services
from bot.store import ledger, runs


class OptedOut(Exception):
    """The repository's own policy, at the base that is about to be changed, says no."""


@dataclass(frozen=True, slots=True)
class Base:
    """The commit an attempt starts from, and what the remote's branch points at, None where there is none."""

    mirror: Mirror
    commit: str
    branch: str
    branch_head: str | None


def fetch(services: Services, assignment: Assignment, recorder: Recorder) -> Base:
    run = assignment.run
    recorder.enter(Stage.CHECKOUT, f"fetching {run.base}")
    branch = services.renderer(assignment.campaign.revision).render_text(
        assignment.policy.pull_request.branch, assignment.variables("")
    )
    remote = services.host(assignment.campaign.org_policy).remote(run.repository)
    mirror = Mirror.open(services.mirrors, run.org, run.repository.name)
    heads = mirror.fetch(remote, [run.base, branch])
    commit = heads[run.base]
    if commit is None:
        raise OptedOut(f"the branch {run.base} is gone")
    mirror.keep(run.attempt_key, commit)
    with services.database.transaction() as tx:
        runs.note_attempt(tx, run, base_head=commit)
    return Base(mirror, commit, branch, heads[branch])


def tighten(assignment: Assignment, base: Base) -> Assignment:
    """Hold the policy to what the repository's own one, at this very base, allows. Raises OptedOut."""
    own = read_blob(base.mirror, base.commit, REPOSITORY_POLICY)
    if own is None:
        return assignment
    try:
        repositorys: RepositoryPolicy = parse_repository(own.decode("utf-8", "replace"), REPOSITORY_POLICY)
    except PolicyError as error:
        raise OptedOut(f"its own policy cannot be read, so it is left alone: {error}") from error
    if reason := opted_out(assignment.policy, repositorys):
        raise OptedOut(reason)
    return Assignment(assignment.run, assignment.campaign, repositorys.tighten(assignment.policy))


def hold_budget(services: Services, assignment: Assignment) -> None:
    """The attempt's cap, as the repository may have tightened it, before the first request can be made."""
    with services.database.transaction() as tx:
        runs.require(tx, assignment.run)
        ledger.ensure_account(tx, "attempt", assignment.run.attempt_key, "", assignment.policy.budget.attempt)
