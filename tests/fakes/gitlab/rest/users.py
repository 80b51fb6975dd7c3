"""/user, /users, and what the instance tells of itself."""

from __future__ import annotations

from tests.fakes.gitlab.payloads.basics import oneself, public_user, user
from tests.fakes.gitlab.rest.routing import READ_SCOPES, Call, Reply, on

ANY_USER = (*READ_SCOPES, "read_user")


@on("GET", "/user", scopes=ANY_USER)
def get_self(call: Call) -> Reply:
    return Reply(200, oneself(call.state, call.by))


@on("GET", "/users", scopes=ANY_USER)
def list_users(call: Call) -> Reply:
    """Without a username, only somebody who is signed in gets any."""
    wanted = call.text("username").lower()
    if not wanted:
        _ = call.by
    found = [each for each in call.state.users.values() if wanted in ("", each.username.lower())]
    return call.page(found, lambda each: user(call.state, each))


@on("GET", "/users/<number>", scopes=ANY_USER)
def get_user(call: Call, number: str) -> Reply:
    return Reply(200, public_user(call.state, call.state.user(int(number))))


@on("GET", "/version", scopes=ANY_USER)
def get_version(call: Call) -> Reply:
    return Reply(200, {"version": call.state.version, "revision": "0fake00"})


@on("GET", "/metadata", scopes=ANY_USER)
def get_metadata(call: Call) -> Reply:
    kas = {"enabled": False, "externalUrl": None, "externalK8sProxyUrl": None, "version": None}
    enterprise = call.state.version.endswith("-ee")
    return Reply(200, {"version": call.state.version, "revision": "0fake00", "kas": kas, "enterprise": enterprise})
