"""Reads from an answer of the Messages API what was used, while the answer passes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.domain.prices import CacheWrites
from bot.domain.usage import Usage

LONGEST_LINE = 16 * 1024 * 1024

Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class Billed:
    """`usual` is false where the answer tells of anything that the price table does not price: another tier, place or speed,
    tools that the API ran, more than one model."""

    usage: Usage
    usual: bool


class _CacheCreation(BaseModel):
    ephemeral_5m_input_tokens: Count = 0
    ephemeral_1h_input_tokens: Count = 0


class _Iteration(BaseModel):
    type: str


class _Reported(BaseModel):
    """`usage` as the API gives it. Absent and null are the same."""

    model_config = ConfigDict(strict=True)

    input_tokens: Count
    output_tokens: Count
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation: _CacheCreation | None = None
    server_tool_use: dict[str, int | None] | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    iterations: list[_Iteration] | None = None

    @property
    def usual(self) -> bool:
        return (
            self.service_tier in (None, "standard")
            and self.speed in (None, "standard")
            and self.inference_geo in (None, "", "global", "not_available")
            and not any((self.server_tool_use or {}).values())
            and all(iteration.type == "message" for iteration in self.iterations or ())
        )


def billed(reported: object, writes: CacheWrites) -> Billed | None:
    """None where `reported` is no usage. Cache writes of an unsaid lifetime count as the longest that was asked for."""
    try:
        seen = _Reported.model_validate(reported)
    except ValidationError:
        return None
    split = seen.cache_creation or _CacheCreation()
    five, hour = split.ephemeral_5m_input_tokens, split.ephemeral_1h_input_tokens
    unsaid = max(0, (seen.cache_creation_input_tokens or 0) - five - hour)
    if writes is CacheWrites.ONE_HOUR:
        hour += unsaid
    else:
        five += unsaid
    usage = Usage(seen.input_tokens, seen.output_tokens, seen.cache_read_input_tokens or 0, five, hour)
    return Billed(usage, seen.usual)


def billed_in_message(answer: bytes, writes: CacheWrites) -> Billed | None:
    """The usage in a whole answer that was not streamed."""
    message = _json_object(answer)
    return billed(message.get("usage"), writes) if message.get("type") == "message" else None


class StreamedUsage:
    """Fed with a stream of server-sent events as it passes; `billed` is None until its end was seen."""

    def __init__(self, writes: CacheWrites):
        self._writes = writes
        self._line = bytearray()
        self._reported: dict[str, Any] = {}
        self._delta_seen = False
        self._complete = False

    @property
    def billed(self) -> Billed | None:
        return billed(self._reported, self._writes) if self._complete and self._delta_seen else None

    def feed(self, chunk: bytes) -> None:
        """Raises ValueError for a line that is longer than any event of the API."""
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            self._line += line
            self._read(bytes(self._line))
            self._line.clear()
        self._line += rest
        if len(self._line) > LONGEST_LINE:
            raise ValueError(f"a line of the stream is longer than {LONGEST_LINE} bytes")

    def _read(self, line: bytes) -> None:
        if not line.startswith(b"data:") or b'"message_' not in line:
            return
        event = _json_object(line.removeprefix(b"data:"))
        match event.get("type"):
            case "message_start":
                self._merge((event.get("message") or {}).get("usage"))
            case "message_delta":
                self._merge(event.get("usage"))
                self._delta_seen = True
            case "message_stop":
                self._complete = True

    def _merge(self, usage: object) -> None:
        """The figures of later events are totals, they replace the earlier ones."""
        if isinstance(usage, dict):
            self._reported.update({key: value for key, value in usage.items() if value is not None})


def _json_object(text: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
