"""/users, /user, /meta, /rate_limit."""

from __future__ import annotations

from tests.fakes.forge.refusals import Refused
from tests.fakes.github.payloads import basics as shapes
from tests.fakes.github.rest.routing import Call, Reply, on


@on("GET", "/users/<login>")
def get_user(call: Call, login: str) -> Reply:
    return Reply(200, shapes.public_user(call.state, call.state.account(login)))


@on("GET", "/user")
def get_me(call: Call) -> Reply:
    if call.actor.kind != "user":
        raise Refused(401 if call.actor.kind == "anonymous" else 403, "Resource not accessible by integration")
    return Reply(200, shapes.public_user(call.state, call.by))


@on("GET", "/meta")
def get_meta(call: Call) -> Reply:
    return Reply(200, {"verifiable_password_authentication": False, "installed_version": "3.19.0"})


@on("GET", "/rate_limit")
def get_rate_limit(call: Call) -> Reply:
    figures = call.limits.figures(call.actor.key)
    return Reply(200, {"resources": figures, "rate": figures["core"]})
