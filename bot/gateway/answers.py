"""Answers of the gateway's own, in the shape of the Messages API, so that any client understands them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from starlette.responses import JSONResponse

STOP = {"x-should-retry": "false"}
"""Without it Claude Code and the SDKs repeat a 5xx for minutes."""


class Refusal(Exception):
    """Ends a request with an error answer. `kind` is an error type of the Messages API; `event`, `verb` are the timeline's."""

    event: ClassVar[str] = "model_refused"
    verb: ClassVar[str] = "was refused"

    def __init__(self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None):
        super().__init__(message)
        self.status, self.kind, self.headers = status, kind, headers

    @property
    def response(self) -> JSONResponse:
        return error_answer(self.status, self.kind, str(self), self.headers)


class Failure(Refusal):
    """The way to the API failed, or what answered there is not the API."""

    event = "model_failed"
    verb = "failed"

    def __init__(self, message: str):
        super().__init__(502, "api_error", message)


def error_answer(status: int, kind: str, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(error_body(kind, message), status, headers)


def error_body(kind: str, message: str) -> dict[str, object]:
    return {"type": "error", "error": {"type": kind, "message": message}}


def bad_request(message: str) -> Refusal:
    return Refusal(400, "invalid_request_error", message)
