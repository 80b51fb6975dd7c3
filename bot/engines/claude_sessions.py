"""A session that goes on: its conversation is carried from one HOME into the next, as data, for the agent could write to it.

What a forged one gains is a prompt of the agent's own making, which it had before. Its count of the cost is left behind.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bot.engines.claude_events import parse
from bot.errors import ChangeRefused
from bot.git import read_file, write_file
from bot.ports import StepContext

CARRIED = frozenset({"user", "assistant", "attachment", "system"})
"""The kinds of lines that make the conversation; the others are the session's own book-keeping."""


@dataclass(frozen=True, slots=True)
class Opened:
    """How a session begins; `id` is empty for one that nobody will go on with."""

    id: str
    resumed: bool = False

    @property
    def arguments(self) -> tuple[str, ...]:
        if not self.id:
            return ("--no-session-persistence",)
        return ("--resume" if self.resumed else "--session-id", self.id)


def open_session(context: StepContext) -> Opened:
    """The earlier session, put into this HOME, where there is a conversation left to go on with; else a new one."""
    if context.session is None:
        return Opened("")
    earlier = context.resume
    lines = list(_conversation(earlier.transcript)) if earlier else []
    if earlier is None or not any(kind == "assistant" for kind, _ in lines):
        return Opened(str(uuid.uuid4()))
    content = b"".join(line for _, line in lines)
    write_file(context.workspace.home, _place(earlier.id), content)
    return Opened(earlier.id, resumed=True)


def read_transcript(home: Path, session_id: str) -> bytes:
    """What the session left of its conversation: nothing where the agent removed it, or put something else in its place."""
    try:
        return read_file(home, _place(session_id)) or b""
    except (ChangeRefused, OSError):
        return b""


def _place(session_id: str) -> str:
    """Where Claude Code looks for a session whose working directory is /workspace."""
    return f".claude/projects/-workspace/{uuid.UUID(session_id)}.jsonl"


def _conversation(transcript: bytes) -> Iterator[tuple[str, bytes]]:
    for line in transcript.splitlines():
        event = parse(line)
        if event is not None and event["type"] in CARRIED:
            yield event["type"], json.dumps(event).encode() + b"\n"
