"""The start of an attempt: the base is fetched, and what its own policy allows is held to."""

from __future__ import annotations

from dataclasses import dataclass

from bot.domain.policies import RepositoryPolicy
from bot.domain.policy_files import parse_repository
from bot.domain.pull_requests import PullRequestState
from bot.domain.repositories import Repository
from bot.domain.selection import REPOSITORY_POLICY, opted_out
from bot.domain.states import Stage
from bot.errors import PolicyError
from bot.git import Mirror, read_blob
from bot.pipeline.assignment import Assignment
from bot.pipeline.places import Place, find_place
from bot.pipeline.recorder import Recorder
from bot.ports import NOTHING_PREPARED, Host, Prepared
from bot.services import Services
from bot.store import ledger, opt_outs, publications, runs


class OptedOut(Exception):
    """The repository's own policy, at the base that is about to be changed, or somebody of its people says no."""


@dataclass(frozen=True, slots=True)
class Base:
    """The commit an attempt starts from, and what the branch at its place points at, None where there is none.

    `prepared` is what the sandboxes of the attempt are given besides.
    """

    mirror: Mirror
    commit: str
    place: Place
    branch_head: str | None
    prepared: Prepared = NOTHING_PREPARED


def fetch(services: Services, assignment: Assignment, recorder: Recorder) -> Base:
    run = assignment.run
    recorder.enter(Stage.CHECKOUT, f"fetching {run.base}")
    branch = services.renderer(assignment.campaign.revision).render_text(
        assignment.policy.pull_request.branch, assignment.variables("")
    )
    host = services.host(assignment.campaign.org_policy)
    place = find_place(services, assignment, host, branch)
    mirror = Mirror.open(services.mirrors, run.org, run.repository.name)
    heads = _fetch(mirror, host, run.repository, run.base, place)
    commit = heads[run.base]
    if commit is None:
        raise OptedOut(f"the branch {run.base} is gone")
    mirror.keep(run.attempt_key, commit)
    with services.database.transaction() as tx:
        runs.note_attempt(tx, run, base_head=commit)
    return Base(mirror, commit, place, heads[place.branch])


def _fetch(mirror: Mirror, host: Host, repository: Repository, base: str, place: Place) -> dict[str, str | None]:
    """The heads of both branches; where that is in a fork, one of that name in the repository itself is another's."""
    if not place.owner:
        return mirror.fetch(host.remote(repository), [base, place.branch])
    heads = mirror.fetch(host.remote(repository), [base])
    ours = mirror.fetch(host.remote(place.fork), [place.branch]) if place.fork else {place.branch: None}
    return heads | ours


def require_wanted(services: Services, assignment: Assignment) -> None:
    """Raises OptedOut where people have the bot leave the repository alone, or have opened a pull request for it themselves."""
    run = assignment.run
    with services.database.reading() as tx:
        opt_out = opt_outs.find(tx, run.org, run.repository.name)
        known = publications.find(tx, assignment.change)
    if opt_out is not None:
        raise OptedOut(opt_out.reason)
    if known is not None and known.state == PullRequestState.OPEN and known.adopted:
        raise OptedOut(f"#{known.number} is open for it: {known.frozen}")


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
