"""Make the change: every step in its order, then what came of them, read out and kept.

It is kept as a commit in the mirror, and a note of it beside the attempt. An attempt that comes to nothing later is taken up
from there by the next one: nothing is asked, or paid, twice.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bot.domain.changesets import Changeset
from bot.domain.habits import prefix_of
from bot.domain.markdown import neutral_data
from bot.domain.money import MicroUsd
from bot.domain.policies import COMMIT_TEMPLATE
from bot.domain.redaction import redact_data
from bot.domain.states import Stage
from bot.domain.steps import ClaudeStep, CommandStep, EditStep, Step, TemplateStep
from bot.errors import ChangeRefused
from bot.git import (
    Signature,
    Snapshot,
    apply_changeset,
    changes_between,
    check_paths,
    checkout,
    collect,
    moved_tree,
    read_changeset,
    recent_subjects,
    write_commit,
)
from bot.pipeline.assignment import Assignment
from bot.pipeline.lease import Deadline
from bot.pipeline.recorder import Recorder
from bot.pipeline.reporting import read_report
from bot.pipeline.starting import Base
from bot.pipeline.workspaces import workspace
from bot.ports import Session, StepContext, Workspace
from bot.services import BOT_EMAIL, BOT_NAME, Services
from bot.store import records, runs
from bot.store.ledger import Accounts
from bot.store.own_commits import Own


@dataclass(frozen=True, slots=True)
class KeptSession:
    """The session of the last Claude step: its transcript is the artifact `file`, `cost` is what the gateway counted for it."""

    id: str
    file: str
    cost: MicroUsd


@dataclass(frozen=True, slots=True)
class Round:
    """One time that what failed was given back, by the names of what failed; `fixed` is None until it was checked again."""

    failed: tuple[str, ...]
    fixed: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What the steps told besides the change: what templates rendered, by path, and the results of Claude steps, by name.

    `report` is what a policy with `output:` is there for. `rounds` are those in which the change was mended, `judged` is the
    digest of the diff that the judge has seen last, and its opinion.
    """

    renderings: dict[str, bytes] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    report: str | None = None
    judged: tuple[str, str] | None = None
    session: KeptSession | None = None
    rounds: tuple[Round, ...] = ()

    def to_json(self) -> str:
        renderings = {path: base64.b64encode(content).decode() for path, content in self.renderings.items()}
        return json.dumps(
            {
                "renderings": renderings,
                "outputs": redact_data(self.outputs),
                "report": self.report,
                "judged": self.judged,
                "session": asdict(self.session) if self.session else None,
                "rounds": redact_data([asdict(one) for one in self.rounds]),
            }
        )

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Told:
        """Of an attempt that noted nothing, there is nothing."""
        renderings = {path: base64.b64decode(text) for path, text in kept.get("renderings", {}).items()}
        session = KeptSession(**kept["session"]) if kept.get("session") else None
        rounds = tuple(
            Round(tuple(one["failed"]), None if one["fixed"] is None else tuple(one["fixed"])) for one in kept.get("rounds", ())
        )
        digest, opinion = kept.get("judged") or ("", "")
        judged = (digest, opinion) if digest else None
        return cls(renderings, dict(kept.get("outputs", {})), kept.get("report"), judged, session, rounds)


@dataclass(frozen=True, slots=True)
class Work:
    """What was made of a base. `commit` is the change as a commit in the mirror, empty where nothing changed."""

    changeset: Changeset
    commit: str
    told: Told


def make(
    services: Services,
    assignment: Assignment,
    accounts: Accounts,
    base: Base,
    place: Workspace,
    recorder: Recorder,
    stop: Deadline,
) -> Work:
    """Check the base out, apply the steps, collect the change and keep it."""
    snapshot = checkout(base.mirror, base.commit, place.tree, only=files_read(services, assignment, base))
    recorder.enter(Stage.STEPS, f"{len(assignment.policy.steps)} steps to make on {base.commit[:12]}")
    told = apply_steps(services, assignment, accounts, base, place, recorder, stop, assignment.policy.steps)
    return gather(services, assignment, base, place, snapshot, told, recorder)


def remake(
    services: Services,
    assignment: Assignment,
    accounts: Accounts,
    base: Base,
    work: Work,
    feedback: str,
    recorder: Recorder,
    stop: Deadline,
) -> Work:
    """Have the last Claude step's session mend the change, then make the steps after it again.

    On a tree and a HOME of their own, so that it is the same whether this attempt had made the change or an earlier one.
    """
    steps, told = assignment.policy.steps, work.told
    last = max(index for index, step in enumerate(steps) if isinstance(step, ClaudeStep))
    root = services.attempts / assignment.run.attempt_key / "feedback"
    with workspace(root, services.sandbox.user) as place:
        snapshot = checkout(base.mirror, base.commit, place.tree)
        apply_changeset(place.tree, work.changeset)
        recorder.enter(Stage.STEPS, f"what failed is given back: {describe(steps[last])}")
        told = apply_steps(services, assignment, accounts, base, place, recorder, stop, steps[last:], told, feedback)
        return gather(services, assignment, base, place, snapshot, told, recorder)


def gather(
    services: Services,
    assignment: Assignment,
    base: Base,
    place: Workspace,
    snapshot: Snapshot,
    told: Told,
    recorder: Recorder,
) -> Work:
    recorder.enter(Stage.COLLECT, "reading out what changed")
    changeset = collect(base.mirror, base.commit, place.tree, snapshot, paths=assignment.policy.paths)
    if changeset:
        recorder.emit(f"{_files(changeset)} changed", files=list(changeset.paths))
    if assignment.policy.output is not None:
        told = replace(told, report=read_report(services, assignment, place.tree, snapshot, changeset, told.outputs))
    return keep(services, assignment, base, changeset, told)


def take_up(services: Services, assignment: Assignment, base: Base, recorder: Recorder) -> Work | None:
    """What an earlier attempt of this run had made of the same base before it came to nothing; None where there is nothing."""
    with services.database.reading() as tx:
        left = records.left_behind(tx, assignment.run.id, base.commit)
    if left is None or (left.commit and not base.mirror.has(left.commit)):
        return None
    changeset = read_changeset(base.mirror, left.commit) if left.commit else Changeset(base.commit, ())
    recorder.enter(Stage.COLLECT, f"taking up what attempt {left.fence} had made: {_files(changeset)} changed")
    return keep(services, assignment, base, changeset, Told.from_json(left.made))


def bring_over(services: Services, assignment: Assignment, base: Base, own: Own | None, recorder: Recorder) -> Work | None:
    """What a model made of an earlier base, brought to this one without asking it again; None where it must be asked.

    Only for a run that is to be rebased: whoever asks for a retry wants it thought of anew. Steps that ask no model are simply
    made again.
    """
    mirror, policy = base.mirror, assignment.policy
    if own is None or not assignment.run.rebase or not policy.uses_model or own.revision != assignment.campaign.revision:
        return None
    tree = moved_tree(mirror, own.commit, own.base, base.commit) if mirror.has(own.commit) and mirror.has(own.base) else None
    if tree is None:
        recorder.emit(f"what was made of {own.base[:12]} does not apply to {base.commit[:12]}: it is made anew")
        return None
    changeset = changes_between(mirror, base.commit, tree)
    try:
        check_paths(changeset, policy.paths)
    except ChangeRefused as refused:
        recorder.emit(f"what was made of {own.base[:12]} may not be brought over, so it is made anew: {refused}")
        return None
    recorder.enter(Stage.COLLECT, f"brought over from {own.base[:12]}, and no model asked: {_files(changeset)} changed")
    return keep(services, assignment, base, changeset, replace(Told.from_json(own.made), rounds=()))


def keep(services: Services, assignment: Assignment, base: Base, changeset: Changeset, told: Told) -> Work:
    """Commit the change in the mirror, and note it as this bot's before anybody else can see it."""
    run, commit = assignment.run, ""
    if changeset:
        renderer = services.renderer(assignment.campaign.revision)
        besides = {"outputs": neutral_data(told.outputs), "prefix": prefix_of(recent_subjects(base.mirror, base.commit))}
        message = renderer.render(COMMIT_TEMPLATE, {**assignment.variables(base.commit), **besides})
        commit = write_commit(base.mirror, changeset, message, Signature(BOT_NAME, BOT_EMAIL, services.clock.now()))
        base.mirror.keep(run.attempt_key, commit)
    with services.database.transaction() as tx:
        runs.require(tx, run)
        runs.note_attempt(tx, run, commit=commit, made=told.to_json())
    return Work(changeset, commit, told)


def note(services: Services, assignment: Assignment, told: Told) -> None:
    """Keep what came of the change since it was made, beside the attempt."""
    with services.database.transaction() as tx:
        runs.require(tx, assignment.run)
        runs.note_attempt(tx, assignment.run, made=told.to_json())


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
    steps: Sequence[Step],
    before: Told | None = None,
    feedback: str = "",
) -> Told:
    """Run these steps in their order. `before` is what was told in an earlier round, `feedback` is for the first of them."""
    before = before or Told()
    told = replace(before, renderings=dict(before.renderings), outputs=dict(before.outputs))
    sessions: list[Session] = []
    context = StepContext(
        workspace=place,
        variables={**assignment.variables(base.commit), "outputs": told.outputs},
        limits=assignment.policy.limits,
        usd_cap_micro=assignment.policy.budget.attempt,
        remaining_seconds=stop.remaining_seconds,
        emit=recorder.emit,
        artifact=recorder.artifact,
        rendered=told.renderings.__setitem__,
        output=told.outputs.__setitem__,
        cancelled=stop.cancelled,
        words=assignment.run.words,
        session=sessions.append,
        prepared=base.prepared,
    )
    mending = replace(context, feedback=feedback, resume=_left_of(services, before.session)) if feedback else context
    with services.engines(assignment.run, assignment.campaign, accounts) as engines:
        for step in steps:
            stop.require()
            recorder.emit(describe(step))
            engines[type(step)].apply(step, mending if step is steps[0] else context)
    stop.require()
    return replace(told, session=_kept(sessions[-1], recorder)) if sessions else told


def _kept(session: Session, recorder: Recorder) -> KeptSession:
    return KeptSession(session.id, recorder.artifact("session", session.transcript), session.cost)


def _left_of(services: Services, kept: KeptSession | None) -> Session | None:
    """The session as it was kept; without its transcript, where that was cleared away, it begins anew, and costs on."""
    if kept is None:
        return None
    file = services.artifacts / kept.file
    return Session(kept.id, file.read_bytes() if file.is_file() else b"", kept.cost)


def describe(step: Step) -> str:
    match step:
        case CommandStep(run=command):
            return f"run: {command}"
        case TemplateStep(template=template, to=to, mode=mode):
            return f"template: {template} -> {to} ({mode})"
        case EditStep(edit=prompt, model=model):
            return f"edit: {prompt} ({model})"
        case ClaudeStep(claude=prompt, model=model):
            return f"claude: {prompt or 'an inline prompt'} ({model})"


def _files(changeset: Changeset) -> str:
    return f"{len(changeset.files)} file{'s' if len(changeset.files) != 1 else ''}"
