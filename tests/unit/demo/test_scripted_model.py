"""The scripted model, as the official client library sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx
import pytest

from bot.demo.conversation import Conversation, Failure, ToolCall, Turn
from bot.demo.scripted_model import Play, ScriptedModel
from bot.domain.usage import Usage

Client = Callable[[Play], tuple[anthropic.Anthropic, ScriptedModel]]
CALLS = Turn("Let me look. " * 10, (ToolCall("Bash", {"command": "ls -A " + "ü" * 100}), ToolCall("Glob", {})))
MESSAGES: list[Any] = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def serve() -> Iterator[Client]:
    opened: list[ScriptedModel] = []

    def open_one(play: Play) -> tuple[anthropic.Anthropic, ScriptedModel]:
        opened.append(ScriptedModel(play).__enter__())
        client = anthropic.Anthropic(api_key="key-1", base_url=opened[-1].base_url, max_retries=0)
        return client, opened[-1]

    yield open_one
    for model in opened:
        model.__exit__(None, None, None)


def test_a_streamed_answer_is_the_same_as_a_plain_one(serve: Client) -> None:
    client, model = serve(lambda _: CALLS)
    plain = client.messages.create(model="m", max_tokens=100, messages=MESSAGES)
    with client.messages.stream(model="m", max_tokens=100, messages=MESSAGES) as stream:
        kinds = [event.type for event in stream]
        streamed = stream.get_final_message()
    for message in (plain, streamed):
        text, bash, glob = message.content
        assert text.type == "text"
        assert text.text == CALLS.text
        assert bash.type == glob.type == "tool_use"
        assert (bash.input, glob.input) == ({"command": "ls -A " + "ü" * 100}, {})
        assert message.stop_reason == "tool_use"
    assert plain.usage.output_tokens == streamed.usage.output_tokens == model.bill[0].usage.output_tokens > 50
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]


def test_an_answer_without_calls_ends_the_turn(serve: Client) -> None:
    client, _ = serve(lambda _: Turn("Done."))
    assert client.messages.create(model="m", max_tokens=9, messages=MESSAGES).stop_reason == "end_turn"


def test_the_play_sees_the_conversation(serve: Client) -> None:
    def play(conversation: Conversation) -> Turn:
        told = conversation.result_of("Bash", command="pwd")
        return Turn(f"{conversation.model} {conversation.system} {sorted(conversation.tools)} {told and told.text}")

    client, _ = serve(play)
    messages: list[Any] = [
        *MESSAGES,
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "pwd"}}]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "/x"}]}],
        },
    ]
    tools: list[Any] = [{"name": "Bash", "input_schema": {"type": "object"}}]
    answer = client.messages.create(model="m-1", max_tokens=9, system="Be kind.", messages=messages, tools=tools)
    assert [block.text for block in answer.content if block.type == "text"] == ["m-1 Be kind. ['Bash'] /x"]


def test_a_marked_prefix_is_written_to_the_cache_then_read_from_it(serve: Client) -> None:
    client, model = serve(lambda _: Turn("ok"))
    mark = {"cache_control": {"type": "ephemeral"}}
    long_mark = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    first: list[Any] = [{"type": "text", "text": "a" * 4000, **mark}]
    both: list[Any] = [{"type": "text", "text": "a" * 4000}, {"type": "text", "text": "b" * 4000, **long_mark}]
    for content in (first, first, both, [*both, {"type": "text", "text": "c" * 400}]):
        client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": content}])
    written, read, extended, beyond = (billed.usage for billed in model.bill)
    assert written.cache_write_5m_tokens > 1000
    assert (written.input_tokens, written.cache_read_tokens) == (0, 0)
    assert read == Usage(0, written.output_tokens, written.cache_write_5m_tokens)
    assert extended.cache_read_tokens == written.cache_write_5m_tokens
    assert extended.cache_write_1h_tokens > 1000
    assert beyond.cache_write_1h_tokens == 0
    assert 100 < beyond.input_tokens < 200


def test_the_bill_has_model_key_and_usage_of_each_answer(serve: Client) -> None:
    client, model = serve(lambda _: Turn("ok"))
    answer = client.messages.create(model="m", max_tokens=9, messages=MESSAGES)
    (billed,) = model.bill
    assert (billed.model, billed.api_key) == ("m", "key-1")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (billed.usage.input_tokens, billed.usage.output_tokens)


def test_tokens_are_counted_without_a_bill(serve: Client) -> None:
    client, model = serve(lambda _: Turn("ok"))
    counted = client.messages.count_tokens(model="m", messages=[{"role": "user", "content": "a" * 400}])
    assert 100 <= counted.input_tokens <= 130
    assert model.bill == []


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (529, anthropic.InternalServerError),
        (400, anthropic.BadRequestError),
    ],
)
def test_a_failure_is_an_error_of_the_api_and_costs_nothing(
    serve: Client, status: int, error: type[anthropic.APIStatusError]
) -> None:
    client, model = serve(lambda _: Failure(status, "not today", {"retry-after": "7"}))
    with pytest.raises(error, match="not today") as caught:
        client.messages.create(model="m", max_tokens=9, messages=MESSAGES)
    assert caught.value.status_code == status
    assert caught.value.response.headers["retry-after"] == "7"
    assert model.bill == []


@pytest.mark.parametrize(
    ("path", "headers", "body", "status", "words"),
    [
        ("/v1/messages", {"x-api-key": ""}, "{}", 401, "x-api-key"),
        ("/v1/messages/count_tokens", {"x-api-key": ""}, "{}", 401, "x-api-key"),
        ("/v1/messages", {}, '{"model": "m", "messages": []}', 400, "max_tokens"),
        ("/v1/messages", {}, '{"model": "m", "max_tokens": 1}', 400, "no conversation"),
        ("/v1/messages", {}, '{"model": "m", "max_tokens": 1, "messages": [1]}', 400, "no conversation"),
        ("/v1/messages", {}, "{", 400, "not valid JSON"),
        ("/v1/models", {}, "{}", 404, "Not Found"),
    ],
)
def test_a_wrong_request_is_refused_in_the_words_of_the_api(
    serve: Client, path: str, headers: dict[str, str], body: str, status: int, words: str
) -> None:
    _, model = serve(lambda _: Turn("ok"))
    sent = {"x-api-key": "k", "anthropic-version": "2023-06-01", **headers}
    answer = httpx.post(model.base_url + path, headers=sent, content=body)
    assert answer.status_code == status
    assert answer.json()["type"] == "error"
    assert words in answer.json()["error"]["message"]


def test_a_missing_version_header_is_refused(serve: Client) -> None:
    _, model = serve(lambda _: Turn("ok"))
    answer = httpx.post(model.base_url + "/v1/messages", headers={"x-api-key": "k"}, json={})
    assert answer.status_code == 400
    assert "anthropic-version" in answer.json()["error"]["message"]
