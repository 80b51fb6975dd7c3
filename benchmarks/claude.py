"""Claude Code on each repository: Whimbrel, and the bare binary in bubblewrap. The scripted model answers at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.arena import Arena, arena
from benchmarks.measuring import Command, Usage, measure
from bot.config import claude_binary
from bot.demo.conversation import Conversation, ToolCall, Turn
from bot.demo.scripted_model import ScriptedModel
from bot.sandbox.arguments import find_bwrap, installed_bwraps

MODEL = "claude-sonnet-4-5"
PROMPT = "Describe this repository in NOTES.md."
WORKERS = (1, 2, 4)
BARE = "claude in bwrap"

Results = dict[tuple[str, int], list[Usage]]
"""By contestant and the number of workers: what each round took."""


def compete(organization: Path, names: Sequence[str], rounds: int) -> Results:
    """Interleaved rounds, each with the numbers of workers in turn; `names` are the repositories, an attempt each."""
    everyone: dict[str, Callable[[Arena, ScriptedModel], Command]] = {"whimbrel": _whimbrel, BARE: _bare}
    results: Results = defaultdict(list)
    for number in range(rounds):
        order = list(everyone) if number % 2 == 0 else list(reversed(everyone))
        for workers in WORKERS:
            for name in order:
                with arena(organization, names, workers) as place, ScriptedModel(_play) as model:
                    results[name, workers].append(measure(everyone[name](place, model)))
                    _check(name, place, model)
    return results


def _play(conversation: Conversation) -> Turn:
    """Look around, read, write, end: four requests."""
    folder = conversation.directory
    calls = [
        ToolCall("Bash", {"command": "ls -R | head -40"}),
        ToolCall("Read", {"file_path": f"{folder}/README.md"}),
        ToolCall("Write", {"file_path": f"{folder}/NOTES.md", "content": "# Notes\n\nA service.\n"}),
    ]
    done = len(conversation.results)
    return Turn("", (calls[done],)) if done < len(calls) else Turn("NOTES.md describes the repository.")


def _whimbrel(place: Arena, model: ScriptedModel) -> Command:
    step = {"prompt": PROMPT, "model": MODEL}
    place.write_policies(
        {"name": "describe", "description": "Notes on each repository", "paths": ["/NOTES.md"], "steps": [step]}
    )
    return place.whimbrel("describe", ANTHROPIC_BASE_URL=model.base_url, ANTHROPIC_API_KEY="sk-ant-api03-of-no-worth")


def _bare(place: Arena, model: ScriptedModel) -> Command:
    variables = {"BWRAP": str(find_bwrap(installed_bwraps()).path), "CLAUDE": str(claude_binary())}
    talk = {"MODEL_URL": model.base_url, "MODEL": MODEL, "PROMPT": PROMPT}
    command = place.script("claude.sh", "", **variables, **talk)
    return Command(command.arguments, command.folder, {**command.environment, "HOST": str(place.host)})


def _check(name: str, place: Arena, model: ScriptedModel) -> None:
    """The same conversation was had everywhere, and Whimbrel has published what came of it."""
    if len(model.bill) != 4 * len(place.names):
        raise RuntimeError(f"{name} sent {len(model.bill)} requests for {len(place.names)} repositories")
    if name == "whimbrel":
        for each in place.names:
            if list(place.changes(each, "whimbrel/describe")) != ["NOTES.md"]:
                raise RuntimeError(f"{name} has not published NOTES.md in {each}")
