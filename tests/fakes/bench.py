"""An open gateway on its real socket, with everything around it, for tests of what passes through."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import claude_agent_sdk
import httpx

from bot.domain.prices import cost
from bot.domain.usage import Usage
from bot.gateway.prices import load_prices
from bot.gateway.server import Gateway
from tests.fakes.meter import FakeMeter
from tests.fakes.upstream import FakeUpstream

KEY = "sk-ant-the-real-one"
MODEL = "claude-sonnet-4-5"
PRICES = load_prices()
PRICE = PRICES.models[MODEL]
HELLO: dict[str, Any] = {"model": MODEL, "max_tokens": 1000, "messages": [{"role": "user", "content": "hello"}]}
STREAM = {**HELLO, "stream": True}
COST = cost(Usage(100, 20), PRICE)
CLAUDE = Path(claude_agent_sdk.__file__).parent / "_bundled" / "claude"


@dataclass
class Bench:
    """An open gateway with everything around it."""

    gateway: Gateway
    upstream: FakeUpstream
    meter: FakeMeter
    client: httpx.Client
    told: list[dict[str, Any]]

    def post(self, body: object = HELLO, path: str = "/v1/messages", **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post(path, content=content, headers=headers)

    @property
    def events(self) -> list[str]:
        return [told["event"] for told in self.told]

    def refused(self, body: object = HELLO, path: str = "/v1/messages") -> tuple[int, str, str]:
        """Status, type and message of an error answer to something that was neither forwarded nor reserved."""
        before = len(self.upstream.requests)
        answer = self.post(body, path)
        assert len(self.upstream.requests) == before
        assert self.meter.open == {}
        return answer.status_code, answer.json()["error"]["type"], answer.json()["error"]["message"]


Open = Callable[..., Bench]


def claude(bench: Bench, folder: Path, prompt: str) -> dict[str, Any]:
    """One headless run on an empty folder; its result event."""
    home, workspace = folder.parent / "home", folder.parent / "work"
    home.mkdir()
    workspace.mkdir()
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "ANTHROPIC_UNIX_SOCKET": str(bench.gateway.socket_dir / "api.sock"),
        "ANTHROPIC_BASE_URL": "http://localhost",
        "ANTHROPIC_API_KEY": "placeholder",
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
        "IS_SANDBOX": "1",
    }
    argv = [str(CLAUDE), "--print", prompt, "--output-format", "stream-json", "--verbose", "--setting-sources", ""]
    argv += ["--strict-mcp-config", "--tools", "Bash,Read", "--permission-mode", "bypassPermissions", "--model", MODEL]
    run = subprocess.run(
        argv, cwd=workspace, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False
    )
    results = [event for event in map(json.loads, run.stdout.splitlines()) if event["type"] == "result"]
    assert len(results) == 1, run.stderr
    return dict(results[0])
