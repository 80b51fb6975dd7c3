"""Claude Code's command line and environment in the sandbox.

What a session loads is decided here, and all of it was seen with the real binary: `--setting-sources ""` keeps out the
settings, hooks, plugins, skills, subagents, commands of the repository and of HOME, `--strict-mcp-config` their MCP servers;
`--plugin-dir` then loads ours alone. Without skills of ours there are none at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from bot.domain.guidance import Schema
from bot.domain.money import MicroUsd, decimal_usd
from bot.domain.steps import ClaudeStep

BINARY = "/opt/claude"
SOCKET_DIR = "/run/api"
GUIDANCE = "/opt/guidance"
WORKSPACE = "/workspace"

MAX_OUTPUT_TOKENS = 16_000
"""Of one answer, thinking included. The gateway reserves all of it before each request: a higher figure refuses earlier."""

_SYSTEM_NOTE = (
    f"You work unattended: nobody answers questions. You are in a sandbox without any network, so nothing can be installed or "
    f"downloaded. Change files below {WORKSPACE} only; there is no git repository, and committing is done for you. "
    f"End with a summary of what you changed, in a few sentences."
)
_ENVIRONMENT = {
    "ANTHROPIC_UNIX_SOCKET": f"{SOCKET_DIR}/api.sock",
    "ANTHROPIC_BASE_URL": "http://localhost",
    "ANTHROPIC_API_KEY": "placeholder",
    "API_TIMEOUT_MS": "300000",
    "BASH_DEFAULT_TIMEOUT_MS": "120000",
    "BASH_MAX_TIMEOUT_MS": "300000",
    "CLAUDE_CODE_ADDITIONAL_DIRECTORIES_CLAUDE_MD": "1",
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    "CLAUDE_CODE_DISABLE_BUNDLED_SKILLS": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(MAX_OUTPUT_TOKENS),
    "CLAUDE_CODE_MAX_RETRIES": "3",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
    # Some models are offered a placeholder for tools that are to be searched: a step names all of its tools.
    "ENABLE_TOOL_SEARCH": "false",
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


def environment(step: ClaudeStep) -> Mapping[str, str]:
    """Whatever model Claude Code, or the front matter of a subagent, asks for by another name is the step's."""
    return {**_ENVIRONMENT, **dict.fromkeys(_MODEL_VARIABLES, step.model)}


def arguments(step: ClaudeStep, cap: MicroUsd, schema: Schema | None, session: Sequence[str]) -> list[str]:
    """The prompt goes in by stdin; `cap` is in micro-USD, `session` is what `claude_sessions` says of it."""
    return [
        BINARY,
        "-p",
        *("--output-format", "stream-json", "--verbose"),
        *("--model", step.model),
        *("--max-turns", str(step.max_turns)),
        # Only a second belt: it is the binary's own count, and it is passed by up to one request.
        *("--max-budget-usd", decimal_usd(MicroUsd(max(cap, 1)))),
        *("--setting-sources", ""),
        "--strict-mcp-config",
        *session,
        *("--add-dir", WORKSPACE),
        *_guidance(step),
        *("--tools", ",".join(_tools(step))),
        *("--permission-mode", "bypassPermissions"),
        *("--append-system-prompt", _SYSTEM_NOTE),
        *(("--json-schema", json.dumps(schema)) if schema is not None else ()),
    ]


def _guidance(step: ClaudeStep) -> list[str]:
    return [
        *(("--add-dir", GUIDANCE) if step.config else ()),
        *(("--plugin-dir", GUIDANCE) if step.skills or step.subagents else ()),
        *(("--forward-subagent-text",) if step.subagents else ()),
        *(() if step.skills else ("--disable-slash-commands",)),
    ]


def _tools(step: ClaudeStep) -> list[str]:
    """Skills and subagents are tools of their own; what a subagent may use is among the others."""
    return [*step.tools, *(["Skill"] if step.skills else []), *(["Agent"] if step.subagents else [])]
