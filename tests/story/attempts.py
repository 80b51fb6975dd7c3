"""One attempt of a Claude step, with the real Claude Code binary, sandbox and gateway; only ledger and model are fakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bot.config import claude_binary, packaged
from bot.demo.conversation import Conversation, ToolCall, ToolResult, Turn
from bot.demo.scripted_model import ScriptedModel
from bot.domain.money import MicroUsd
from bot.domain.policies import Limits
from bot.domain.steps import ClaudeStep
from bot.engines.claude_code import ClaudeEngine
from bot.gateway.prices import load_prices
from bot.gateway.server import Gateway
from bot.gateway.step_cap import CappedMeter
from bot.gateway.upstream import Upstream
from bot.ports import Session, StepContext, Workspace
from bot.rendering import Renderer
from bot.sandbox.bubblewrap import BubblewrapSandbox
from tests.fakes.meter import FakeMeter
from tests.fakes.upstream import FakeUpstream

KEY = "sk-ant-api03-the-real-key-of-this-test"


@dataclass
class Attempt:
    """One attempt's parts; `apply` runs a Claude step in them."""

    folder: Path
    meter: FakeMeter = field(default_factory=FakeMeter)
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    templates: Path = field(default_factory=lambda: packaged("templates"))
    idle_seconds: float = 60
    feedback: str = ""
    resume: Session | None = None
    sessions: list[Session] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tree, self.home = self.folder / "tree", self.folder / "home"
        self.scratch = self.folder / "attempt" / "scratch"
        for folder in (self.tree, self.home, self.scratch):
            folder.mkdir(parents=True)

    def write(self, **texts: str) -> None:
        for name, text in texts.items():
            self.put(name.replace("__", "."), text)

    def put(self, path: str, text: str) -> None:
        file = self.tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def apply(self, model: ScriptedModel | FakeUpstream, /, **step: Any) -> None:
        engine = ClaudeEngine(
            BubblewrapSandbox(),
            Renderer([self.templates]),
            partial(self.gateway, model),
            claude_binary(),
            idle_seconds=self.idle_seconds,
        )
        engine.apply(ClaudeStep(**(step if "claude" in step else {"prompt": "Begin.", **step})), self.context())

    def gateway(self, model: ScriptedModel | FakeUpstream, models: frozenset[str], context: StepContext) -> Gateway:
        return Gateway(
            socket_path=self.folder / "api" / "api.sock",
            upstream=Upstream(model.url if isinstance(model, FakeUpstream) else model.base_url, KEY),
            models=models,
            meter=CappedMeter(self.meter, MicroUsd(context.usd_cap_micro)),
            prices=load_prices(),
            client=BubblewrapSandbox().user,
        )

    def context(self) -> StepContext:
        return StepContext(
            workspace=Workspace(self.tree, self.home, self.scratch),
            variables={"repo": {"name": "not-acme", "description": ""}},
            limits=Limits(),
            usd_cap_micro=2_000_000,
            remaining_seconds=lambda: 120.0,
            emit=lambda message, **data: self.told.append((message, data)),
            artifact=self.artifacts.__setitem__,
            rendered=lambda path, content: None,
            output=self.outputs.__setitem__,
            cancelled=lambda: False,
            feedback=self.feedback,
            resume=self.resume,
            session=self.sessions.append,
        )

    @property
    def transcript(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.artifacts["transcript"].splitlines()]

    @property
    def messages(self) -> list[str]:
        return [message for message, _ in self.told]


def playing(*calls: ToolCall) -> Callable[[Conversation], Turn]:
    """A model that makes these calls one after the other, then ends."""

    def play(conversation: Conversation) -> Turn:
        done = len(conversation.results)
        return Turn("", (calls[done],)) if done < len(calls) else Turn("Done.")

    return play


def bash(command: str) -> ToolCall:
    return ToolCall("Bash", {"command": command})


def write(path: str, content: str) -> ToolCall:
    return ToolCall("Write", {"file_path": f"/workspace/{path}", "content": content})


def results(model: ScriptedModel) -> tuple[ToolResult, ...]:
    """What the tools gave back, as the model saw it in its last request."""
    return model.bill[-1].conversation.results
