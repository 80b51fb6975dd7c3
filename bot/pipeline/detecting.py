"""Does the base still need the change? By `detect:` of the policy, before a step is made, or a model paid."""

from __future__ import annotations

from bot.domain.policies import Detection
from bot.domain.selection import FileFacts, why_not_by_files
from bot.errors import EngineError
from bot.git import checkout, paths_at
from bot.pipeline.assignment import Assignment
from bot.pipeline.lease import Deadline
from bot.pipeline.recorder import Recorder
from bot.pipeline.starting import Base
from bot.pipeline.workspaces import workspace
from bot.ports import SandboxCommand, SandboxEnd
from bot.services import Services
from bot.store import publications, records

NEEDED, NOT_NEEDED = 0, 1


def why_not_needed(services: Services, assignment: Assignment, base: Base, recorder: Recorder, stop: Deadline) -> str | None:
    """None where it is needed, or the policy does not say how to tell. Raises EngineError, SandboxError."""
    detection = assignment.policy.detect
    if detection is None:
        return None
    if detection.files is not None:
        paths = paths_at(base.mirror, base.commit)
        return why_not_by_files(detection.files, FileFacts(frozenset(paths), tuple(paths)), assignment.run.base)
    return _ask(services, assignment, base, detection, recorder, stop)


def open_and_needed(services: Services, assignment: Assignment) -> str | None:
    """Why a run that only had to look leaves it at that: the pull request of this revision is open. None for any other run.

    One that is made again, or rebased, was asked for by somebody.
    """
    run, detection = assignment.run, assignment.policy.detect
    if detection is None or detection.run is None or run.rebase or assignment.campaign.preview:
        return None
    with services.database.reading() as tx:
        known = publications.find(tx, assignment.change)
        again = records.has_ended_before(tx, run.id)
    if known is None or known.state != "open" or known.revision != assignment.campaign.revision or again:
        return None
    return f"already open: #{known.number}, and still needed on {run.base}"


def _ask(
    services: Services, assignment: Assignment, base: Base, detection: Detection, recorder: Recorder, stop: Deadline
) -> str | None:
    """As `grep -q` answers: 0 where it is needed, 1 where it is not. Anything else is no answer."""
    root = services.attempts / assignment.run.attempt_key / "detect"
    with workspace(root, services.sandbox.user) as place:
        checkout(base.mirror, base.commit, place.tree)
        seconds = stop.remaining_seconds()
        command = SandboxCommand(
            argv=detection.argv,
            workspace=place.tree,
            home=place.home,
            limits=assignment.policy.limits,
            timeout_seconds=seconds,
            idle_seconds=seconds,
        )
        result = services.sandbox.run(command, cancelled=stop.cancelled)
    stop.require()
    if result.ended_by is not SandboxEnd.EXIT or result.exit_status not in (NEEDED, NOT_NEEDED):
        what = result.reason or f"it ended with {result.exit_status}: {result.tail}"
        raise EngineError(f"detect: {detection.run}: {what}", mend="0 says that the change is needed, 1 that it is not")
    needed = result.exit_status == NEEDED
    recorder.emit(f"detect: {detection.run}: the change is {'' if needed else 'not '}needed", duration_ms=result.duration_ms)
    return None if needed else f"`{detection.run}` says so"
