"""The gateway as an ASGI application: two paths are cleaned and forwarded, everything else is answered here."""

from __future__ import annotations

import logging
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from bot.gateway.answers import STOP, Refusal, error_answer
from bot.gateway.forwarder import COUNT_TOKENS, MESSAGES, Forwarder
from bot.gateway.telling import Telling

log = logging.getLogger(__name__)


def build_app(forwarder: Forwarder, tell: Telling) -> Starlette:
    """Query strings are dropped: Claude Code sends `?beta=true`. Whatever is refused is told, too."""
    app = Starlette(
        routes=[
            Route(MESSAGES, forwarder.messages, methods=["POST"]),
            Route(COUNT_TOKENS, forwarder.count_tokens, methods=["POST"]),
        ],
        exception_handlers={
            Refusal: partial(_refused, tell),
            HTTPException: partial(_not_served, tell),
            ClientDisconnect: _gone,
            Exception: partial(_unexpected, tell),
        },
    )
    app.router.redirect_slashes = False
    return app


def _refused(tell: Telling, _: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    tell(refusal.event, f"a request {refusal.verb}: {refusal}", status=refusal.status, error=refusal.kind)
    return refusal.response


def _not_served(tell: Telling, request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path[:200]} is not served here"
    tell(Refusal.event, f"a request was refused: {message}", status=error.status_code)
    if error.status_code == 404:
        return error_answer(404, "not_found_error", message, STOP)
    return error_answer(error.status_code, "invalid_request_error", error.detail, error.headers)


def _gone(_: Request, __: Exception) -> Response:
    """The client left before its request was whole, or while it waited: nobody reads this."""
    return Response(status_code=400)


def _unexpected(tell: Telling, request: Request, error: Exception) -> Response:
    """Nothing more is forwarded, and a reservation that is still open is settled at its worst case when the gateway closes."""
    log.error("the gateway failed at %s", request.url.path, exc_info=error)
    tell(Refusal.event, f"a request was refused: the gateway failed ({type(error).__name__})", status=500)
    return error_answer(500, "api_error", "the gateway failed", STOP)
