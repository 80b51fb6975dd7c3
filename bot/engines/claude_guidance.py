"""The folder with a session's guidance, skills and subagents: made of our templates alone, and read-only in the sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bot.domain.steps import ClaudeStep
from bot.engines.claude_arguments import GUIDANCE
from bot.ports import Mount
from bot.rendering import Renderer

PLUGIN = "whimbrel"
"""Claude Code knows the skill `x` as `whimbrel:x`."""


@contextmanager
def guidance(step: ClaudeStep, templates: Renderer, below: Path) -> Iterator[tuple[Mount, ...]]:
    """What a step's session is to see; nothing is left of it `below` afterwards. Raises PolicyError for what is missing."""
    files = _files(step, templates)
    if not files:
        yield ()
        return
    with TemporaryDirectory(dir=below, prefix="guidance-") as folder:
        _write(Path(folder), files)
        yield (Mount(Path(folder), GUIDANCE),)


def _files(step: ClaudeStep, templates: Renderer) -> dict[str, str]:
    files: dict[str, str] = {}
    if step.config:
        files["CLAUDE.md"] = templates.source(step.config)
    if step.skills:
        files |= {f"skills/{path}": text for path, text in templates.below(step.skills).items()}
    if step.subagents:
        files |= {f"agents/{path}": text for path, text in templates.below(step.subagents).items()}
    if step.skills or step.subagents:
        files[".claude-plugin/plugin.json"] = json.dumps({"name": PLUGIN})
    return files


def _write(folder: Path, files: dict[str, str]) -> None:
    """Readable to all, whoever the sandbox runs as. Templates have no modes: what begins with `#!` is a program."""
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755 if text.startswith("#!") else 0o644)
    for place in (folder, *folder.rglob("*/")):
        place.chmod(0o755)
