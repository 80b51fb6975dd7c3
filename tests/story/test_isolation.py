"""What a `run:` step, a check and Claude's Bash can reach, asked from inside, through the real CLI: nothing but their own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from bot.demo.conversation import Conversation, ToolCall, Turn
from bot.demo.scripted_model import Play, ScriptedModel
from bot.domain.verdicts import leaves_of
from tests.story.conftest import KEY, Project

AUDIT_KEY = "the-operators-own-audit-key-0123456789"
NOTHING: dict[str, list[str]] = {"connected": [], "resolved": [], "seen": [], "sockets": [], "told": []}
SECRETS = [f"{secret[:9]}+{secret[9:]}" for secret in (KEY, AUDIT_KEY)]
SCRIPTS = Path(__file__).parent


LOOK = "python3 probe.py $(cat arguments)"
WHERE_TO_LOOK = "/etc,/home,/root,/run,/tmp,/var,/workspace"


@dataclass(frozen=True)
class Probed:
    """The attempt as `preview --json` tells it; `arguments` are the probe's, but for where to look."""

    project: Project
    model: ScriptedModel
    arguments: tuple[str, str, str]
    shown: dict[str, Any]

    def bash(self, command: str) -> str:
        """What Claude's Bash gave back for a command, out of the transcript."""
        events = [json.loads(line) for line in "".join(self.shown["artifacts"]["transcript"]).splitlines()]
        blocks = [block for event in events for block in blocks_of(event)]
        (call,) = [block["id"] for block in blocks if block.get("input", {}).get("command") == command]
        (result,) = [block["content"] for block in blocks if block.get("tool_use_id") == call]
        return result if isinstance(result, str) else "".join(part["text"] for part in result)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A port of the host, open on all its addresses."""
    with socket.create_server(("", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture(scope="module")
def probed(new_project: Callable[[], Project], serve: Callable[[Play], ScriptedModel], port: int) -> Probed:
    project, model = new_project(), serve(playing(LOOK, "python3 ask.py"))
    neighbour_of(project).mkdir(parents=True)
    project.use(model)
    project.environment["WHIMBREL_AUDIT_KEY"] = AUDIT_KEY
    steps = [{"run": f"{LOOK} > found.json"}, {"prompt": "Look around."}]
    project.write_campaign("probe", steps=steps, checks=[{"run": f"{LOOK}; exit 1", "required": True}])
    arguments = (str(port), ",".join(addresses()), ",".join(map(str, private(project))))
    scripts = {name: (SCRIPTS / name).read_bytes() for name in ("probe.py", "ask.py")}
    project.repository("any", scripts | {"arguments": " ".join([*arguments, WHERE_TO_LOOK, *SECRETS]).encode()})
    shown = project.whimbrel("preview", "probe", "--org", "acme", "--repo", "any", "--json").json
    return Probed(project, model, arguments, shown)


def playing(*commands: str) -> Play:
    """A model that has these commands executed, one after the other."""

    def play(conversation: Conversation) -> Turn:
        done = len(conversation.results)
        if done == len(commands) or not conversation.tools:
            return Turn("Done.")
        return Turn("", (ToolCall("Bash", {"command": commands[done]}),))

    return play


def addresses() -> list[str]:
    """The host's own IPv4 addresses, the loopback one first."""
    known = [address for each in psutil.net_if_addrs().values() for address in each]
    return sorted({address.address for address in known if address.family == socket.AF_INET})


def neighbour_of(project: Project) -> Path:
    """The checkout of another attempt."""
    return project.home / "attempts" / "c0ffee1234-1.1" / "tree"


def private(project: Project) -> list[Path]:
    return [neighbour_of(project), project.folder, project.home / "whimbrel.db", Path("/root"), Path("/etc/shadow")]


def blocks_of(event: dict[str, Any]) -> list[dict[str, Any]]:
    message = event.get("message")
    content = message["content"] if isinstance(message, dict) else []
    return [block for block in content if isinstance(block, dict)]


def test_on_the_host_the_probe_finds_it(probed: Probed) -> None:
    """Else its silence elsewhere would mean nothing. (Names are resolved only where there is a network.)"""
    command: list[str | Path] = [sys.executable, SCRIPTS / "probe.py", *probed.arguments, str(probed.project.folder), *SECRETS]
    environment = probed.project.environment
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["connected"] == addresses()
    assert {str(path) for path in private(probed.project)[:3]} <= set(found["seen"])
    assert [place for place in found["told"] if place.endswith("/environ")]


def test_a_step_reaches_nothing(probed: Probed) -> None:
    (diff,) = probed.shown["artifacts"]["diff"]
    (added,) = [line[1:] for line in diff.splitlines() if line.startswith("+{")]
    assert json.loads(added) == NOTHING


def test_a_check_reaches_nothing(probed: Probed) -> None:
    (attempt,) = probed.shown["attempts"]
    (check,) = leaves_of(attempt["verdict"], "checks")
    status, _, said = check["reason"].partition(": ")
    assert status == "exit 1"
    assert json.loads(said) == NOTHING


def test_the_agents_bash_reaches_nothing_but_the_gateways_socket(probed: Probed) -> None:
    found = json.loads(probed.bash(LOOK))
    of_claude_itself = [path for path in found["sockets"] if path.startswith("/tmp/cc-socks/")]
    assert found == NOTHING | {"sockets": ["/run/api/api.sock", *of_claude_itself]}


def test_through_the_socket_only_the_policys_model_answers(probed: Probed) -> None:
    statuses = json.loads(probed.bash("python3 ask.py"))
    assert statuses.pop("allowed") == 200
    assert {what: status for what, status in statuses.items() if not 400 <= status < 500} == {}
    assert {billed.model for billed in probed.model.bill} == {"claude-sonnet-5-5"}
    asked_directly = [billed for billed in probed.model.bill if billed.conversation.prompt == "hi"]
    assert len(asked_directly) == 1


def test_no_secret_is_in_what_is_told_of_the_attempt(probed: Probed) -> None:
    told = json.dumps(probed.shown)
    assert KEY not in told
    assert AUDIT_KEY not in told
