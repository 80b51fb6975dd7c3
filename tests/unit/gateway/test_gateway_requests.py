from __future__ import annotations

import base64
import json
import unicodedata
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.prices import CacheWrites
from bot.gateway.answers import Refusal
from bot.gateway.requests import IMAGE_TOKENS, OVERHEAD_TOKENS, allowed_betas, clean_count_request, clean_message_request

JSON = dict[str, Any]
HELLO: JSON = {"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "hello"}]}
IMAGE: JSON = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}


def body(**changes: Any) -> bytes:
    return json.dumps({**HELLO, **changes}).encode()


def says(*blocks: JSON, role: str = "user") -> bytes:
    return body(messages=[{"role": role, "content": list(blocks)}])


def forwarded(request: bytes) -> JSON:
    return dict(json.loads(clean_message_request(request).body))


def refused(request: bytes) -> str:
    with pytest.raises(Refusal) as raised:
        clean_message_request(request)
    assert raised.value.status == 400
    return str(raised.value)


def test_what_claude_code_sends_is_forwarded_but_for_its_metadata() -> None:
    sent = {
        "model": "claude-sonnet-5-5",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]},
            {"role": "system", "content": "# Environment", "output_config": {"effort": "medium"}},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "redacted_thinking", "data": "x"},
                    {"type": "tool_use", "id": "t", "name": "Read", "input": {"path": "a", "deep": [{"b": None}]}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "is_error": False, "content": [IMAGE]}]},
        ],
        "system": [{"type": "text", "text": "be good", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "tools": [{"name": "Read", "description": "reads", "input_schema": {"type": "object"}, "defer_loading": True}],
        "max_tokens": 32000,
        "thinking": {"type": "enabled", "budget_tokens": 31999, "display": "updates"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high"},
        "stream": True,
    }
    assert forwarded(json.dumps({**sent, "metadata": {"user_id": "u"}}).encode()) == sent


def test_unknown_keys_are_left_out_at_every_depth() -> None:
    request = body(
        new_key=1,
        messages=[
            {"role": "user", "name": "x", "content": [{"type": "text", "text": "hi", "citations": None, "url": "http://x"}]}
        ],
        tools=[{"name": "t", "input_schema": {}, "allowed_callers": ["code_execution_20260521"]}],
    )
    assert forwarded(request) == {
        **HELLO,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "tools": [{"name": "t", "input_schema": {}}],
    }


@pytest.mark.parametrize(
    "key", ["mcp_servers", "container", "service_tier", "speed", "inference_geo", "fallbacks", "compaction", "workspace_id"]
)
def test_a_key_that_moves_the_price_or_reaches_a_network_is_named(key: str) -> None:
    assert refused(body(**{key: "auto"})).startswith(f"{key}:")


@pytest.mark.parametrize(
    "kind", ["web_search_20250305", "web_fetch_20250910", "code_execution_20250825", "bash_20250124", "mcp_toolset"]
)
def test_a_tool_that_the_api_runs_is_refused(kind: str) -> None:
    assert "tools.0.type" in refused(body(tools=[{"type": kind, "name": "t", "input_schema": {}}]))


@pytest.mark.parametrize(
    "source",
    [
        {"type": "url", "url": "http://169.254.169.254/"},
        {"type": "file", "file_id": "file_1"},
        {"type": "content", "content": "x"},
    ],
)
@pytest.mark.parametrize("kind", ["image", "document"])
def test_a_source_elsewhere_is_refused_wherever_it_stands(kind: str, source: JSON) -> None:
    block = {"type": kind, "source": source}
    assert "source" in refused(says(block))
    assert "source" in refused(says({"type": "tool_result", "tool_use_id": "t", "content": [block]}))


@pytest.mark.parametrize(
    "kind",
    [
        "server_tool_use",
        "web_search_tool_result",
        "mcp_tool_use",
        "container_upload",
        "search_result",
        "tool_addition",
        "fallback",
    ],
)
def test_a_block_that_is_not_on_the_list_is_refused(kind: str) -> None:
    assert "messages.0" in refused(says({"type": kind, "id": "x", "file_id": "y"}))


def test_compaction_is_refused_since_it_asks_the_model_once_more() -> None:
    assert "context_management.edits.0" in refused(body(context_management={"edits": [{"type": "compact_20260112"}]}))


@pytest.mark.parametrize(
    ("request_body", "said"),
    [
        (b'{"model": "m", "model": "n"}', "twice"),
        (b'{"max_tokens": NaN}', "NaN"),
        (b'{"max_tokens": -Infinity}', "-Infinity"),
        (b'{"a": "\xff"}', "utf-8"),
        (b"[1]", "not a JSON object"),
        (b"", "no JSON"),
        (b"{} {}", "no JSON"),
        (b'{"a":' * 100_000, "too deeply"),
        (b"{", "no JSON"),
    ],
)
def test_what_is_not_strict_json_is_refused(request_body: bytes, said: str) -> None:
    assert said in refused(request_body)


@pytest.mark.parametrize("depth", [*range(100, 1300, 25), 3000])
def test_no_depth_of_nesting_fails_in_another_way(depth: int) -> None:
    schema = b'{"a":' * depth + b"1" + b"}" * depth
    request = body(tools=[{"name": "t", "input_schema": "SCHEMA"}]).replace(b'"SCHEMA"', schema)
    if depth < 200:
        assert forwarded(request)["tools"][0]["name"] == "t"
    else:
        with suppress(Refusal):
            clean_message_request(request)


@pytest.mark.parametrize(
    "changes",
    [
        {"max_tokens": "10"},
        {"max_tokens": 0},
        {"max_tokens": True},
        {"max_tokens": 1e9},
        {"temperature": 10**400},
        {"messages": []},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"model": ["m"]},
        {"stop_sequences": "x"},
        {"messages": [{"role": "user", "content": "\ud800"}]},
    ],
)
def test_a_wrong_type_is_refused(changes: JSON) -> None:
    refused(body(**changes))


def test_infinity_written_as_a_number_is_refused() -> None:
    refused(body(temperature="T").replace(b'"T"', b"1e999"))


def test_a_refusal_does_not_repeat_the_request() -> None:
    assert len(refused(body(tools=[{"type": "x" * 10_000, "name": "t", "input_schema": {}}]))) <= 500


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_the_bound_is_at_least_every_byte_that_a_tokenizer_may_see(text: str) -> None:
    bound = clean_message_request(says({"type": "text", "text": text})).prompt_tokens
    assert bound is not None
    assert bound >= len(text.encode()) + OVERHEAD_TOKENS
    assert bound >= len(unicodedata.normalize("NFKC", text).encode()) + OVERHEAD_TOKENS


def test_a_picture_costs_more_than_its_bytes() -> None:
    plain = clean_message_request(says({"type": "text", "text": "x"})).prompt_tokens
    assert plain is not None
    nested = {"type": "tool_result", "tool_use_id": "t", "content": [IMAGE, IMAGE]}
    assert (clean_message_request(says(IMAGE, nested)).prompt_tokens or 0) > plain + 3 * IMAGE_TOKENS - 100


def test_only_the_context_window_bounds_a_document() -> None:
    pdf = {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(b"%PDF").decode()}
    block = {"type": "document", "source": pdf}
    assert clean_message_request(says(block)).prompt_tokens is None
    assert clean_message_request(says({"type": "tool_result", "tool_use_id": "t", "content": [block]})).prompt_tokens is None


def test_the_answer_is_bound_by_the_thinking_budget_too() -> None:
    thinking = {"type": "enabled", "budget_tokens": 5000}
    assert clean_message_request(body(max_tokens=10, thinking=thinking)).output_tokens == 5000
    assert clean_message_request(body(max_tokens=9000, thinking=thinking)).output_tokens == 9000


@pytest.mark.parametrize(
    "place",
    [
        lambda cache: says({"type": "text", "text": "x", **cache}),
        lambda cache: says({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "x", **cache}]}),
        lambda cache: says({"type": "tool_use", "id": "t", "name": "n", "input": {}, **cache}, role="assistant"),
        lambda cache: body(system=[{"type": "text", "text": "x", **cache}]),
        lambda cache: body(tools=[{"name": "t", "input_schema": {}, **cache}]),
        lambda cache: body(messages=[{"role": "system", "content": [{"type": "text", "text": "x", **cache}]}]),
    ],
)
def test_a_cache_entry_is_seen_wherever_it_is_asked_for(place: Any) -> None:
    assert clean_message_request(place({})).writes is CacheWrites.NONE
    assert clean_message_request(place({"cache_control": {"type": "ephemeral"}})).writes is CacheWrites.FIVE_MINUTES
    assert clean_message_request(place({"cache_control": {"type": "ephemeral", "ttl": "1h"}})).writes is CacheWrites.ONE_HOUR
    assert "cache_control" in refused(place({"cache_control": {"type": "ephemeral", "ttl": "24h"}}))


def test_counting_tokens_takes_the_prompt_only() -> None:
    cleaned = clean_count_request(body(stream=True, temperature=1, system="s"))
    assert json.loads(cleaned.body) == {"model": "m", "messages": HELLO["messages"], "system": "s"}
    with pytest.raises(Refusal):
        clean_count_request(body(mcp_servers=[]))


def test_betas_are_filtered() -> None:
    asked = ["claude-code-20250219, context-1m-2025-08-07,effort-2025-11-24", "fast-mode-2026-02-01,claude-code-20250219"]
    assert allowed_betas(asked) == "claude-code-20250219,effort-2025-11-24"
    assert allowed_betas([]) == ""
