"""POST /webhooks/HOST: a delivery is verified byte for byte as it came, stored, and answered. The work comes after the answer.

| status | when |
|---|---|
| 202 | it is stored; or it was before, and nothing is done |
| 400 | a header or the form is not as the host sends it |
| 401 | the signature is of no secret that is known |
| 404 | no such kind of host |
| 413 | more than 25 MB, read no further than that |
| 415 | neither JSON nor a form |
| 503 | there is no secret, or the database cannot be used: the log says which |
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from urllib.parse import parse_qs

from flask import Blueprint, Response, abort, jsonify, request

from bot.errors import UsageError
from bot.hosts.signers import Signer
from bot.hosts.webhooks import DIALECTS
from bot.services import Services
from bot.store import deliveries

LARGEST_DELIVERY = 25 * 1024 * 1024
JSON, FORM = "application/json", "application/x-www-form-urlencoded"

log = logging.getLogger(__name__)

Signers = Mapping[str, Callable[[], Sequence[Signer]]]
"""Whose secrets are valid now, by the kind of host. Raises ConfigurationError where they cannot be read."""


def blueprint(services: Services, signers: Signers) -> Blueprint:
    """The one view, for every kind of host that may have secrets."""
    webhooks = Blueprint("webhooks", __name__)

    @webhooks.post("/webhooks/<kind>")
    def receive(kind: str) -> tuple[Response, int]:
        if kind not in signers:
            abort(404)
        if request.mimetype not in (JSON, FORM):
            abort(415, description=f"a delivery is {JSON} or {FORM}")
        body, signed_by = _verified_body(kind, signers[kind](), services.clock.now())
        name = DIALECTS[kind].delivery_of(request.headers, body)
        payload = _payload_of_form(body) if request.mimetype == FORM else body
        with services.database.transaction() as tx:
            now = services.clock.now()
            fresh = deliveries.receive(tx, host=kind, id=name.id, event=name.event, body=payload, signers=signed_by, now=now)
        return jsonify(status="accepted" if fresh else "known"), 202

    return webhooks


def _verified_body(kind: str, known: Sequence[Signer], now: datetime) -> tuple[bytes, frozenset[str]]:
    """With who has signed it: of what nobody has, nothing is parsed, and no form is read. Raises ConfigurationError without a
    secret."""
    request.max_content_length = LARGEST_DELIVERY + 1  # Werkzeug cuts what comes in chunks there, and says nothing
    body = request.get_data(cache=False, parse_form_data=False)
    if len(body) > LARGEST_DELIVERY:
        abort(413)
    signed_by = DIALECTS[kind].verify(known, body, request.headers, now)
    if not signed_by:
        log.warning("a delivery for %s was refused: no secret that is known has signed it, or not within five minutes", kind)
        abort(401, description="the signature is of no secret that is known")
    return body, signed_by


def _payload_of_form(body: bytes) -> bytes:
    try:
        fields = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=10)
    except ValueError as error:
        raise UsageError("the form cannot be read") from error
    if "payload" not in fields:
        raise UsageError("the form has no field `payload`")
    return fields["payload"][0].encode()
