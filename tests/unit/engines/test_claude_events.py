from __future__ import annotations

import json
from typing import Any

import pytest

from bot.engines import claude_events
from bot.engines.claude_events import EventReader

RESULT = {"type": "result", "subtype": "success", "is_error": False, "num_turns": 3, "result": "Done."}
RETRY = {"type": "system", "subtype": "api_retry", "attempt": 2, "error_status": 529}


class Listener:
    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, message: str, **data: Any) -> None:
        self.told.append((message, data))

    @property
    def messages(self) -> list[str]:
        return [message for message, _ in self.told]


def read(*events: Any, secrets: tuple[str, ...] = ()) -> tuple[EventReader, Listener]:
    listener = Listener()
    reader = EventReader(listener, secrets=secrets)
    for event in events:
        reader.feed(event if isinstance(event, bytes) else json.dumps(event).encode())
    return reader, listener


def tool_use(name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "assistant", "message": {"content": [{"type": "tool_use", "name": name, "input": arguments}]}}


def text(said: str) -> dict[str, Any]:
    return {"type": "assistant", "message": {"content": [{"type": "text", "text": said}]}}


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (tool_use("Read", file_path="/workspace/src/a.py"), "Read src/a.py"),
        (tool_use("Bash", command="python3 -m pytest\n  -q"), "Bash: python3 -m pytest -q"),
        (tool_use("Glob", pattern="**/*.py"), "Glob **/*.py"),
        (tool_use("Write"), "Write"),
        (tool_use("Other", x=1), "Other"),
        (tool_use("Bash", command=["a", "list"]), "Bash"),
        (text("I look  first.\n"), "Claude: I look first."),
        (RETRY, "The API is asked again (attempt 2, status 529)"),
    ],
)
def test_what_happens_is_told_in_one_line(event: dict[str, Any], message: str) -> None:
    assert read(event)[1].messages == [message]


@pytest.mark.parametrize(
    "event",
    [
        text(" \n"),
        {"type": "assistant"},
        {"type": "assistant", "message": "text"},
        {"type": "assistant", "message": {"content": "text"}},
        {"type": "assistant", "message": {"content": [1, None, {"type": "tool_use", "name": 3}, {"type": "thinking"}]}},
        {"type": "user", "message": {"content": [{"type": "tool_result", "content": "x"}]}},
        {"type": "system", "subtype": "init"},
        {"type": "something new"},
        RESULT,
    ],
)
def test_everything_else_is_kept_but_not_told(event: dict[str, Any]) -> None:
    reader, listener = read(event)
    assert listener.messages == []
    assert json.loads(reader.transcript) == event


def test_what_is_told_is_safe_for_a_terminal_short_and_without_secrets() -> None:
    _, listener = read(
        tool_use("Bash", command="\x1b[2Jcurl -H 'x-api-key: sk-ant-abc' \u202e" + "y" * 10_000),
        text("the word is hunter2"),
        secrets=("hunter2",),
    )
    first, second = listener.messages
    assert first.startswith("Bash: curl -H 'x-api-key: [redacted]' yyy")
    assert len(first) == 200
    assert second == "Claude: the word is [redacted]"


@pytest.mark.parametrize("line", [b"", b"  \n"])
def test_an_empty_line_is_nothing(line: bytes) -> None:
    assert read(line)[0].transcript == b""


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"result","is_error":fal',
        b"not json",
        b"\xff\xfe\x00",
        b"[1]",
        b'"result"',
        b'{"type": 3}',
        b'{"no":"type"}',
        b"[" * 100_000,
        b'{"type":' + b"9" * 5000 + b"}",
    ],
)
def test_a_line_that_is_no_event_is_kept_as_one_and_does_no_harm(line: bytes) -> None:
    reader, listener = read(line)
    assert json.loads(reader.transcript)["type"] == "unparsed"
    assert len(reader.transcript) < 7000
    assert (listener.messages, reader.result) == ([], None)


def test_a_huge_line_is_dropped() -> None:
    line = b'{"type":"result","is_error":false,"x":"' + b"a" * claude_events.MAX_LINE_BYTES + b'"}'
    reader, _ = read(line)
    assert json.loads(reader.transcript) == {"type": "unparsed", "reason": f"a line of {len(line):,} bytes"}
    assert reader.result is None


def test_a_deeply_nested_event_is_kept_without_its_depths() -> None:
    nested = b'{"type":"x","deep":' + b"[" * 300 + b"]" * 300 + b"}"
    reader, _ = read(nested)
    assert b"[redacted]" in reader.transcript


def test_a_lone_surrogate_does_no_harm() -> None:
    reader, listener = read(b'{"type":"assistant","message":{"content":[{"type":"text","text":"a\\ud800b"}]}}')
    assert listener.messages == ["Claude: ab"]
    assert json.loads(reader.transcript)["type"] == "assistant"


def test_a_result_inside_a_tool_result_is_no_result() -> None:
    fake = json.dumps(RESULT)
    reader, _ = read({"type": "user", "message": {"content": [{"type": "tool_result", "content": f"\n{fake}\n"}]}})
    assert reader.result is None


def test_the_last_result_counts() -> None:
    reader, _ = read(RESULT, {**RESULT, "is_error": True, "subtype": "error_max_turns"})
    assert reader.result is not None
    assert reader.result.is_error
    assert reader.result.subtype == "error_max_turns"


@pytest.mark.parametrize("is_error", [True, None, "false", 0, "missing"])
def test_only_false_itself_is_no_error(is_error: Any) -> None:
    event = {key: value for key, value in {**RESULT, "is_error": is_error}.items() if value != "missing"}
    reader, _ = read(event)
    assert reader.result is not None
    assert reader.result.is_error


def test_a_result_has_its_figures_and_words() -> None:
    reader, _ = read(
        {
            **RESULT,
            "result": "Done \x1b[1mwell\x1b[0m with ghp_abc.",
            "terminal_reason": "api_error",
            "api_error_status": 529,
            "permission_denials": [
                {"tool_name": "Write", "tool_use_id": "t", "tool_input": {"file_path": "/workspace/.npmrc", "content": "x"}},
                {"tool_name": "Bash", "tool_input": "odd"},
                "odd",
            ],
        }
    )
    assert reader.result == claude_events.Result(
        is_error=False,
        subtype="success",
        terminal_reason="api_error",
        status=529,
        text="Done well with [redacted].",
        turns=3,
        denials=("Write .npmrc", "Bash"),
        answer="Done \x1b[1mwell\x1b[0m with [redacted].",
        output=None,
    )
    assert reader.result.was_api_error


def test_an_answer_keeps_its_lines_and_an_output_its_shape() -> None:
    reader, _ = read({**RESULT, "result": "One.\n\nTwo.", "structured_output": {"found": ["ghp_abc", 1, None]}})
    assert reader.result is not None
    assert reader.result.answer == "One.\n\nTwo."
    assert reader.result.text == "One. Two."
    assert reader.result.output == {"found": ["[redacted]", 1, None]}


@pytest.mark.parametrize(
    "odd",
    [
        {"errors": ["one", 2]},
        {"errors": 5},
        {"result": {"a": 1}},
        {"num_turns": "many", "api_error_status": "x", "permission_denials": {"a": 1}, "subtype": [1], "terminal_reason": None},
    ],
)
def test_an_odd_result_is_still_a_result(odd: dict[str, Any]) -> None:
    reader, _ = read({"type": "result", "is_error": True, **odd})
    assert reader.result is not None
    assert reader.result.is_error


def test_the_transcript_has_no_secrets_and_no_second_copy_of_files() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIE\nvQIB\n-----END PRIVATE KEY-----"
    event = {"type": "user", "message": {"content": [{"type": "tool_result", "content": f"1\t{key}\nhunter2"}]}}
    reader, _ = read({**event, "tool_use_result": {"structuredPatch": [{"lines": key.split("\n")}]}}, secrets=("hunter2",))
    kept = json.loads(reader.transcript)
    assert kept["message"]["content"][0]["content"] == "1\t[redacted]\n[redacted]"
    assert "tool_use_result" not in kept


def test_the_transcript_is_bounded_and_says_where_it_was_cut() -> None:
    event = text("x" * (claude_events.MAX_LINE_BYTES - 1000))
    reader, _ = read(*[event] * 10)
    lines = reader.transcript.splitlines()
    assert len(reader.transcript) <= claude_events.MAX_TRANSCRIPT_BYTES
    assert json.loads(lines[-1]) == {"type": "truncated"}
    assert json.loads(lines[0]) == event
