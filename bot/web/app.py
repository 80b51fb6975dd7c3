"""The web application. Until there is sign-in, nobody off this machine sees more of it than OPEN."""

from __future__ import annotations

import ipaddress
import logging
import os
import re
from functools import partial

from flask import Flask, Response, abort, jsonify, request
from redis import RedisError
from werkzeug.exceptions import HTTPException

from bot.config import Settings
from bot.errors import ConfigurationError, StoreError, UsageError, WhimbrelError
from bot.hosts import github_credentials, gitlab_credentials
from bot.queue.connection import connect_briefly
from bot.queue.server import running_server
from bot.services import Services
from bot.web import metrics, setup, webhooks

OPEN = ("/webhooks/", "/setup/", "/health")
"""Where these paths begin, whoever asks is answered: by a signature, a one-time token, and nothing that is secret."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
"""Of every answer; a page that needs more says so itself."""

_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")
_STATUS: dict[type[WhimbrelError], int] = {UsageError: 400, ConfigurationError: 503, StoreError: 503}

log = logging.getLogger(__name__)


def create_app(services: Services, settings: Settings) -> Flask:
    """The application of one process; `services` are its own."""
    app = Flask(__name__, static_folder=None)
    kinds = {"github": github_credentials, "gitlab": gitlab_credentials}
    signers = {kind: partial(module.webhook_signers, settings.home, os.environ) for kind, module in kinds.items()}
    app.register_blueprint(webhooks.blueprint(services, signers))
    app.register_blueprint(setup.blueprint(settings.home, services.clock))
    app.register_blueprint(metrics.blueprint(services))
    app.before_request(_refuse_strangers)
    app.after_request(_add_headers)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(WhimbrelError, _our_error)

    @app.get("/health")
    def health() -> tuple[Response, int]:
        """Deliveries are taken as long as the database is there; without Redis nothing is lost, and nothing is attempted."""
        database, redis = _database_answers(services), _redis_answers(settings)
        status = "ok" if database and redis else "degraded" if database else "down"
        return jsonify(status=status, database=database, redis=redis), 200 if database else 503

    return app


def _refuse_strangers() -> None:
    if not request.path.startswith(OPEN) and not _is_local():
        abort(404)


def _is_local() -> bool:
    """From this machine, by its own name for itself, and not for somebody else: a proxy or a tunnel here is a stranger."""
    if any(name in request.headers for name in _FORWARDED):
        return False
    return _is_loopback(request.remote_addr or "") and _is_loopback(_host_name(request.host))


def _is_loopback(address: str) -> bool:
    try:
        return address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _host_name(host: str) -> str:
    """Without its port; [::1] without its brackets."""
    return re.sub(r":\d+$", "", host).strip("[]")


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _http_error(error: HTTPException) -> tuple[Response, int]:
    return jsonify(error=error.description), error.code or 500


def _our_error(error: WhimbrelError) -> tuple[Response, int]:
    """What a stranger is told of an error of ours is that there is one; the log says which."""
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
    if status == 400:
        return jsonify(error=str(error)), status
    log.error("%s %s cannot be answered: %s", request.method, request.path, error.explanation)
    return jsonify(error="this cannot be answered now; the log of `whimbrel web` says why"), status


def _database_answers(services: Services) -> bool:
    try:
        services.database.require_current()
    except StoreError as error:
        log.warning("the database is not there: %s", error.explanation)
        return False
    return True


def _redis_answers(settings: Settings) -> bool:
    url = running_server(settings.home, settings.redis_url)
    if url is None:
        return False
    with connect_briefly(url) as redis:
        try:
            return bool(redis.ping())
        except RedisError:
            return False
