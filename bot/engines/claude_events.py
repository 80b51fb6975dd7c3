"""Claude Code's `--output-format stream-json`: one JSON event a line, read as untrusted input.

The agent can write to this stream too (/proc/PID/fd/1), so a line may be torn, huge, no JSON, or a forged result.
Nothing here raises on content, counts money or widens a permission; a forged success gains only that the change is judged.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bot.domain.redaction import one_line, redact, redact_data
from bot.ports import Emit

MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_TRANSCRIPT_BYTES = 32 * 1024 * 1024
MAX_DENIALS = 50
MAX_RESULT_CHARACTERS = 4000
MAX_ANSWER_CHARACTERS = 500_000

Event = Mapping[str, Any]

_SUBJECT_OF = {
    "Bash": "command",
    "Edit": "file_path",
    "Read": "file_path",
    "Write": "file_path",
    "Glob": "pattern",
    "Grep": "pattern",
    "Skill": "skill",
    "Agent": "subagent_type",
}


@dataclass(frozen=True, slots=True)
class Result:
    """The last event of a session. `status` is the API's HTTP status where the API ended it; `denials` are short lines.

    `answer` is the last thing it said, whole, and `text` the same on one short line. `output` is the structured result, None
    where it gave none.
    """

    is_error: bool
    subtype: str
    terminal_reason: str
    status: int | None
    text: str
    turns: int
    denials: tuple[str, ...]
    answer: str
    output: Any

    @property
    def was_api_error(self) -> bool:
        return self.terminal_reason == "api_error" or self.status is not None


class EventReader:
    """Takes the stream's lines one by one; tells progress, keeps the transcript and the last result."""

    def __init__(self, emit: Emit, *, secrets: Iterable[str] = ()):
        self._emit = emit
        self._secrets = tuple(secrets)
        self._transcript: list[bytes] = []
        self._room = MAX_TRANSCRIPT_BYTES
        self.result: Result | None = None

    @property
    def transcript(self) -> bytes:
        """JSON lines with secrets redacted, at most 32 MiB: what comes after that is left out, and the last line says so."""
        return b"".join(self._transcript)

    def record(self, event: Event) -> None:
        """Add an event to the transcript."""
        if self._room <= 0:
            return
        # `tool_use_result` says again what the message says, with whole files in it.
        kept = {key: value for key, value in event.items() if key != "tool_use_result"}
        line = json.dumps(redact_data(kept, self._secrets), ensure_ascii=False).encode(errors="replace") + b"\n"
        self._room -= len(line)
        self._transcript.append(line if self._room > 0 else b'{"type":"truncated"}\n')

    def feed(self, line: bytes) -> None:
        """Read one line of the stream. Never raises because of what is in it."""
        event = parse(line)
        if event is None:
            return
        self.record(event)
        for message, data in progress(event):
            self._emit(one_line(redact(message, self._secrets)), **data)
        if event["type"] == "result":
            self.result = _result(event, self._secrets)


def parse(line: bytes) -> Event | None:
    """The event of a line; None for an empty line. What is none becomes one of type `unparsed`, cut to 2,000 bytes."""
    if not line.strip():
        return None
    if len(line) > MAX_LINE_BYTES:
        return {"type": "unparsed", "reason": f"a line of {len(line):,} bytes"}
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        return {"type": "unparsed", "reason": "not a JSON event", "text": line[:2000].decode(errors="replace")}
    return event


def progress(event: Event) -> Iterator[tuple[str, dict[str, Any]]]:
    """What an event tells a person who waits: a message and its data, none for most events."""
    match event:
        case {"type": "assistant", "message": {"content": [*blocks]}}:
            yield from (told for block in blocks for told in _tell_block(block))
        case {"type": "system", "subtype": "api_retry"}:
            attempt, status = event.get("attempt"), event.get("error_status")
            yield f"The API is asked again (attempt {attempt}, status {status})", {"kind": "retry"}


def _tell_block(block: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    match block:
        case {"type": "tool_use", "name": str(name)}:
            arguments = block.get("input")
            subject = arguments.get(_SUBJECT_OF.get(name, "")) if isinstance(arguments, dict) else None
            yield _tool_line(name, subject), {"kind": "tool", "tool": one_line(name, 50)}
        case {"type": "text", "text": str(text)} if text.strip():
            yield f"Claude: {text}", {"kind": "text"}


def _tool_line(name: str, subject: object) -> str:
    if not isinstance(subject, str):
        return name
    if name == "Bash":
        return f"Bash: {subject}"
    return f"{name} {subject.removeprefix('/workspace/')}"


def _result(event: Event, secrets: tuple[str, ...]) -> Result:
    status, turns, denials = event.get("api_error_status"), event.get("num_turns"), event.get("permission_denials")
    text = event.get("result") or event.get("errors") or ""
    if isinstance(text, list):
        text = "; ".join(str(item) for item in text)
    said = redact(str(text), secrets)
    return Result(
        is_error=event.get("is_error") is not False,
        subtype=one_line(str(event.get("subtype", ""))),
        terminal_reason=one_line(str(event.get("terminal_reason", ""))),
        status=status if isinstance(status, int) else None,
        text=one_line(said, MAX_RESULT_CHARACTERS),
        turns=turns if isinstance(turns, int) else 0,
        denials=tuple(_denials(denials, secrets)),
        answer=said[:MAX_ANSWER_CHARACTERS],
        output=redact_data(event.get("structured_output"), secrets),
    )


def _denials(denials: object, secrets: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(denials, list):
        return
    for denial in denials[:MAX_DENIALS]:
        if not isinstance(denial, dict):
            continue
        name, arguments = str(denial.get("tool_name", "?")), denial.get("tool_input")
        subject = arguments.get(_SUBJECT_OF.get(name, "")) if isinstance(arguments, dict) else None
        yield one_line(redact(_tool_line(name, subject), secrets))
