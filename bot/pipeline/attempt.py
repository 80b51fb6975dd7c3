"""One attempt, as a story: checkout, steps, collect, check, publish."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.domain.changesets import Changeset
from bot.domain.policies import ClaudeStep, CommandStep, RepositoryPolicy, Step, TemplateStep
from bot.domain.policy_files import parse_repository
from bot.domain.selection import REPOSITORY_POLICY, opted_out
from bot.domain.states import Outcome, Stage
from bot.domain.verdicts import Verdict
from bot.errors import FenceLost, PolicyError
from bot.git import Mirror, Snapshot, checkout, collect, diff, read_blob
from bot.pipeline.assignment import Assignment, Ended
from bot.pipeline.checks import run_checks
from bot.pipeline.lease import Lease
from bot.pipeline.publishing import Proposal, prepare_commit, publish
from bot.pipeline.recorder import Recorder
from bot.pipeline.workspaces import workspace
from bot.ports import StepContext, Workspace
from bot.services import Services
from bot.store import ledger, records, runs
from bot.store.ledger import Accounts


class OptedOut(Exception):
    """The repository's own policy, at the base that is about to be changed, says no."""


@dataclass(frozen=True, slots=True)
class Base:
    """The commit an attempt starts from, and what the remote's branch points at, None where there is none."""

    mirror: Mirror
    commit: str
    branch: str
    branch_head: str | None


@dataclass(frozen=True, slots=True)
class Made:
    """What the steps told besides the change: what templates rendered, by path, and the results of Claude steps, by name."""

    renderings: dict[str, bytes] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)


def attempt(services: Services, assignment: Assignment, accounts: Accounts, recorder: Recorder, lease: Lease) -> Ended:
    """Make the change, prove it, publish it. Raises WhimbrelError; what it reserved is settled or still in the ledger."""
    base = fetch(services, assignment, recorder)
    try:
        assignment = tighten(assignment, base)
        hold_budget(services, assignment)
        with workspace(services.attempts / assignment.run.attempt_key) as place:
            return change(services, assignment, accounts, base, place, recorder, Deadline(services, assignment, lease))
    finally:
        base.mirror.forget(assignment.run.attempt_key)


def change(
    services: Services,
    assignment: Assignment,
    accounts: Accounts,
    base: Base,
    place: Workspace,
    recorder: Recorder,
    stop: Deadline,
) -> Ended:
    snapshot = checkout(base.mirror, base.commit, place.tree, only=files_read(services, assignment, base))
    made = apply_steps(services, assignment, accounts, base, place, recorder, stop)
    changeset = collect_changes(assignment, base, place, snapshot, recorder)
    if not changeset:
        keep_renderings(services, assignment, made.renderings)
        return Ended(Outcome.NO_CHANGE, "nothing to change: the repository already is as the policy wants it")
    verdict = check(services, assignment, base, changeset, recorder, stop)
    ended = propose(services, assignment, base, changeset, verdict, made.outputs, recorder)
    if ended.outcome is Outcome.PUBLISHED:
        keep_renderings(services, assignment, made.renderings)
    return ended


class Deadline:
    """The attempt's wall clock, and whether it is still this attempt's run at all."""

    def __init__(self, services: Services, assignment: Assignment, lease: Lease):
        self._clock, self._lease = services.clock, lease
        self._end = services.clock.monotonic() + assignment.policy.limits.timeout_minutes * 60

    def remaining_seconds(self) -> float:
        return max(0.0, self._end - self._clock.monotonic())

    def cancelled(self) -> bool:
        return self._lease.lost()

    def require(self) -> None:
        """Raises FenceLost once the run has gone on without this attempt."""
        if self._lease.lost():
            raise FenceLost("the run went on without this attempt")


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


def files_read(services: Services, assignment: Assignment, base: Base) -> list[str] | None:
    """The paths that the steps look at, where all of them are templates; None where one may look at anything."""
    steps = [step for step in assignment.policy.steps if isinstance(step, TemplateStep)]
    if len(steps) < len(assignment.policy.steps):
        return None
    renderer, variables = services.renderer(assignment.campaign.revision), assignment.variables(base.commit)
    return [renderer.render_text(step.to, variables) for step in steps]


def apply_steps(
    services: Services,
    assignment: Assignment,
    accounts: Accounts,
    base: Base,
    place: Workspace,
    recorder: Recorder,
    stop: Deadline,
) -> Made:
    """Run every step in its order."""
    recorder.enter(Stage.STEPS, f"{len(assignment.policy.steps)} steps to make on {base.commit[:12]}")
    made = Made()
    context = StepContext(
        workspace=place,
        variables={**assignment.variables(base.commit), "outputs": made.outputs},
        limits=assignment.policy.limits,
        usd_cap_micro=assignment.policy.budget.attempt,
        remaining_seconds=stop.remaining_seconds,
        emit=recorder.emit,
        artifact=recorder.artifact,
        rendered=made.renderings.__setitem__,
        output=made.outputs.__setitem__,
        cancelled=stop.cancelled,
    )
    with services.engines(assignment.run, assignment.campaign, accounts) as engines:
        for step in assignment.policy.steps:
            stop.require()
            recorder.emit(describe(step))
            engines[type(step)].apply(step, context)
    stop.require()
    return made


def describe(step: Step) -> str:
    match step:
        case CommandStep(run=command):
            return f"run: {command}"
        case TemplateStep(template=template, to=to, mode=mode):
            return f"template: {template} -> {to} ({mode})"
        case ClaudeStep(claude=prompt, model=model):
            return f"claude: {prompt or 'an inline prompt'} ({model})"


def collect_changes(assignment: Assignment, base: Base, place: Workspace, snapshot: Snapshot, recorder: Recorder) -> Changeset:
    recorder.enter(Stage.COLLECT, "reading out what changed")
    changeset = collect(base.mirror, base.commit, place.tree, snapshot, paths=assignment.policy.paths)
    if changeset:
        recorder.emit(
            f"{len(changeset.files)} file{'s' if len(changeset.files) > 1 else ''} changed", files=list(changeset.paths)
        )
    return changeset


def check(
    services: Services, assignment: Assignment, base: Base, changeset: Changeset, recorder: Recorder, stop: Deadline
) -> Verdict:
    recorder.enter(Stage.CHECK, f"{len(assignment.policy.checks)} checks to pass")
    verdict = run_checks(
        assignment.policy.checks,
        services.sandbox,
        base.mirror,
        changeset,
        services.attempts / assignment.run.attempt_key / "check",
        limits=assignment.policy.limits,
        remaining_seconds=stop.remaining_seconds,
        emit=recorder.emit,
        cancelled=stop.cancelled,
    )
    stop.require()
    recorder.verdict(verdict)
    return verdict


def propose(
    services: Services,
    assignment: Assignment,
    base: Base,
    changeset: Changeset,
    verdict: Verdict,
    outputs: Mapping[str, Any],
    recorder: Recorder,
) -> Ended:
    """Publish what passed; a change that did not pass, and a preview's, is kept as a diff only."""
    renderer = services.renderer(assignment.campaign.revision)
    variables = {**assignment.variables(base.commit), "outputs": outputs}
    proposal = Proposal(changeset, verdict, variables, base.branch, base.branch_head)
    commit = prepare_commit(services, assignment, proposal, base.mirror, renderer)
    recorder.artifact("diff", diff(base.mirror, base.commit, commit).encode("utf-8", "surrogateescape"))
    if not verdict.passed:
        return Ended(Outcome.REJECTED, f"a check failed: {verdict.reason}", changeset.paths)
    if assignment.campaign.preview:
        return Ended(Outcome.REPORTED, f"a preview: {len(changeset.files)} files would be changed", changeset.paths)
    recorder.enter(Stage.PUBLISH, f"publishing on {base.branch}")
    host = services.host(assignment.campaign.org_policy)
    return publish(services, assignment, proposal, commit, base.mirror, host, renderer, recorder)


def keep_renderings(services: Services, assignment: Assignment, renderings: dict[str, bytes]) -> None:
    run = assignment.run
    with services.database.transaction() as tx:
        runs.require(tx, run)
        for file, content in renderings.items():
            key = (run.org, assignment.policy.name, run.repository.name, file)
            records.save_rendering(tx, key, content, services.clock.now())
