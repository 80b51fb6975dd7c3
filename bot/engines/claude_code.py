"""Headless Claude Code in the sandbox: the step `claude:` of a policy.

The sandbox is the wall, not Claude Code's own permissions: it runs with `bypassPermissions`, because `acceptEdits` silently
refuses what many migrations must write (.pre-commit-config.yaml, .npmrc, .husky, .gitmodules, .claude/*), and asking is
impossible where nobody answers. What the repository brings along is guidance only: CLAUDE.md reaches the prompt; its settings,
hooks, MCP servers, skills and commands are never loaded. All requests to a model leave through the gateway's socket.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bot.domain.money import MicroUsd, decimal_usd, dollars
from bot.domain.policies import ClaudeStep, Step
from bot.domain.redaction import one_line, redact
from bot.engines.claude_events import EventReader, Result
from bot.errors import AgentFailed, LimitReached, QuotaRefused
from bot.ports import GatewayHandle, Mount, OpenGateway, Sandbox, SandboxCommand, SandboxEnd, SandboxResult, StepContext
from bot.rendering import Renderer

IDLE_SECONDS = 600.0
"""Longer than the longest silence that is no fault: one request (5 minutes) or one Bash command (5 minutes)."""

MAX_OUTPUT_TOKENS = 16_000
"""Of one answer, thinking included. The gateway reserves all of it before each request: a higher figure refuses earlier."""

_BINARY = "/opt/claude"
_SOCKET_DIR = "/run/api"
_WORKSPACE = "/workspace"
_SYSTEM_NOTE = (
    f"You work unattended: nobody answers questions. You are in a sandbox without any network, so nothing can be installed or "
    f"downloaded. Change files below {_WORKSPACE} only; there is no git repository, and committing is done for you. "
    f"End with a summary of what you changed, in a few sentences."
)
_ENVIRONMENT = {
    "ANTHROPIC_UNIX_SOCKET": f"{_SOCKET_DIR}/api.sock",
    "ANTHROPIC_BASE_URL": "http://localhost",
    "ANTHROPIC_API_KEY": "placeholder",
    "API_TIMEOUT_MS": "300000",
    "BASH_DEFAULT_TIMEOUT_MS": "120000",
    "BASH_MAX_TIMEOUT_MS": "300000",
    "CLAUDE_CODE_ADDITIONAL_DIRECTORIES_CLAUDE_MD": "1",
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(MAX_OUTPUT_TOKENS),
    "CLAUDE_CODE_MAX_RETRIES": "3",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
    # Without it the binary refuses bypassPermissions to uid 0, which a sandbox without a user namespace has.
    "IS_SANDBOX": "1",
}
_MODEL_VARIABLES = (
    "ANTHROPIC_MODEL",
    "ANTHROPIC_SMALL_FAST_MODEL",
    "ANTHROPIC_DEFAULT_FABLE_MODEL",
    "ANTHROPIC_DEFAULT_HAIKU_MODEL",
    "ANTHROPIC_DEFAULT_OPUS_MODEL",
    "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "CLAUDE_CODE_SUBAGENT_MODEL",
)


class ClaudeEngine:
    """Makes a ClaudeStep's change with the Claude Code binary at `binary` (a host path).

    `secrets` are exact strings that must not appear in what is emitted or kept, besides what looks like a credential.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        renderer: Renderer,
        open_gateway: OpenGateway,
        binary: Path,
        *,
        secrets: Iterable[str] = (),
        idle_seconds: float = IDLE_SECONDS,
    ):
        self._sandbox = sandbox
        self._renderer = renderer
        self._open_gateway = open_gateway
        self._binary = binary
        self._secrets = tuple(secrets)
        self._idle_seconds = idle_seconds

    def apply(self, step: Step, context: StepContext) -> None:
        """Let Claude Code change the workspace; its transcript becomes the artifact `transcript`.

        Raises QuotaRefused where the gateway refused a request, LimitReached where the sandbox ended it, AgentFailed for every
        other end than a result event without an error (retryable where the API was the cause and may recover).
        """
        assert isinstance(step, ClaudeStep), "each type of step has its own engine"
        prompt = self._prompt(step, context.variables)
        reader = EventReader(context.emit, secrets=self._secrets)
        reader.record({"type": "prompt", "model": step.model, "text": prompt})
        context.emit(f"Claude Code starts with {step.model}", model=step.model, prompt_sha256=_sha256(prompt))
        with self._open_gateway(frozenset({step.model}), context) as gateway:
            try:
                ended = self._run(prompt, step, context, gateway, reader)
            finally:
                context.artifact("transcript", reader.transcript)
        _tell_end(gateway, reader.result, context)
        _raise_unless_done(step, gateway, ended, reader.result, self._secrets)

    def _run(
        self, prompt: str, step: ClaudeStep, context: StepContext, gateway: GatewayHandle, reader: EventReader
    ) -> SandboxResult:
        command = SandboxCommand(
            argv=_arguments(step, context.usd_cap_micro),
            workspace=context.workspace.tree,
            home=context.workspace.home,
            limits=context.limits,
            environment={**_ENVIRONMENT, **dict.fromkeys(_MODEL_VARIABLES, step.model)},
            mounts=(Mount(self._binary, _BINARY), Mount(gateway.socket_dir, _SOCKET_DIR)),
            stdin=prompt.encode(),
            timeout_seconds=context.remaining_seconds(),
            idle_seconds=self._idle_seconds,
        )
        # After a refusal nothing more can be spent: without this, the binary would ask again several times.
        return self._sandbox.run(
            command, on_line=reader.feed, cancelled=lambda: gateway.refusal is not None or context.cancelled()
        )

    def _prompt(self, step: ClaudeStep, variables: Mapping[str, Any]) -> str:
        asked = (
            self._renderer.render(step.claude, variables)
            if step.claude
            else self._renderer.render_text(step.prompt or "", variables)
        )
        parts = [asked.strip()]
        if step.files:
            parts.append("Look at these files first:\n" + "\n".join(f"- {path}" for path in step.files))
        if step.template and step.to:
            parts.append(follow_template(step.to, self._renderer.render(step.template, variables)))
        return "\n\n".join(parts) + "\n"


def follow_template(path: str, template: str) -> str:
    """The part of a prompt that asks for a file after a template; the fence is longer than any in the template."""
    longest = max((len(run) for run in re.findall(r"`+", template)), default=0)
    fence = "`" * max(3, longest + 1)
    return (
        f"Make sure that the file `{path}` exists and follows this template. What the repository needs beyond the template "
        f"stays; what the template only shows as an example takes the repository's own values.\n\n"
        f"{fence}\n{template.rstrip()}\n{fence}"
    )


def _arguments(step: ClaudeStep, cap: int) -> list[str]:
    return [
        _BINARY,
        "-p",
        *("--output-format", "stream-json", "--verbose"),
        *("--model", step.model),
        *("--max-turns", str(step.max_turns)),
        # Only a second belt: it is the binary's own count, and it is passed by up to one request.
        *("--max-budget-usd", decimal_usd(MicroUsd(max(cap, 1)))),
        *("--setting-sources", ""),
        "--strict-mcp-config",
        "--disable-slash-commands",
        "--no-session-persistence",
        *("--add-dir", _WORKSPACE),
        *("--tools", ",".join(step.tools)),
        *("--permission-mode", "bypassPermissions"),
        *("--append-system-prompt", _SYSTEM_NOTE),
    ]


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


def _raise_unless_done(
    step: ClaudeStep, gateway: GatewayHandle, ended: SandboxResult, result: Result | None, secrets: tuple[str, ...]
) -> None:
    if gateway.refusal is not None:
        raise gateway.refusal
    if ended.ended_by is not SandboxEnd.EXIT:
        raise LimitReached(ended.reason or f"Claude Code was ended: {ended.ended_by}")
    if result is None:
        tail = one_line(redact(ended.tail, secrets)[-2000:], 2000)
        raise AgentFailed(f"Claude Code ended with status {ended.exit_status} and no result: {tail or 'it said nothing'}")
    if result.is_error:
        raise _failure(step, gateway, result)


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
        return AgentFailed(f"the API could not be used ({status}){said}", retryable=_may_recover(result.status))
    return AgentFailed(f"Claude Code ended with an error ({result.subtype or 'unnamed'}){said}")


def _may_recover(status: int | None) -> bool:
    return status is None or status == 429 or status >= 500


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
