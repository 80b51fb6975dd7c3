"""The HTTP server of a fake: applies the faults, keeps the log, and the errors of the fake itself."""

from __future__ import annotations

import json
import socket
import struct
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from threading import Thread
from typing import Any

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from bot.ports import Clock
from tests.fakes.forge.faults import Fault, Faults


@dataclass(frozen=True)
class Exchange:
    """One request as the log has it. `token` is what came with it, for tests that look where it went."""

    at: datetime
    method: str
    path: str
    status: int
    user_agent: str
    token_kind: str
    token: str = field(repr=False, default="")


class Server:
    """Serves what `answer` makes of a request, from `start` to `stop`. `answer` notes each in the log itself."""

    def __init__(self, clock: Clock, faults: Faults, answer: Callable[[Request], Response]):
        self._clock, self._faults, self._answer = clock, faults, answer
        self.log: list[Exchange] = []
        self.errors: list[str] = []
        """What went wrong in the fake itself."""
        self._server: BaseWSGIServer = make_server("127.0.0.1", 0, self._wsgi, threaded=True, request_handler=_Handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), name="hub", daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def note(self, request: Request, status: int, token_kind: str = "anonymous", token: str = "") -> None:
        agent = request.headers.get("User-Agent", "")
        self.log.append(Exchange(self._clock.now(), request.method, request.path, status, agent, token_kind, token))

    def _wsgi(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        request.get_data()
        fault = self._faults.strike(request.method, request.path)
        try:
            response = self._with_fault(request, fault) if fault else self._answer(request)
        except ConnectionAbortedError:
            raise
        except Exception:
            # Only a server's thread hears of it here: the test has to fail.
            self.errors.append(f"{request.method} {request.path}: {traceback.format_exc()}")
            raise
        return response(environ, start_response)

    def _with_fault(self, request: Request, fault: Fault) -> Response:
        if fault.delay:
            time.sleep(fault.delay)
        response = self._answer(request) if fault.after_write or (fault.status is None and not fault.reset) else None
        if fault.reset:
            raise ConnectionAbortedError
        if fault.status is None and response is not None:
            return response
        self.note(request, fault.status or 500)
        body = fault.body if fault.body is not None else {"message": "Server Error"}
        return answered(fault.status or 500, body, fault.headers)


def answered(status: int, body: Any, headers: Any = None) -> Response:
    """A JSON answer; without a body where it is None."""
    content = b"" if body is None else json.dumps(body).encode()
    kind = None if body is None else "application/json; charset=utf-8"
    return Response(content, status, dict(headers or {}), content_type=kind)


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    dropped = False

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
        self.dropped = self.close_connection = True

    def finish(self) -> None:
        """Reset a connection that a fault has dropped: the peer reads ECONNRESET, and not an end."""
        if self.dropped:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        super().finish()
        if self.dropped:
            self.connection.close()

    def log(self, type: str, message: str, *args: Any) -> None:
        """The hub's own log is enough."""
