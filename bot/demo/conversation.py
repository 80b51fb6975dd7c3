"""What a model is told in one request to the Messages API, and what it answers: the values that a play works with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_REMINDERS_AT_THE_END = re.compile(r"\s*(?:<system-reminder>(?:(?!<system-reminder>).)*</system-reminder>\s*)+\Z", re.DOTALL)
# The last line is a number alone, when the file ends with a line feed.
_LINE_NUMBER = re.compile(r"^ *\d+(?:[\t→]|$)", re.MULTILINE)
_DIRECTORY = re.compile(r"Primary working directory: (\S+)")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a client's tool; its id is given when it is sent."""

    name: str
    input: Mapping[str, Any]
    id: str = ""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the client answered to a call, without the reminders that Claude Code appends to it."""

    call: ToolCall
    text: str
    is_error: bool

    @property
    def file_text(self) -> str:
        """The content of the file, for the result of a Read: without its line numbers."""
        return _LINE_NUMBER.sub("", self.text)


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer: a text, calls of tools, or both. It ends the session when there are no calls."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """An error in place of an answer, as the API gives it."""

    status: int
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Conversation:
    """One request, read: `prompt` is the last thing the user said first, `context` all that was said around it.

    Some models are told a part of it, such as which skills there are, by the system in mid-conversation.
    """

    model: str
    system: str
    tools: frozenset[str]
    context: str
    prompt: str
    results: tuple[ToolResult, ...]
    said: str = ""
    """All that the user said, also later on."""

    @property
    def directory(self) -> str:
        """Where the client works, as it says itself."""
        found = _DIRECTORY.search(self.context) or _DIRECTORY.search(self.system)
        return found.group(1) if found else "/workspace"

    def result_of(self, tool: str, **arguments: Any) -> ToolResult | None:
        """The latest result of a call of `tool` that had these arguments, among others."""
        wanted = arguments.items()
        found = (
            result for result in reversed(self.results) if result.call.name == tool and wanted <= result.call.input.items()
        )
        return next(found, None)

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Conversation:
        """Read the body of a request. Raises KeyError, TypeError or AttributeError for what is none."""
        messages = body["messages"]
        first = next((list(blocks_of(message)) for message in messages if message["role"] == "user"), [])
        said = [block["text"] for block in first if block["type"] == "text"]
        told = [block["text"] for each in messages if each["role"] == "system" for block in blocks_of(each)]
        return cls(
            model=body["model"],
            system="\n".join(block["text"] for block in blocks_of({"content": body.get("system", "")})),
            tools=frozenset(tool["name"] for tool in body.get("tools", ())),
            context="\n".join([*said, *told]),
            prompt=said[-1] if said else "",
            results=tuple(_results(messages)),
            said="\n".join(
                block["text"]
                for each in messages
                if each["role"] == "user"
                for block in blocks_of(each)
                if block["type"] == "text"
            ),
        )


def blocks_of(message: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The content blocks of a message, whose content may be a plain string."""
    content = message["content"]
    if isinstance(content, str):
        yield {"type": "text", "text": content}
    else:
        yield from content


def _results(messages: list[Mapping[str, Any]]) -> Iterator[ToolResult]:
    calls: dict[str, ToolCall] = {}
    for block in (block for message in messages for block in blocks_of(message)):
        if block["type"] == "tool_use":
            calls[block["id"]] = ToolCall(block["name"], block["input"], block["id"])
        elif block["type"] == "tool_result" and block["tool_use_id"] in calls:
            parts = blocks_of({"content": block.get("content", "")})
            text = "\n".join(part["text"] for part in parts if part["type"] == "text")
            is_error = bool(block.get("is_error"))
            yield ToolResult(calls[block["tool_use_id"]], _REMINDERS_AT_THE_END.sub("", text), is_error)
