"""Command steps: what is asked of the sandbox, and how each of its ends is told."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.domain.policies import Limits
from bot.domain.steps import CommandStep
from bot.engines.command import MAX_TAIL, CommandEngine
from bot.errors import CommandFailed, LimitReached
from bot.ports import SandboxCommand, SandboxEnd, SandboxResult, StepContext, Workspace

DONE = SandboxResult(0, SandboxEnd.EXIT, 10, 1000, "")


@dataclass
class EndingSandbox:
    """Ends every command in the same way."""

    result: SandboxResult = DONE
    commands: list[SandboxCommand] = field(default_factory=list)
    user: int | None = None
    toolchain: str = "none"

    def run(
        self,
        command: SandboxCommand,
        *,
        on_line: Callable[[bytes], None] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> SandboxResult:
        self.commands.append(command)
        if cancelled():
            return SandboxResult(137, SandboxEnd.CANCELLED, 10, 1000, "", "cancelled")
        return self.result


def apply(sandbox: EndingSandbox, run: str = "make tidy", *, seconds: float = 30.0, cancelled: bool = False) -> None:
    context = StepContext(
        workspace=Workspace(Path("/w/tree"), Path("/w/home"), Path("/w/scratch")),
        variables={},
        limits=Limits(timeout_minutes=7),
        usd_cap_micro=0,
        remaining_seconds=lambda: seconds,
        emit=lambda message, **_: None,
        artifact=lambda kind, content: None,
        rendered=lambda path, content: None,
        output=lambda name, value: None,
        cancelled=lambda: cancelled,
    )
    CommandEngine(sandbox).apply(CommandStep(run=run), context)


def test_the_command_runs_in_the_workspace_within_what_is_left_of_the_attempt() -> None:
    sandbox = EndingSandbox()
    apply(sandbox)
    (command,) = sandbox.commands
    assert command.argv[-1] == "make tidy"
    assert (command.workspace, command.home) == (Path("/w/tree"), Path("/w/home"))
    assert (command.timeout_seconds, command.limits.timeout_minutes) == (30.0, 7)
    assert not command.environment
    assert not command.mounts


def test_a_failure_has_its_status_and_the_end_of_what_it_said() -> None:
    tail = "x" * 5000 + "\nno such target: \x1b[31mtidy\x1b[0m\n\n"
    with pytest.raises(CommandFailed) as caught:
        apply(EndingSandbox(SandboxResult(2, SandboxEnd.EXIT, 10, 1000, tail)))
    assert str(caught.value) == "`make tidy` ended with status 2: no such target: tidy"
    assert (caught.value.exit_status, len(caught.value.tail)) == (2, MAX_TAIL)
    assert not caught.value.retryable


def test_a_failure_that_said_nothing() -> None:
    with pytest.raises(CommandFailed, match=r"^`false` ended with status 1$"):
        apply(EndingSandbox(SandboxResult(1, SandboxEnd.EXIT, 10, 1000, "\n")), "false")


def test_a_credential_in_the_output_is_not_kept() -> None:
    with pytest.raises(CommandFailed) as caught:
        apply(EndingSandbox(SandboxResult(1, SandboxEnd.EXIT, 10, 1000, "token ghp_0123456789abcdef0123456789abcdef0123")))
    assert "ghp_" not in f"{caught.value}{caught.value.tail}"


@pytest.mark.parametrize("end", [end for end in SandboxEnd if end is not SandboxEnd.EXIT])
def test_a_limit_is_told_as_the_sandbox_says_it(end: SandboxEnd) -> None:
    with pytest.raises(LimitReached, match=r"^4,096 MB are used up$"):
        apply(EndingSandbox(SandboxResult(137, end, 10, 1000, "", "4,096 MB are used up")))


def test_a_cancelled_command_has_not_succeeded() -> None:
    with pytest.raises(LimitReached, match="cancelled"):
        apply(EndingSandbox(), cancelled=True)


def test_nothing_is_started_without_time_left() -> None:
    sandbox = EndingSandbox()
    with pytest.raises(LimitReached, match="the attempt's 7 minutes were used up: make tidy"):
        apply(sandbox, seconds=0.0)
    assert not sandbox.commands


@pytest.mark.parametrize(
    ("run", "status"),
    [("true", 0), ("exit 3", 3), ("false\ntrue", 1), ("false | true", 1), ("false || true", 0), ("x=1; [ $x = 1 ] && true", 0)],
)
def test_the_first_failure_ends_a_script(run: str, status: int) -> None:
    assert subprocess.run(CommandStep(run=run).argv, check=False).returncode == status
