"""One attempt, as a story: checkout, steps, collect, check, publish; or, in the place of the last, the report is kept."""

from __future__ import annotations

from dataclasses import replace

from bot.domain.states import Outcome, Stage
from bot.domain.verdicts import Verdict, together
from bot.git import diff
from bot.pipeline.assignment import Assignment, Ended
from bot.pipeline.baselines import Baselines
from bot.pipeline.checks import Bench, run_checks
from bot.pipeline.detecting import open_and_needed, why_not_needed
from bot.pipeline.feedback import Feedback
from bot.pipeline.guarding import guard
from bot.pipeline.judging import Judging
from bot.pipeline.lease import Deadline, Lease
from bot.pipeline.making import Work, bring_over, make, take_up
from bot.pipeline.preparing import preparation
from bot.pipeline.publishing import Proposal, publish, step_back
from bot.pipeline.recorder import Recorder
from bot.pipeline.renderings import keep_merged, keep_renderings
from bot.pipeline.reporting import keep_report
from bot.pipeline.standing import Standing, land, stand
from bot.pipeline.starting import Base, fetch, hold_budget, require_wanted, tighten
from bot.pipeline.workspaces import workspace
from bot.ports import Workspace
from bot.services import Services
from bot.store.ledger import Accounts


def attempt(services: Services, assignment: Assignment, accounts: Accounts, recorder: Recorder, lease: Lease) -> Ended:
    """Make the change, prove it, publish it. Raises WhimbrelError; what it reserved is settled or still in the ledger."""
    require_wanted(services, assignment)
    base = fetch(services, assignment, recorder)
    try:
        assignment = tighten(assignment, base)
        hold_budget(services, assignment)
        stop = Deadline(services.clock, assignment.policy.limits, lease)
        with (
            workspace(services.attempts / assignment.run.attempt_key, services.sandbox.user) as place,
            preparation(services, assignment, base, recorder, stop) as prepared,
        ):
            base = replace(base, prepared=prepared)
            return change(services, assignment, accounts, base, place, recorder, stop)
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
    standing = stand(services, assignment, base)
    settled = look(services, assignment, base, standing, recorder, stop)
    if settled is not None:
        return settled
    keep_merged(services, assignment)
    taken_up = take_up(services, assignment, base, recorder)
    brought = None if taken_up else bring_over(services, assignment, base, standing.own, recorder)
    work = taken_up or brought or make(services, assignment, accounts, base, place, recorder, stop)
    if not work.changeset and work.told.report is None:
        keep_renderings(services, assignment, work.told)
        # That a model finds nothing to do is no reason to close what it did before.
        sure = brought is not None or not assignment.policy.uses_model
        reason = "nothing to change: the repository already is as the policy wants it"
        return Ended(Outcome.NO_CHANGE, reason, done=sure, looked=True)
    rounds = Feedback(services, assignment, accounts, base, recorder, stop)
    judging = Judging(services, assignment, accounts, base, recorder, stop)
    return prove(services, assignment, base, standing, work, rounds, judging, recorder, stop)


def prove(
    services: Services,
    assignment: Assignment,
    base: Base,
    standing: Standing,
    work: Work,
    rounds: Feedback,
    judging: Judging,
    recorder: Recorder,
    stop: Deadline,
) -> Ended:
    """Check what was made, have what failed mended as often as the policy allows, and bring it to its end."""
    while True:
        commit = work.commit or base.commit
        if work.told.report is None:
            landing = land(services, assignment, base, standing, commit)
            if landing.frozen:
                return step_back(services, assignment, base, landing.frozen)
            commit = landing.commit
        verdict = check(services, assignment, base, work, commit, recorder, stop)
        work, verdict = judging.look(work, verdict)
        mended = rounds.mend(work, verdict)
        if mended is None:
            break
        if not mended.changeset and mended.told.report is None:
            return Ended(Outcome.REJECTED, f"{verdict.reason}; the agent then took all of it back")
        work = mended
    if work.told.report is not None:
        return keep_report(work.told.report, verdict, recorder)
    return propose(services, assignment, base, work, commit, verdict, rounds.ended_by, recorder)


def look(
    services: Services, assignment: Assignment, base: Base, standing: Standing, recorder: Recorder, stop: Deadline
) -> Ended | None:
    """What ends an attempt before anything is made, or a model paid; None where nothing does."""
    if standing.why_frozen:
        return step_back(services, assignment, base, standing.why_frozen)
    if reason := why_not_needed(services, assignment, base, recorder, stop):
        return Ended(Outcome.NO_CHANGE, f"the change is not needed: {reason}", done=True, looked=True)
    if reason := open_and_needed(services, assignment):
        return Ended(Outcome.SKIPPED, reason, looked=True)
    return None


def check(
    services: Services, assignment: Assignment, base: Base, work: Work, commit: str, recorder: Recorder, stop: Deadline
) -> Verdict:
    """Prove what the branch will show, with people's commits in it where there are any; guards, the bot's change alone."""
    recorder.enter(Stage.CHECK, f"{len(assignment.policy.checks)} checks to pass")
    policy = assignment.policy
    root = services.attempts / assignment.run.attempt_key / "check"
    bench = Bench(services.sandbox, base.mirror, root, policy.limits, stop.remaining_seconds, stop.cancelled, recorder.emit)
    bench = replace(bench, prepared=base.prepared)
    kept = Baselines(services, assignment.run, base.commit, policy.limits, base.prepared.key)
    guarded = guard(assignment, base, work, recorder)
    checked = run_checks(policy.checks, bench, kept, commit)
    stop.require()
    verdict = together([part for part in (guarded, checked) if part is not None])
    recorder.verdict(verdict)
    return verdict


def propose(
    services: Services,
    assignment: Assignment,
    base: Base,
    work: Work,
    commit: str,
    verdict: Verdict,
    remark: str,
    recorder: Recorder,
) -> Ended:
    """Publish what passed; a change that did not pass, and a preview's, is kept as a diff only."""
    changeset = work.changeset
    recorder.artifact("diff", diff(base.mirror, base.commit, work.commit).encode("utf-8", "surrogateescape"))
    if not verdict.passed:
        reason = f"{verdict.reason} ({remark})" if remark else verdict.reason
        return Ended(Outcome.REJECTED, reason, changeset.paths)
    if assignment.campaign.preview:
        return Ended(Outcome.REPORTED, f"a preview: {len(changeset.files)} files would be changed", changeset.paths)
    recorder.enter(Stage.PUBLISH, f"publishing on {base.place.head}")
    variables = {**assignment.variables(base.commit), "outputs": work.told.outputs}
    proposal = Proposal(changeset, verdict, variables, base.place, base.branch_head)
    renderer, host = services.renderer(assignment.campaign.revision), services.host(assignment.campaign.org_policy)
    return publish(services, assignment, proposal, commit, base.mirror, host, renderer, recorder)
