"""Headless Claude Code in the sandbox: the step `claude:` of a policy.

The sandbox is the wall, not Claude Code's own permissions: it runs with `bypassPermissions`, because `acceptEdits` silently
refuses what many migrations must write (.pre-commit-config.yaml, .npmrc, .husky, .gitmodules, .claude/*), and asking is
impossible where nobody answers. What the repository brings along is guidance only: CLAUDE.md reaches the prompt; its settings,
hooks, MCP servers, skills, subagents and commands are never loaded. All requests to a model leave through the gateway's socket.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from bot.domain.guidance import Schema, mismatch, read_schema
from bot.domain.money import MicroUsd, dollars, micro_usd
from bot.domain.redaction import one_line, redact
from bot.domain.steps import ClaudeStep, Step
from bot.engines.claude_arguments import BINARY, SOCKET_DIR, arguments, environment
from bot.engines.claude_events import EventReader, Result
from bot.engines.claude_guidance import guidance
from bot.engines.claude_sessions import Opened, open_session, read_transcript
from bot.errors import AgentCrashed, AgentFailed, LimitReached, PolicyError, QuotaRefused
from bot.ports import (
    GatewayHandle,
    Mount,
    OpenGateway,
    Sandbox,
    SandboxCommand,
    SandboxEnd,
    SandboxResult,
    Session,
    StepContext,
)
from bot.rendering import Renderer, prompt_of

IDLE_SECONDS = 600.0
"""Longer than the longest silence that is no fault: one request (5 minutes) or one Bash command (5 minutes)."""


class ClaudeEngine:
    """Makes a ClaudeStep's change with the Claude Code binary at `binary` (a host path).

    `secrets` are exact strings that must not appear in what is emitted or kept, besides what looks like a credential.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        templates: Renderer,
        open_gateway: OpenGateway,
        binary: Path,
        *,
        secrets: Iterable[str] = (),
        idle_seconds: float = IDLE_SECONDS,
    ):
        self._sandbox = sandbox
        self._templates = templates
        self._open_gateway = open_gateway
        self._binary = binary
        self._secrets = tuple(secrets)
        self._idle_seconds = idle_seconds

    def apply(self, step: Step, context: StepContext) -> None:
        """Let Claude Code change the workspace.

        Its transcript becomes the artifact `transcript`; its last words become the artifact `answer`, or its structured result
        the artifact `output` (JSON).

        Raises QuotaRefused where the gateway refused a request, LimitReached where the sandbox ended it, AgentCrashed where
        there was no result event, AgentFailed where that has an error (retryable where the API was the cause and may recover),
        and for a result that `output_schema` does not admit.
        """
        assert isinstance(step, ClaudeStep), "each type of step has its own engine"
        schema, context = self._schema(step), _tightened(step, context)
        opened = open_session(context)
        prompt = self._prompt(step, context, opened)
        reader = EventReader(context.emit, secrets=self._secrets)
        reader.record({"type": "prompt", "model": step.model, "text": prompt})
        verb = "goes on" if opened.resumed else "starts"
        context.emit(f"Claude Code {verb} with {step.model}", model=step.model, prompt_sha256=_sha256(prompt))
        given = guidance(step, self._templates, context.workspace.scratch.parent)
        with given as mounts, self._open_gateway(frozenset({step.model}), context) as gateway:
            argv = arguments(step, MicroUsd(context.usd_cap_micro), schema, opened.arguments)
            command = self._command(step, context, argv, prompt, (*mounts, Mount(gateway.socket_dir, SOCKET_DIR)))
            try:
                ended = self._run(command, context, gateway, reader)
            finally:
                context.artifact("transcript", reader.transcript)
        _tell_end(gateway, reader.result, context)
        _keep(step, schema, _done(step, gateway, ended, reader.result, self._secrets), context)
        if context.session is not None:
            earlier = context.resume.cost if context.resume else 0
            transcript = read_transcript(context.workspace.home, opened.id)
            context.session(Session(opened.id, transcript, MicroUsd(earlier + gateway.cost)))

    def _prompt(self, step: ClaudeStep, context: StepContext, opened: Opened) -> str:
        """A session that goes on knows what it was asked for."""
        if opened.resumed and context.feedback:
            return context.feedback
        asked = prompt_of(step, self._templates, context.variables, context.words)
        return f"{asked}\n{context.feedback}" if context.feedback else asked

    def _run(self, command: SandboxCommand, context: StepContext, gateway: GatewayHandle, reader: EventReader) -> SandboxResult:
        # After a refusal nothing more can be spent: without this, the binary would ask again several times.
        return self._sandbox.run(
            command, on_line=reader.feed, cancelled=lambda: gateway.refusal is not None or context.cancelled()
        )

    def _command(
        self, step: ClaudeStep, context: StepContext, argv: Sequence[str], prompt: str, mounts: Sequence[Mount]
    ) -> SandboxCommand:
        return SandboxCommand(
            argv=argv,
            workspace=context.workspace.tree,
            home=context.workspace.home,
            limits=context.limits,
            environment={**environment(step), **context.prepared.environment},
            mounts=(Mount(self._binary, BINARY), *mounts, *context.prepared.mounts),
            stdin=prompt.encode(),
            timeout_seconds=context.remaining_seconds(),
            idle_seconds=self._idle_seconds,
        )

    def _schema(self, step: ClaudeStep) -> Schema | None:
        if not isinstance(step.output_schema, str):
            return step.output_schema
        try:
            return read_schema(self._templates.source(step.output_schema))
        except ValueError as error:
            raise PolicyError(str(error), place=step.output_schema) from error


def _tightened(step: ClaudeStep, context: StepContext) -> StepContext:
    """With the step's own limits, where they are narrower than the attempt's; of its money, some may be spent already."""
    cap, remaining = context.usd_cap_micro, context.remaining_seconds
    if step.max_usd is not None:
        spent = context.resume.cost if context.resume else 0
        cap = min(cap, MicroUsd(max(micro_usd(step.max_usd) - spent, 0)))
    seconds = step.timeout_minutes * 60 if step.timeout_minutes is not None else float("inf")
    return replace(context, usd_cap_micro=cap, remaining_seconds=lambda: min(remaining(), seconds))


def _tell_end(gateway: GatewayHandle, result: Result | None, context: StepContext) -> None:
    usage, turns = gateway.usage, result.turns if result else 0
    context.emit(
        f"Claude Code ended after {turns} turns: {usage.total:,} tokens, {dollars(gateway.cost)}",
        turns=turns,
        tokens=usage.total,
        cost_micro=gateway.cost,
        permission_denials=list(result.denials) if result else [],
        summary=result.text if result else "",
    )


def _done(
    step: ClaudeStep, gateway: GatewayHandle, ended: SandboxResult, result: Result | None, secrets: tuple[str, ...]
) -> Result:
    """The result of a session that came to its end. Raises what kept it from that."""
    if gateway.refusal is not None:
        raise gateway.refusal
    if ended.ended_by is not SandboxEnd.EXIT:
        raise LimitReached(ended.reason or f"Claude Code was ended: {ended.ended_by}")
    if result is None:
        tail = one_line(redact(ended.tail, secrets)[-2000:], 2000)
        raise AgentCrashed(f"Claude Code ended with status {ended.exit_status} and no result: {tail or 'it said nothing'}")
    if result.is_error:
        raise _failure(step, gateway, result)
    return result


def _failure(step: ClaudeStep, gateway: GatewayHandle, result: Result) -> AgentFailed | QuotaRefused:
    said = f": {result.text}" if result.text else ""
    if result.subtype == "error_max_turns":
        mend = "raise max_turns of the step, or ask for less in one step"
        return AgentFailed(f"Claude Code used all of its {step.max_turns} turns before it was done", mend=mend)
    if result.subtype == "error_max_budget_usd":
        words = f"Claude Code stopped at its own count of the attempt's budget; the gateway counted {dollars(gateway.cost)}"
        return QuotaRefused(words, scope="attempt")
    if result.was_api_error:
        status = f"status {result.status}" if result.status else "no answer"
        return AgentFailed(
            f"the API could not be used ({status}){said}",
            retryable=_may_recover(result.status),
            retry_after=gateway.retry_after or None,
        )
    return AgentFailed(f"Claude Code ended with an error ({result.subtype or 'unnamed'}){said}")


def _keep(step: ClaudeStep, schema: Schema | None, result: Result, context: StepContext) -> None:
    if schema is None:
        context.artifact("answer", result.answer.encode())
        return
    if result.output is None:
        said = f"; it said: {result.text}" if result.text else ""
        raise AgentFailed(f"Claude Code ended without the result that `output_schema` asks for{said}")
    if problem := mismatch(schema, result.output):
        raise AgentFailed(f"the result does not fit `output_schema`: {problem}")
    context.artifact("output", json.dumps(result.output, indent=2, ensure_ascii=False).encode())
    if step.name:
        context.output(step.name, result.output)


def _may_recover(status: int | None) -> bool:
    return status is None or status == 429 or status >= 500


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
