"""The REST API: a module a part of it, each operation declared by `on`."""

from tests.fakes.gitlab.rest import (
    code,
    groups,
    hooks,
    issues,
    merge_requests,
    notes,
    pipelines,
    projects,
    tokens,
    users,
)
from tests.fakes.gitlab.rest.routing import Call, Reply, Route, declared, routes

__all__ = [
    "Call",
    "Reply",
    "Route",
    "declared",
    "routes",
    "code",
    "groups",
    "hooks",
    "issues",
    "merge_requests",
    "notes",
    "pipelines",
    "projects",
    "tokens",
    "users",
]
