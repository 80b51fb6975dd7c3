"""Checks: a new sandbox, on a new checkout of what is to be published, with a fresh HOME and no way to a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bot.domain.policies import Limits
from bot.domain.steps import Check
from bot.domain.verdicts import CheckResult, Verdict, judge_checks
from bot.git import Mirror, checkout
from bot.pipeline.workspaces import workspace
from bot.ports import Emit, Sandbox, SandboxCommand, SandboxEnd, Workspace


def run_checks(
    checks: Sequence[Check],
    sandbox: Sandbox,
    mirror: Mirror,
    commit: str,
    root: Path,
    *,
    limits: Limits,
    remaining_seconds: Callable[[], float],
    emit: Emit,
    cancelled: Callable[[], bool],
) -> Verdict:
    """Run every check, also after one has failed: a reviewer wants to know them all. What they write is thrown away."""
    if not checks:
        return judge_checks(())
    with workspace(root, sandbox.user) as place:
        checkout(mirror, commit, place.tree)
        results = []
        for check in checks:
            result = _run(check, sandbox, place, limits, remaining_seconds(), cancelled)
            emit(f"check {result.decision}: {check.run}", exit_status=result.exit_status, duration_ms=result.duration_ms)
            results.append(result)
    return judge_checks(tuple(results))


def _run(
    check: Check, sandbox: Sandbox, place: Workspace, limits: Limits, seconds: float, cancelled: Callable[[], bool]
) -> CheckResult:
    if seconds <= 0:
        return CheckResult(check.run, 124, 0, reason=f"not run: the attempt's {limits.timeout_minutes:g} minutes were used up")
    command = SandboxCommand(
        argv=check.argv,
        workspace=place.tree,
        home=place.home,
        limits=limits,
        timeout_seconds=seconds,
        idle_seconds=seconds,
    )
    result = sandbox.run(command, cancelled=cancelled)
    reason = "" if result.ended_by is SandboxEnd.EXIT else result.reason
    return CheckResult(check.run, result.exit_status, result.duration_ms, result.tail, reason)
