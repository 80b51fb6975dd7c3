"""The engine against a sandbox that plays a recorded stream and a gateway that counts what it is told to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bot.domain.money import ZERO, MicroUsd
from bot.domain.policies import Limits
from bot.domain.steps import ClaudeStep
from bot.domain.usage import Usage
from bot.engines.claude_code import ClaudeEngine
from bot.errors import AgentFailed, LimitReached, PolicyError, QuotaRefused
from bot.ports import GatewayHandle, SandboxCommand, SandboxEnd, SandboxResult, StepContext, Workspace
from bot.rendering import Renderer, follow_template

DONE = {"type": "result", "subtype": "success", "is_error": False, "num_turns": 2, "result": "Moved."}
REFUSAL = QuotaRefused("$1.90 of $2.00 are spent", scope="attempt")


@dataclass
class CountingGateway:
    socket_dir: Path
    refusal: QuotaRefused | None = None
    retry_after: float = 0
    usage: Usage = field(default_factory=lambda: Usage(1000, 200))
    cost: MicroUsd = field(default_factory=lambda: MicroUsd(6000))
    is_open: bool = False


@dataclass
class PlayingSandbox:
    """Plays its lines to whoever listens, until it is cancelled; `on_line` happens before each."""

    lines: list[bytes]
    result: SandboxResult
    before_line: Callable[[], None] = lambda: None
    commands: list[SandboxCommand] = field(default_factory=list)
    played: int = 0
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
        assert on_line is not None
        for line in self.lines:
            self.before_line()
            if cancelled():
                return ended(by=SandboxEnd.CANCELLED, reason="cancelled")
            on_line(line)
            self.played += 1
        return self.result


def ended(status: int = 0, by: SandboxEnd = SandboxEnd.EXIT, tail: str = "", reason: str = "") -> SandboxResult:
    return SandboxResult(status, by, 1000, 1000, tail, reason)


@dataclass
class Scene:
    folder: Path
    events: list[Any] = field(default_factory=lambda: [DONE])
    result: SandboxResult = field(default_factory=ended)
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    models: list[frozenset[str]] = field(default_factory=list)
    caps: list[int] = field(default_factory=list)
    is_cancelled: bool = False
    words: str = ""

    def __post_init__(self) -> None:
        (self.folder / "work").mkdir()
        self.template("prompts/move.md.j2", "Move {{ name }}.\n\n")
        self.template("pyproject.toml.j2", '[project]\nname = "{{ name }}"\n')
        self.gateway = CountingGateway(self.folder / "api")
        self.sandbox = PlayingSandbox([], self.result)

    def template(self, path: str, text: str) -> None:
        file = self.folder / "templates" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def apply(self, **step: Any) -> None:
        self.sandbox.lines = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in self.events]
        self.sandbox.result = self.result
        engine = ClaudeEngine(
            self.sandbox,
            Renderer([self.folder / "templates"]),
            self.open,
            Path("/usr/lib/claude"),
            secrets=("hunter2",),
            idle_seconds=77,
        )
        asked = step if "claude" in step else {"prompt": "Move it.", **step}
        engine.apply(ClaudeStep(**asked), self.context())

    @contextmanager
    def open(self, models: frozenset[str], context: StepContext) -> Iterator[GatewayHandle]:
        self.models.append(models)
        self.caps.append(context.usd_cap_micro)
        self.gateway.is_open = True
        yield self.gateway
        self.gateway.is_open = False

    def context(self) -> StepContext:
        return StepContext(
            workspace=Workspace(self.folder / "tree", self.folder / "home", self.folder / "work" / "scratch"),
            variables={"name": "acme"},
            limits=Limits(memory_mb=1024),
            usd_cap_micro=2_500_000,
            remaining_seconds=lambda: 123.0,
            emit=lambda message, **data: self.told.append((message, data)),
            artifact=self.artifacts.__setitem__,
            rendered=lambda path, content: None,
            output=self.outputs.__setitem__,
            cancelled=lambda: self.is_cancelled,
            words=self.words,
        )

    @property
    def command(self) -> SandboxCommand:
        (command,) = self.sandbox.commands
        return command


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_the_prompt_is_the_template_the_files_and_the_file_to_make(scene: Scene) -> None:
    scene.apply(
        claude="prompts/move.md.j2",
        files=["setup.py", "docs/a.md"],
        template="pyproject.toml.j2",
        to="pyproject.toml",
    )
    prompt = scene.command.stdin.decode()
    assert prompt.startswith("Move acme.\n\nLook at these files first:\n- setup.py\n- docs/a.md\n\n")
    assert "\n\nMake sure that the file `pyproject.toml` exists" in prompt
    assert '```\n[project]\nname = "acme"\n```\n' in prompt


def test_what_a_person_said_comes_last_and_is_no_template(scene: Scene) -> None:
    scene.words = "keep ``` and {{ name }}"
    scene.apply(prompt="Look at {{ name }}, please.")
    prompt = scene.command.stdin.decode()
    assert prompt.startswith(
        "Look at acme, please.\n\nAn earlier attempt at this was reviewed. A person who may direct this work asks"
    )
    assert prompt.endswith("\n\n````\nkeep ``` and {{ name }}\n````\n")


def test_an_inline_prompt_sees_the_variables_too(scene: Scene) -> None:
    scene.apply(prompt="Look at {{ name }}, please.")
    assert scene.command.stdin == b"Look at acme, please.\n"


def test_the_fence_is_longer_than_any_in_the_template() -> None:
    text = follow_template("README.md", "Run:\n````sh\nmake\n````\n")
    assert "\n`````\nRun:\n````sh\nmake\n````\n`````" in text


def test_the_command_has_the_flags_that_keep_the_repository_out(scene: Scene) -> None:
    scene.apply(model="claude-opus-4-5", max_turns=7, tools=["Read", "Edit"])
    argv = list(scene.command.argv)
    pairs = dict(pairwise(argv))
    assert argv[:2] == ["/opt/claude", "-p"]
    assert pairs["--setting-sources"] == ""
    assert {"--strict-mcp-config", "--disable-slash-commands"} <= set(argv)
    assert pairs["--tools"] == "Read,Edit"
    assert pairs["--max-turns"] == "7"
    assert pairs["--max-budget-usd"] == "2.500000"
    assert pairs["--permission-mode"] == "bypassPermissions"
    assert "Move it." not in " ".join(argv)


def guided(scene: Scene) -> None:
    scene.template("CLAUDE.md", "Be {{ brief }}.\n")
    scene.template("skills/packaging/SKILL.md", "---\nname: packaging\n---\n${{ x }}\n")
    scene.template("skills/packaging/scripts/check.py", "#!/usr/bin/env python3\n")
    scene.template("agents/reviewer.md", "---\nname: reviewer\ndescription: Reviews.\n---\nReview.\n")


def test_guidance_skills_and_subagents_are_a_read_only_folder_of_ours_for_as_long_as_the_session(scene: Scene) -> None:
    guided(scene)
    seen: dict[str, tuple[str, str]] = {}

    def look() -> None:
        (folder,) = [mount.source for mount in scene.command.mounts if mount.target == "/opt/guidance"]
        for file in folder.rglob("*"):
            if file.is_file():
                seen[file.relative_to(folder).as_posix()] = (file.read_text(), oct(file.stat().st_mode & 0o777))

    scene.sandbox.before_line = look
    scene.apply(config="CLAUDE.md", skills="skills/", subagents="agents", tools=["Read"])
    assert seen == {
        ".claude-plugin/plugin.json": ('{"name": "whimbrel"}', "0o644"),
        "CLAUDE.md": ("Be {{ brief }}.\n", "0o644"),
        "skills/packaging/SKILL.md": ("---\nname: packaging\n---\n${{ x }}\n", "0o644"),
        "skills/packaging/scripts/check.py": ("#!/usr/bin/env python3\n", "0o755"),
        "agents/reviewer.md": ("---\nname: reviewer\ndescription: Reviews.\n---\nReview.\n", "0o644"),
    }
    assert not [mount for mount in scene.command.mounts if mount.writable]
    assert list((scene.folder / "work").iterdir()) == []
    argv = list(scene.command.argv)
    pairs = list(pairwise(argv))
    assert {("--plugin-dir", "/opt/guidance"), ("--add-dir", "/opt/guidance"), ("--add-dir", "/workspace")} <= set(pairs)
    assert ("--tools", "Read,Skill,Agent") in pairs
    assert ("--setting-sources", "") in pairs
    assert "--disable-slash-commands" not in argv


@pytest.mark.parametrize(
    ("given", "flags", "tools"),
    [
        ({"config": "CLAUDE.md"}, {"--disable-slash-commands"}, "Read"),
        ({"subagents": "agents"}, {"--disable-slash-commands", "--plugin-dir", "--forward-subagent-text"}, "Read,Agent"),
        ({"skills": "skills"}, {"--plugin-dir"}, "Read,Skill"),
        ({}, {"--disable-slash-commands"}, "Read"),
    ],
)
def test_a_session_gets_no_more_than_it_was_given(scene: Scene, given: dict[str, str], flags: set[str], tools: str) -> None:
    guided(scene)
    scene.apply(**given, tools=["Read"])
    argv = list(scene.command.argv)
    assert {"--disable-slash-commands", "--plugin-dir", "--forward-subagent-text"} & set(argv) == flags
    assert argv[argv.index("--tools") + 1] == tools
    assert ("/opt/guidance" in argv) is bool({"config", "subagents", "skills"} & given.keys())


def test_guidance_that_is_missing_is_told_before_anything_is_begun(scene: Scene) -> None:
    with pytest.raises(PolicyError, match="there is no template skils"):
        scene.apply(skills="skils")
    assert scene.models == []


def test_a_step_is_held_to_its_own_time_and_money(scene: Scene) -> None:
    scene.apply(timeout_minutes=0.5, max_usd="0.25")
    assert scene.command.timeout_seconds == 30
    assert dict(pairwise(scene.command.argv))["--max-budget-usd"] == "0.250000"
    assert scene.caps == [250_000]


def test_a_step_cannot_widen_the_attempts_time_and_money(scene: Scene) -> None:
    scene.apply(timeout_minutes=60, max_usd=100)
    assert scene.command.timeout_seconds == 123
    assert scene.caps == [2_500_000]


SCHEMA = {"type": "object", "properties": {"grade": {"type": "integer"}}, "required": ["grade"]}


def test_a_structured_result_is_kept_and_told_by_its_name(scene: Scene) -> None:
    scene.events = [{**DONE, "result": '{"grade":3}', "structured_output": {"grade": 3}}]
    scene.apply(output_schema=SCHEMA, name="review")
    assert json.loads(dict(pairwise(scene.command.argv))["--json-schema"]) == SCHEMA
    assert json.loads(scene.artifacts["output"]) == {"grade": 3}
    assert scene.outputs == {"review": {"grade": 3}}
    assert "answer" not in scene.artifacts


def test_a_schema_may_be_a_file_of_the_templates(scene: Scene) -> None:
    scene.template("schemas/review.json", json.dumps(SCHEMA))
    scene.events = [{**DONE, "structured_output": {"grade": 3}}]
    scene.apply(output_schema="schemas/review.json")
    assert json.loads(dict(pairwise(scene.command.argv))["--json-schema"]) == SCHEMA
    assert scene.outputs == {}


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (None, "ended without the result that `output_schema` asks for; it said: Moved."),
        ({"grade": "poor"}, "the result does not fit `output_schema`: $.grade: 'poor' is not of type 'integer'"),
        ({}, "the result does not fit `output_schema`: $: 'grade' is a required property"),
    ],
)
def test_a_session_without_a_result_that_fits_has_failed(scene: Scene, output: object, words: str) -> None:
    scene.events = [{**DONE, "structured_output": output}]
    with pytest.raises(AgentFailed) as caught:
        scene.apply(output_schema=SCHEMA, name="review")
    assert words in str(caught.value)
    assert not caught.value.retryable
    assert scene.outputs == {}
    assert "output" not in scene.artifacts


def test_without_a_schema_the_last_words_are_kept_as_they_are(scene: Scene) -> None:
    scene.events = [{**DONE, "result": "# Report\n\nhunter2 is weak.\n"}]
    scene.apply()
    assert scene.artifacts["answer"] == b"# Report\n\n[redacted] is weak.\n"


def test_every_model_that_claude_code_knows_is_the_steps(scene: Scene) -> None:
    scene.apply(model="claude-opus-4-5")
    environment = scene.command.environment
    models = {name: value for name, value in environment.items() if name.endswith("_MODEL")}
    assert len(models) == 7
    assert set(models.values()) == {"claude-opus-4-5"}
    assert scene.models == [frozenset({"claude-opus-4-5"})]


def test_the_sandbox_gets_the_socket_the_binary_and_no_key(scene: Scene) -> None:
    scene.apply()
    command = scene.command
    assert [(str(mount.source), mount.target, mount.writable) for mount in command.mounts] == [
        ("/usr/lib/claude", "/opt/claude", False),
        (str(scene.folder / "api"), "/run/api", False),
    ]
    assert command.environment["ANTHROPIC_UNIX_SOCKET"] == "/run/api/api.sock"
    assert command.environment["ANTHROPIC_API_KEY"] == "placeholder"
    assert (command.timeout_seconds, command.idle_seconds) == (123.0, 77)
    assert (command.workspace, command.home) == (scene.folder / "tree", scene.folder / "home")
    assert command.limits.memory_mb == 1024


def test_it_tells_its_start_its_steps_and_its_end(scene: Scene) -> None:
    read = {"type": "assistant", "message": {"content": [{"type": "tool_use", "name": "Read", "input": {"file_path": "a"}}]}}
    denied = {"tool_name": "Write", "tool_input": {"file_path": "/workspace/.npmrc"}}
    scene.events = [read, {**DONE, "permission_denials": [denied]}]
    scene.apply()
    (start, started), (step, _), (end, data) = scene.told
    assert start == "Claude Code starts with claude-sonnet-5-5"
    assert len(started["prompt_sha256"]) == 64
    assert step == "Read a"
    assert end == "Claude Code ended after 2 turns: 1,200 tokens, $0.006"
    assert data == {
        "turns": 2, "tokens": 1200, "cost_micro": 6000, "permission_denials": ["Write .npmrc"], "summary": "Moved.",
    }  # fmt: skip


def test_the_transcript_has_the_prompt_and_the_events_without_secrets(scene: Scene) -> None:
    scene.events = [{"type": "user", "message": {"content": "hunter2"}}, DONE]
    scene.apply()
    kept = [json.loads(line) for line in scene.artifacts["transcript"].splitlines()]
    assert [event["type"] for event in kept] == ["prompt", "user", "result"]
    assert kept[0]["text"] == "Move it.\n"
    assert b"hunter2" not in scene.artifacts["transcript"]


def test_the_transcript_is_kept_when_the_agent_failed(scene: Scene) -> None:
    scene.events = [b"half a li"]
    with pytest.raises(AgentFailed):
        scene.apply()
    assert b"half a li" in scene.artifacts["transcript"]
    assert not scene.gateway.is_open


def failure(scene: Scene) -> AgentFailed:
    with pytest.raises(AgentFailed) as caught:
        scene.apply()
    return caught.value


def test_an_exit_status_of_0_is_no_success_without_a_result(scene: Scene) -> None:
    scene.events = []
    assert str(failure(scene)) == "Claude Code ended with status 0 and no result: it said nothing"


def test_without_a_result_the_end_of_what_it_said_is_told(scene: Scene) -> None:
    scene.events = []
    scene.result = ended(134, tail="Aborted\n\x1b[31mcore sk-ant-abc dumped")
    assert str(failure(scene)) == "Claude Code ended with status 134 and no result: Aborted core [redacted] dumped"


def test_a_result_without_an_error_is_success_whatever_the_exit_status(scene: Scene) -> None:
    scene.result = ended(1)
    scene.apply()
    assert scene.sandbox.played == 1


def test_a_subtype_of_success_is_no_success(scene: Scene) -> None:
    scene.events = [{**DONE, "is_error": True, "result": "odd"}]
    assert "ended with an error (success): odd" in str(failure(scene))


@pytest.mark.parametrize(
    ("status", "retryable", "words"),
    [
        (429, True, "status 429"),
        (500, True, "status 500"),
        (529, True, "status 529"),
        (None, True, "no answer"),
        (400, False, "status 400"),
        (401, False, "status 401"),
        (403, False, "status 403"),
        (404, False, "status 404"),
    ],
)
def test_an_error_of_the_api_is_worth_a_retry_where_it_may_pass(
    scene: Scene, status: int | None, retryable: bool, words: str
) -> None:
    error = {"is_error": True, "terminal_reason": "api_error", "api_error_status": status, "result": "API Error"}
    scene.events = [{**DONE, **error}]
    failed = failure(scene)
    assert failed.retryable is retryable
    assert words in str(failed)
    assert str(failed).endswith(": API Error")


def test_running_out_of_turns_says_how_many_and_what_to_do(scene: Scene) -> None:
    scene.events = [{"type": "result", "subtype": "error_max_turns", "is_error": True}]
    with pytest.raises(AgentFailed, match="all of its 7 turns") as caught:
        scene.apply(max_turns=7)
    assert "max_turns" in caught.value.explanation
    assert not caught.value.retryable


def test_the_binarys_own_budget_is_a_cap_like_any_other(scene: Scene) -> None:
    scene.events = [{"type": "result", "subtype": "error_max_budget_usd", "is_error": True}]
    with pytest.raises(QuotaRefused, match="own count") as caught:
        scene.apply()
    assert caught.value.scope == "attempt"


def test_a_refused_request_ends_it_at_once_and_is_the_reason(scene: Scene) -> None:
    scene.events = [{"type": "system"}, {"type": "system"}, DONE]

    def refuse_after_one() -> None:
        scene.gateway.refusal = REFUSAL if scene.sandbox.played else None

    scene.sandbox.before_line = refuse_after_one
    with pytest.raises(QuotaRefused) as caught:
        scene.apply()
    assert caught.value is REFUSAL
    assert scene.sandbox.played == 1


def test_a_refusal_is_the_reason_even_when_the_agent_says_that_it_is_done(scene: Scene) -> None:
    scene.gateway.cost = ZERO
    scene.events = []
    scene.gateway.refusal = REFUSAL
    with pytest.raises(QuotaRefused):
        scene.apply()


def test_a_cancelled_attempt_is_ended(scene: Scene) -> None:
    scene.is_cancelled = True
    with pytest.raises(LimitReached, match="cancelled"):
        scene.apply()
    assert scene.sandbox.played == 0


@pytest.mark.parametrize("end", [SandboxEnd.TIMEOUT, SandboxEnd.IDLE, SandboxEnd.MEMORY, SandboxEnd.DISK])
def test_a_limit_of_the_sandbox_is_told_with_its_figure(scene: Scene, end: SandboxEnd) -> None:
    scene.result = ended(137, end, reason=f"{end}: 123 s")
    with pytest.raises(LimitReached, match=f"{end}: 123 s"):
        scene.apply()
