"""A receiver of webhooks, on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

from werkzeug.datastructures import Headers
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response


@dataclass(frozen=True)
class Received:
    headers: Headers
    body: bytes

    @property
    def event(self) -> str:
        name = self.headers.get("X-GitHub-Event") or self.headers["X-Gitlab-Event"]
        action = self.payload.get("action")
        return f"{name}.{action}" if action else name

    @property
    def guid(self) -> str:
        return self.headers["X-GitHub-Delivery"]

    @property
    def payload(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Receiver:
    """`status` is what it answers, when it has done what `first` does."""

    status: int = 202
    url: str = ""
    received: list[Received] = field(default_factory=list)
    first: Callable[[], object] = lambda: None

    @property
    def events(self) -> list[str]:
        return [each.event for each in self.received]

    def __call__(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        self.received.append(Received(Headers(list(request.headers)), request.get_data()))
        self.first()
        return Response(status=self.status)(environ, start_response)


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Tests look at what was received."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    server = make_server("127.0.0.1", 0, receiver, threaded=True, request_handler=_Quiet)
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
