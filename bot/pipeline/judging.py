"""The judge's stage: once the checks have passed, a second model may refuse the change. Its opinion of a diff is paid once."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from bot.domain.judging import Case, Opinion, judged, unjudged
from bot.domain.redaction import redact
from bot.domain.states import Stage
from bot.domain.steps import ClaudeStep, EditStep
from bot.domain.verdicts import Verdict
from bot.git import diff
from bot.pipeline.assignment import Assignment
from bot.pipeline.lease import Deadline
from bot.pipeline.making import Work, describe, note
from bot.pipeline.recorder import Recorder
from bot.pipeline.starting import Base
from bot.ports import Judge
from bot.services import Services
from bot.store.ledger import Accounts

MAX_PROMPT_CHARACTERS = 10_000


class Judging:
    """The judge of one attempt: all that it is asked there is paid from one line of its own."""

    def __init__(
        self, services: Services, assignment: Assignment, accounts: Accounts, base: Base, recorder: Recorder, stop: Deadline
    ):
        self._services, self._assignment, self._base = services, assignment, base
        self._recorder, self._stop = recorder, stop
        run, campaign, policy = assignment.run, assignment.campaign, assignment.policy.judge
        self._judge = services.judge(policy, run, campaign, accounts, recorder.emit) if policy else None

    def look(self, work: Work, verdict: Verdict) -> tuple[Work, Verdict]:
        """The verdict with the judge's part, where the policy has a judge and all else passed. Without an opinion it fails."""
        if self._judge is None or not verdict.passed or not work.commit:
            return work, verdict
        change = diff(self._base.mirror, self._base.commit, work.commit).encode("utf-8", "surrogateescape")
        opinion = self._opinion(self._judge, work, change)
        if isinstance(opinion, str):
            whole = unjudged(verdict, opinion)
        else:
            whole = judged(verdict, opinion)
            work = replace(work, told=replace(work.told, judged=(_digest(change), redact(opinion.model_dump_json()))))
            note(self._services, self._assignment, work.told)
        leaf = whole.children[-1]
        self._recorder.emit(f"judge {leaf.decision}: {leaf.reason}")
        self._recorder.verdict(whole)
        return work, whole

    def _opinion(self, judge: Judge, work: Work, change: bytes) -> Opinion | str:
        """As it was given already, to an attempt that came to nothing after it, or anew."""
        known = work.told.judged
        if known and known[0] == _digest(change):
            return Opinion.model_validate_json(known[1])
        self._recorder.enter(Stage.CHECK, "the judge is asked")
        case = Case(_intent(self._services, self._assignment), redact(change.decode("utf-8", "replace")))
        opinion = judge.judge(case, self._stop.remaining_seconds())
        self._stop.require()
        if isinstance(opinion, Opinion):
            self._recorder.artifact("judge", json.dumps(opinion.model_dump(), indent=2, ensure_ascii=False).encode())
        return opinion


def _intent(services: Services, assignment: Assignment) -> str:
    """The operator's words alone: templates as they are written, with nothing of the repository in them."""
    policy, templates = assignment.policy, services.renderer(assignment.campaign.revision)
    parts = [policy.description, "It may change: " + ", ".join(policy.paths)]
    parts.append("Its steps:\n" + "\n".join(f"- {describe(step)}" for step in policy.steps))
    for step in policy.steps:
        if isinstance(step, ClaudeStep | EditStep):
            prompt = step.claude if isinstance(step, ClaudeStep) else step.edit
            asked = templates.source(prompt) if prompt else getattr(step, "prompt", "")
            parts.append(f"What the agent was asked for:\n{asked[:MAX_PROMPT_CHARACTERS]}")
    if policy.judge is not None and policy.judge.instructions:
        parts.append(f"Look for this in particular:\n{policy.judge.instructions}")
    return "\n\n".join(parts)


def _digest(change: bytes) -> str:
    return hashlib.sha256(change).hexdigest()
