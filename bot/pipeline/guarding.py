"""Guards, in an attempt: what agents and commands changed is held against what nobody may do unasked."""

from __future__ import annotations

from functools import partial

from bot.domain.guards.change import change_of
from bot.domain.guards.table import inspect, judge_guards
from bot.domain.steps import TemplateStep
from bot.domain.verdicts import Verdict
from bot.git import has_path, read_blob
from bot.pipeline.assignment import Assignment
from bot.pipeline.making import Work
from bot.pipeline.recorder import Recorder
from bot.pipeline.starting import Base


def guard(assignment: Assignment, base: Base, work: Work, recorder: Recorder) -> Verdict | None:
    """What the guards say of the bot's own change; None where there is nothing that they bind.

    What template steps wrote is the platform team's word: a policy of nothing else is not guarded, and a file that is still to
    the byte what a template gave is left out. A report publishes nothing of the change.
    """
    policy = assignment.policy
    if work.told.report is not None or all(isinstance(step, TemplateStep) for step in policy.steps):
        return None
    mirror, commit = base.mirror, base.commit
    change = change_of(
        work.changeset, partial(read_blob, mirror, commit), partial(has_path, mirror, commit), work.told.renderings
    )
    verdict = judge_guards(inspect(change, policy.guards))
    for leaf in verdict.children:
        if leaf.children:
            recorder.emit(f"guard {leaf.name} {'warns' if leaf.passed else 'objects'}: {leaf.reason}")
    return verdict
