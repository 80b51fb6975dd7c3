"""A command of the policy, in the sandbox: the step `run:`."""

from __future__ import annotations

from bot.domain.redaction import one_line, redact
from bot.domain.steps import CommandStep, Step
from bot.errors import CommandFailed, LimitReached
from bot.ports import Sandbox, SandboxCommand, SandboxEnd, StepContext

MAX_TAIL = 4000
"""Characters of a failed command's output that its error keeps."""


class CommandEngine:
    """Makes a CommandStep's change: whatever the command does to the workspace."""

    def __init__(self, sandbox: Sandbox):
        self._sandbox = sandbox

    def apply(self, step: Step, context: StepContext) -> None:
        """Raises CommandFailed for an exit status other than 0, LimitReached for a limit, SandboxError without a sandbox."""
        assert isinstance(step, CommandStep), "each type of step has its own engine"
        seconds = context.remaining_seconds()
        if seconds <= 0:
            raise LimitReached(
                f"not run, the attempt's {context.limits.timeout_minutes:g} minutes were used up: {one_line(step.run)}"
            )
        command = SandboxCommand(
            argv=step.argv,
            workspace=context.workspace.tree,
            home=context.workspace.home,
            limits=context.limits,
            environment=context.prepared.environment,
            mounts=context.prepared.mounts,
            timeout_seconds=seconds,
            idle_seconds=seconds,
        )
        result = self._sandbox.run(command, cancelled=context.cancelled)
        tail = redact(result.tail)[-MAX_TAIL:]
        if result.ended_by is not SandboxEnd.EXIT:
            raise LimitReached(result.reason or f"the command was ended: {result.ended_by}")
        if result.exit_status != 0:
            raise CommandFailed(_words(step.run, result.exit_status, tail), exit_status=result.exit_status, tail=tail)


def _words(command: str, status: int, tail: str) -> str:
    last = next((line for line in reversed(tail.splitlines()) if line.strip()), "")
    return f"`{one_line(command)}` ended with status {status}{f': {one_line(last)}' if last else ''}"
