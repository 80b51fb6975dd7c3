"""The play against a client that carries out its calls on a real folder, as Claude Code does."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from bot.demo.conversation import Conversation, ToolCall, Turn
from bot.demo.migration import migrate

PROMPT = """Move the packaging metadata from setup.py and setup.cfg to pyproject.toml, then delete both.

Make sure that the file `pyproject.toml` exists and follows this template.

```
[build-system]
requires = ["setuptools>=80"]
build-backend = "setuptools.build_meta"
```
"""


class Client:
    """Answers in the words of Claude Code's tools, as far as the play reads them."""

    def __init__(self, directory: Path, prompt: str = PROMPT):
        self._directory = directory
        reminder = f"<system-reminder>\n - Primary working directory: {directory}\n</system-reminder>"
        content = [{"type": "text", "text": text} for text in (reminder, prompt)]
        self._messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        self.calls: list[ToolCall] = []

    def run(self, *, most_turns: int = 10) -> str:
        for _ in range(most_turns):
            turn = migrate(Conversation.of(self._body()))
            if not turn.calls:
                return turn.text
            self._answer(turn)
        raise AssertionError("the play does not come to an end")

    def _body(self) -> dict[str, Any]:
        tools = [{"name": name} for name in ("Bash", "Edit", "Grep", "Read", "Write")]
        return {"model": "m", "max_tokens": 1, "system": "s", "tools": tools, "messages": self._messages}

    def _answer(self, turn: Turn) -> None:
        uses, results = [], []
        for call in turn.calls:
            identity = f"toolu_{len(self.calls)}"
            self.calls.append(call)
            text, is_error = self._carry_out(call)
            text += "\n\n<system-reminder>\n<total_tokens>100 tokens left</total_tokens>\n</system-reminder>"
            uses.append({"type": "tool_use", "id": identity, "name": call.name, "input": dict(call.input)})
            results.append({"type": "tool_result", "tool_use_id": identity, "content": text, "is_error": is_error})
        self._messages += [{"role": "assistant", "content": uses}, {"role": "user", "content": results}]

    def _carry_out(self, call: ToolCall) -> tuple[str, bool]:
        arguments = call.input
        match call.name:
            case "Bash":
                done = subprocess.run(
                    ["bash", "-c", arguments["command"]], cwd=self._directory, capture_output=True, text=True, check=False
                )
                return done.stdout + done.stderr, done.returncode != 0
            case "Grep":
                paths = sorted(path for path in self._directory.rglob("*") if path.is_file())
                found = [path for path in paths if re.search(arguments["pattern"], path.read_text())]
                return "\n".join(
                    [f"Found {len(found)} files", *(str(path.relative_to(self._directory)) for path in found)]
                ), False
            case "Read":
                lines = Path(arguments["file_path"]).read_text().split("\n")
                return "\n".join(f"{number}\t{line}" for number, line in enumerate(lines, 1)), False
            case "Write":
                Path(arguments["file_path"]).write_text(arguments["content"])
                return "File created successfully", False
            case "Edit":
                path = Path(arguments["file_path"])
                path.write_text(path.read_text().replace(arguments["old_string"], arguments["new_string"]))
                return "updated", False
        raise AssertionError(call.name)


def files(directory: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (directory / name.replace("__", ".")).write_text(text)
    return directory


def test_the_metadata_moves_and_the_old_files_go(tmp_path: Path) -> None:
    files(
        tmp_path,
        setup__py='from setuptools import setup\n\nsetup(name="acme", version="1.2", install_requires=["click"])\n',
        setup__cfg="[flake8]\nmax-line-length = 99\n",
        README__md="Run `python setup.py install`, or `python3 setup.py develop`.\n",
    )
    summary = Client(tmp_path).run()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".flake8", "README.md", "pyproject.toml"]
    document = tomllib.loads((tmp_path / "pyproject.toml").read_text())
    assert document["project"] == {"name": "acme", "version": "1.2", "dependencies": ["click"]}
    assert document["build-system"]["requires"] == ["setuptools>=80"]
    assert (tmp_path / "README.md").read_text() == "Run `pip install .`, or `pip install -e .`.\n"
    assert "acme" in summary
    assert "README.md" in summary
    assert ".flake8" in summary


def test_what_it_reads_decides_what_it_writes(tmp_path: Path) -> None:
    names = ("one", "two")
    for name in names:
        (tmp_path / name).mkdir()
        files(tmp_path / name, setup__py=f'from setuptools import setup\nsetup(name="{name}", version="{len(name)}")\n')
        Client(tmp_path / name).run()
    texts = [tomllib.loads((tmp_path / name / "pyproject.toml").read_text())["project"]["name"] for name in names]
    assert texts == ["one", "two"]


def test_it_reads_a_file_once_and_only_files_that_are_there(tmp_path: Path) -> None:
    files(tmp_path, setup__py='from setuptools import setup\nsetup(name="a")\n')
    client = Client(tmp_path)
    client.run()
    read = [call.input["file_path"] for call in client.calls if call.name == "Read"]
    assert read == [f"{tmp_path}/setup.py"]


def test_without_setup_py_it_changes_nothing(tmp_path: Path) -> None:
    files(tmp_path, README__md="hello\n")
    assert "nothing to move" in Client(tmp_path).run()
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_what_it_cannot_read_it_says_and_leaves(tmp_path: Path) -> None:
    files(tmp_path, setup__py="print('no call here')\n")
    assert "changed nothing" in Client(tmp_path).run()
    assert [path.name for path in tmp_path.iterdir()] == ["setup.py"]


def test_it_says_so_when_the_task_is_another_one(tmp_path: Path) -> None:
    assert "all that I know" in Client(tmp_path, "Translate this to French.").run()


def test_a_call_without_tools_gets_a_title() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": f"Write a title for: {PROMPT}"}]}
    turn = migrate(Conversation.of(body))
    assert turn.text
    assert not turn.calls
