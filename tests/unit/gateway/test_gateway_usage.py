from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.prices import CacheWrites
from bot.domain.usage import Usage
from bot.gateway.usage import LONGEST_LINE, Billed, StreamedUsage, billed, billed_in_message
from tests.fakes.upstream import USAGE, event, events

PLAIN = CacheWrites.NONE
STREAM = b"".join(events("m", [{"type": "text", "text": 'a "message_stop" in the text\n'}], {**USAGE, "output_tokens": 20}))


def fed(*chunks: bytes, writes: CacheWrites = PLAIN) -> Billed | None:
    stream = StreamedUsage(writes)
    for chunk in chunks:
        stream.feed(chunk)
    return stream.billed


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_stream_is_read_however_it_is_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[start:end] for start, end in pairwise(edges)]
    assert fed(*chunks) == Billed(Usage(input_tokens=100, output_tokens=20), usual=True)


def test_a_stream_with_carriage_returns_is_read() -> None:
    assert fed(STREAM.replace(b"\n", b"\r\n")) == Billed(Usage(input_tokens=100, output_tokens=20), usual=True)


def test_a_stream_that_was_cut_off_anywhere_has_no_usage() -> None:
    end = STREAM.index(b"event: message_stop")
    assert fed(STREAM[:end]) is None
    assert fed(STREAM[: end // 2]) is None
    assert fed(event("message_stop")) is None
    assert fed() is None


def test_the_model_s_own_words_are_no_event() -> None:
    faked = event("message_stop").decode() + event("message_delta", usage={"output_tokens": 0}).decode()
    parts = events("m", [{"type": "text", "text": faked}], USAGE)
    assert fed(*parts[:-2]) is None
    assert fed(*parts) == Billed(Usage(input_tokens=100, output_tokens=20), usual=True)


def test_later_figures_are_totals_and_null_changes_nothing() -> None:
    start = {"usage": {"input_tokens": 5, "output_tokens": 1, "cache_read_input_tokens": 7}}
    delta = {"input_tokens": 6, "output_tokens": 9, "cache_read_input_tokens": None}
    stream = event("message_start", message=start) + event("message_delta", usage=delta) + event("message_stop")
    assert fed(stream) == Billed(Usage(input_tokens=6, output_tokens=9, cache_read_tokens=7), usual=True)


def test_a_line_without_end_is_refused() -> None:
    stream = StreamedUsage(PLAIN)
    with pytest.raises(ValueError, match="longer than"):
        stream.feed(b"x" * (LONGEST_LINE + 1))


def test_cache_writes_are_split_by_their_lifetime() -> None:
    split = {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4}
    reported = {"input_tokens": 1, "output_tokens": 2, "cache_creation_input_tokens": 7, "cache_creation": split}
    assert billed(reported, CacheWrites.ONE_HOUR) == Billed(Usage(1, 2, 0, 3, 4), usual=True)


def test_cache_writes_of_an_unsaid_lifetime_count_as_the_longest_asked_for() -> None:
    reported = {"input_tokens": 1, "output_tokens": 2, "cache_creation_input_tokens": 7}
    assert billed(reported, CacheWrites.FIVE_MINUTES) == Billed(Usage(1, 2, 0, 7, 0), usual=True)
    assert billed(reported, CacheWrites.ONE_HOUR) == Billed(Usage(1, 2, 0, 0, 7), usual=True)


@pytest.mark.parametrize(
    ("told", "usual"),
    [
        ({"service_tier": "standard", "speed": "standard", "inference_geo": "global"}, True),
        ({"server_tool_use": {"web_search_requests": 0}, "iterations": [{"type": "message"}]}, True),
        ({"service_tier": "priority"}, False),
        ({"speed": "fast"}, False),
        ({"inference_geo": "us"}, False),
        ({"server_tool_use": {"web_search_requests": 1}}, False),
        ({"iterations": [{"type": "message"}, {"type": "compaction"}]}, False),
    ],
)
def test_what_has_another_price_is_not_usual(told: dict[str, Any], usual: bool) -> None:
    seen = billed({**USAGE, **told}, PLAIN)
    assert seen is not None
    assert seen.usual is usual


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        "many",
        {},
        {"input_tokens": 1},
        {"input_tokens": -1, "output_tokens": 1},
        {"input_tokens": "1", "output_tokens": 1},
    ],
)
def test_what_is_no_usage_was_never_seen(wrong: object) -> None:
    assert billed(wrong, PLAIN) is None
    assert billed_in_message(json.dumps({"type": "message", "usage": wrong}).encode(), PLAIN) is None


def test_a_whole_answer_is_a_message() -> None:
    assert billed_in_message(json.dumps({"type": "message", "usage": USAGE}).encode(), PLAIN) == Billed(
        Usage(100, 20), usual=True
    )
    assert billed_in_message(json.dumps({"type": "list", "usage": USAGE}).encode(), PLAIN) is None
    assert billed_in_message(b"<html>", PLAIN) is None
    assert billed_in_message(b"[]", PLAIN) is None
