"""A scripted Messages API, for the demo and the tests: it needs no key and no network, and costs nothing.

What it is not: a language model, or the real API. It plays a script (`bot.demo.migration`, or one that a test gives) and knows
no other task; nothing that was seen with it says how a real model behaves, how fast the real API is or what it refuses. What
it does share with the real API is the shape: the endpoints, the order of events of a stream, the fields of usage, the errors.
It decides from the conversation alone, as a model does: it never looks at the file system or at an expected answer.

Tokens are four characters each; what stands before a `cache_control` mark is read from the cache when the same prefix was
written to it before.
"""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from bot.demo.conversation import Conversation, Failure, Turn, blocks_of
from bot.demo.migration import migrate
from bot.domain.usage import Usage

Play = Callable[[Conversation], Turn | Failure]

CHARACTERS_A_TOKEN = 4
_CHUNK = 40
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


@dataclass(frozen=True, slots=True)
class Billed:
    """One answered request to /v1/messages: what the real API would have charged for, and to which key."""

    model: str
    usage: Usage
    api_key: str
    conversation: Conversation


class ScriptedModel:
    """A context manager that serves on a free port of 127.0.0.1 while it is open.

    `play` is called once for each request, in a thread of its own: while it blocks, the API hangs. `bill` has every answered
    request, in order of the answers.
    """

    def __init__(self, play: Play = migrate):
        self._play = play
        self._cache: set[str] = set()
        self.bill: list[Billed] = []
        self.app = Starlette(
            routes=[
                Route("/v1/messages", self._messages, methods=["POST"]),
                Route("/v1/messages/count_tokens", self._count_tokens, methods=["POST"]),
            ],
            exception_handlers={HTTPException: _refuse},
        )

    def __enter__(self) -> Self:
        # Listening before the server runs: a request that comes early waits in the backlog.
        self._socket = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(self.app, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    async def _messages(self, request: Request) -> Response:
        api_key, body = await _authenticated_body(request)
        if not isinstance(body.get("max_tokens"), int):
            raise HTTPException(400, "max_tokens: Field required")
        conversation = _conversation(body)
        turn = await run_in_threadpool(self._play, conversation)
        if isinstance(turn, Failure):
            return _error(turn.status, turn.message, turn.headers)
        message = _message(turn, body["model"])
        usage = self._measure(body, message)
        self.bill.append(Billed(body["model"], usage, api_key, conversation))
        if not body.get("stream"):
            return JSONResponse({**message, "usage": _usage_fields(usage)})
        return StreamingResponse(_stream(message, usage), media_type="text/event-stream")

    async def _count_tokens(self, request: Request) -> Response:
        _, body = await _authenticated_body(request)
        _conversation(body)
        return JSONResponse({"input_tokens": _tokens(sum(len(text) for text, _ in _segments(body)))})

    def _measure(self, body: Mapping[str, Any], message: Mapping[str, Any]) -> Usage:
        digest = hashlib.sha256(body["model"].encode())
        position = cached = marked = 0
        long_lived = False
        for text, mark in _segments(body):
            digest.update(text.encode())
            position += len(text)
            prefix = digest.hexdigest()
            if prefix in self._cache:
                cached = position
            if mark is not None:
                marked, long_lived = position, mark.get("ttl") == "1h"
                self._cache.add(prefix)
        # `cached` may lie behind the last mark only when this very request was sent before with another mark.
        cached = min(cached, marked)
        written = _tokens(marked - cached)
        return Usage(
            input_tokens=_tokens(position - marked),
            output_tokens=_tokens(sum(len(_body_of(block)) for block in message["content"])),
            cache_read_tokens=_tokens(cached),
            cache_write_5m_tokens=0 if long_lived else written,
            cache_write_1h_tokens=written if long_lived else 0,
        )


async def _authenticated_body(request: Request) -> tuple[str, dict[str, Any]]:
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    api_key = request.headers.get("x-api-key") or bearer
    if not api_key:
        raise HTTPException(401, "x-api-key header is required")
    if "anthropic-version" not in request.headers:
        raise HTTPException(400, "anthropic-version: header is required")
    try:
        body = json.loads(await request.body())
    except ValueError as error:
        raise HTTPException(400, "The request body is not valid JSON") from error
    return api_key, body


def _conversation(body: Mapping[str, Any]) -> Conversation:
    try:
        return Conversation.of(body)
    except (KeyError, TypeError, AttributeError) as error:
        raise HTTPException(400, f"The request body is no conversation: {error!r}") from error


def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, error.detail, {})


def _error(status: int, message: str, headers: Mapping[str, str]) -> Response:
    error = {"type": _ERROR_TYPES.get(status, "api_error"), "message": message}
    return JSONResponse({"type": "error", "error": error, "request_id": _id("req")}, status, headers)


def _message(turn: Turn, model: str) -> dict[str, Any]:
    calls = [{"type": "tool_use", "id": _id("toolu"), "name": call.name, "input": dict(call.input)} for call in turn.calls]
    return {
        "id": _id("msg"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [*([{"type": "text", "text": turn.text}] if turn.text else []), *calls],
        "stop_reason": "tool_use" if calls else "end_turn",
        "stop_sequence": None,
    }


def _stream(message: Mapping[str, Any], usage: Usage) -> Iterator[str]:
    started = {**message, "content": [], "stop_reason": None, "usage": {**_usage_fields(usage), "output_tokens": 1}}
    yield _event("message_start", message=started)
    for index, block in enumerate(message["content"]):
        yield from _stream_block(index, block)
        if index == 0:
            yield _event("ping")
    ended = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield _event("message_delta", delta=ended, usage=_usage_fields(usage))
    yield _event("message_stop")


def _stream_block(index: int, block: Mapping[str, Any]) -> Iterator[str]:
    is_text = block["type"] == "text"
    field, delta = ("text", "text_delta") if is_text else ("partial_json", "input_json_delta")
    empty: dict[str, Any] = {"text": ""} if is_text else {"input": {}}
    yield _event("content_block_start", index=index, content_block={**block, **empty})
    text = _body_of(block)
    for start in range(0, len(text), _CHUNK):
        yield _event("content_block_delta", index=index, delta={"type": delta, field: text[start : start + _CHUNK]})
    yield _event("content_block_stop", index=index)


def _event(kind: str, **data: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n"


def _body_of(block: Mapping[str, Any]) -> str:
    return str(block["text"]) if block["type"] == "text" else json.dumps(block["input"])


def _usage_fields(usage: Usage) -> dict[str, Any]:
    five_minutes, one_hour = usage.cache_write_5m_tokens, usage.cache_write_1h_tokens
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": five_minutes + one_hour,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": five_minutes, "ephemeral_1h_input_tokens": one_hour},
        "output_tokens": usage.output_tokens,
        "service_tier": "standard",
    }


def _segments(body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """The parts of a prompt in the order of the cache (tools, system, messages), each with its `cache_control`, if any."""
    system = blocks_of({"content": body.get("system", "")})
    messages = ({"role": message["role"], **block} for message in body["messages"] for block in blocks_of(message))
    for part in (*body.get("tools", ()), *system, *messages):
        text = json.dumps({key: value for key, value in part.items() if key != "cache_control"}, sort_keys=True)
        yield text, part.get("cache_control")


def _tokens(characters: int) -> int:
    return -(-characters // CHARACTERS_A_TOKEN)


def _id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex[:24]}"
