"""A small Messages API on loopback, for tests of what passes through the gateway.

It is not the API: it validates nothing, counts no tokens, knows no key, and says what its script tells it to say. It
remembers each request's path, headers and body.
"""

from __future__ import annotations

import json
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any, Self

JSON = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """One request as it arrived. Header names are in lower case."""

    path: str
    headers: dict[str, str]
    body: JSON


@dataclass
class Wire:
    """One connection's answer, down to its bytes."""

    handler: BaseHTTPRequestHandler
    seen: Seen

    def start(self, status: int, content_type: str, **headers: str) -> None:
        self.handler.send_response(status)
        self.handler.send_header("content-type", content_type)
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.send_header("transfer-encoding", "chunked")
        self.handler.end_headers()

    def chunk(self, content: bytes) -> None:
        self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        self.handler.wfile.flush()

    def end(self) -> None:
        self.chunk(b"")

    def tear(self) -> None:
        """Close the connection in mid-answer: no last chunk was sent."""
        self.handler.close_connection = True

    def whole(self, status: int, content_type: str, content: bytes, **headers: str) -> None:
        self.start(status, content_type, **headers)
        if content:
            self.chunk(content)
        self.end()


Answer = Callable[[Wire], None]
USAGE: JSON = {"input_tokens": 100, "output_tokens": 20, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}


def event(kind: str, **content: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **content})}\n\n".encode()


def events(model: str, blocks: list[JSON], usage: JSON) -> list[bytes]:
    """The stream of one message; `blocks` are text and tool_use blocks as a whole answer would have them."""
    start = {**usage, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [], "usage": start}
    stream = [event("message_start", message=message)]
    for index, block in enumerate(blocks):
        if block["type"] == "text":
            empty, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": block["text"]}
        else:
            empty = {**block, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        stream += [
            event("content_block_start", index=index, content_block=empty),
            event("content_block_delta", index=index, delta=delta),
            event("content_block_stop", index=index),
        ]
    reason = stop_reason(blocks)
    final = {"output_tokens": usage["output_tokens"]}
    stream.append(event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=final))
    return [*stream, event("message_stop")]


def stop_reason(blocks: list[JSON]) -> str:
    return "tool_use" if any(block["type"] == "tool_use" for block in blocks) else "end_turn"


def structured(value: object, **usage: object) -> Answer:
    """Says the value as JSON, as a request with an `output_config.format` is answered."""
    return message({"type": "text", "text": json.dumps(value)}, **usage)


def message(*blocks: JSON, **usage: object) -> Answer:
    """Says the blocks ("done" without any), streamed if that was asked for."""
    content = list(blocks) or [{"type": "text", "text": "done"}]
    used = {**USAGE, **usage}

    def answer(wire: Wire) -> None:
        model = wire.seen.body["model"]
        if wire.seen.body.get("stream"):
            wire.start(200, "text/event-stream; charset=utf-8", request_id="req_1")
            for part in events(model, content, used):
                wire.chunk(part)
            wire.end()
            return
        whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": content, "usage": used}
        whole |= {"stop_reason": stop_reason(content), "stop_sequence": None}
        wire.whole(200, "application/json", json.dumps(whole).encode(), request_id="req_1")

    return answer


def torn(after: int) -> Answer:
    """Breaks off after so many events of a stream."""

    def answer(wire: Wire) -> None:
        wire.start(200, "text/event-stream")
        for part in events(wire.seen.body["model"], [{"type": "text", "text": "done"}], USAGE)[:after]:
            wire.chunk(part)
        wire.tear()

    return answer


def cut(*blocks: JSON, share: float) -> Answer:
    """Breaks off in the middle of an event: after this share, from 0 to 1, of the bytes of a stream that says the blocks."""

    def answer(wire: Wire) -> None:
        wire.start(200, "text/event-stream")
        whole = b"".join(events(wire.seen.body["model"], list(blocks), USAGE))
        wire.chunk(whole[: int(len(whole) * share)])
        wire.tear()

    return answer


def poured(block: JSON, piece: int = 1 << 20) -> Answer:
    """Says a tool_use block whose input comes in pieces of so many bytes."""

    def answer(wire: Wire) -> None:
        wire.start(200, "text/event-stream")
        start, begin, _, *end = events(wire.seen.body["model"], [block], USAGE)
        given = json.dumps(block["input"])
        for part in (start, begin):
            wire.chunk(part)
        for position in range(0, len(given), piece):
            delta = {"type": "input_json_delta", "partial_json": given[position : position + piece]}
            wire.chunk(event("content_block_delta", index=0, delta=delta))
        for part in end:
            wire.chunk(part)
        wire.end()

    return answer


def call(tool: str, **arguments: object) -> JSON:
    """A tool_use block."""
    return {"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex[:24]}", "name": tool, "input": arguments}


def held(started: Event, go_on: Event) -> Answer:
    """Sends the first event, sets `started`, and the rest once `go_on` is set."""

    def answer(wire: Wire) -> None:
        first, *rest = events(wire.seen.body["model"], [{"type": "text", "text": "done"}], USAGE)
        wire.start(200, "text/event-stream")
        wire.chunk(first)
        started.set()
        go_on.wait(60)
        for part in rest:
            wire.chunk(part)
        wire.end()

    return answer


def error(status: int, kind: str, text: str = "no", **headers: str) -> Answer:
    body = json.dumps({"type": "error", "error": {"type": kind, "message": text}}).encode()
    return lambda wire: wire.whole(status, "application/json", body, **headers)


def raw(status: int, content_type: str, content: bytes, **headers: str) -> Answer:
    return lambda wire: wire.whole(status, content_type, content, **headers)


class FakeUpstream:
    """Answers each request by the next of its script, and with `message()` when the script has ended."""

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self.script: deque[Answer] = deque()
        self._lock = Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    @property
    def charged(self) -> int:
        """How many requests arrived that the API would charge for, whatever became of their answers."""
        return sum(not seen.path.endswith("/count_tokens") for seen in self.requests)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _next(self, seen: Seen) -> Answer:
        with self._lock:
            self.requests.append(seen)
            if seen.path.endswith("/count_tokens"):
                return raw(200, "application/json", b'{"input_tokens": 7}')
            return self.script.popleft() if self.script else message()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                seen = Seen(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                with suppress(ConnectionError, TimeoutError):
                    upstream._next(seen)(Wire(self, seen))

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
