"""The REST API: one function an operation, gathered by importing every module of this package."""

from tests.fakes.github.rest import apps, checks, contents, gitdata, issues, orgs, pulls, repos, users
from tests.fakes.github.rest.routing import Call, Reply, Route, routes

__all__ = [
    "Call",
    "Reply",
    "Route",
    "routes",
    "apps",
    "checks",
    "contents",
    "gitdata",
    "issues",
    "orgs",
    "pulls",
    "repos",
    "users",
]
