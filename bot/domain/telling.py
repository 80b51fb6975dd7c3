"""Of what a command wrote, the lines that tell what failed."""

from __future__ import annotations

import re

MAX_LINES = 40
MAX_CHARACTERS = 2_000

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])|[\x00-\x08\x0b-\x1f\x7f]")
_TELLING = re.compile(
    r"error|fail|exception|traceback|panic|assert|expected|undefined|cannot|not found|denied|killed|^E\s|:\d+:", re.IGNORECASE
)


def telling_lines(output: str) -> str:
    """At most 40 lines and 2,000 characters, the later ones rather than the earlier; no control characters."""
    lines = [line.rstrip() for line in _ESCAPES.sub("", output).splitlines() if line.strip()]
    if len(lines) > MAX_LINES:
        near = {at + step for at, line in enumerate(lines) if _TELLING.search(line) for step in (-1, 0, 1, 2)}
        lines = [line for at, line in enumerate(lines) if at in near] or lines
    return "\n".join(lines[-MAX_LINES:])[-MAX_CHARACTERS:]
