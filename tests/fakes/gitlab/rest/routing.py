"""How an operation is declared, called, and answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import quote, unquote, urlencode

from werkzeug.routing import Map, Rule

from tests.fakes.forge.refusals import Refused
from tests.fakes.forge.routing import Reply
from tests.fakes.gitlab import access
from tests.fakes.gitlab.access import Actor
from tests.fakes.gitlab.changes.projects import check_writable
from tests.fakes.gitlab.limits import Limits
from tests.fakes.gitlab.records import JSON, Level, Project, User
from tests.fakes.gitlab.state import State, bad_parameter
from tests.fakes.gitlab.webhooks import Webhooks

__all__ = ["READ_SCOPES", "WRITE_SCOPES", "Call", "Handler", "Reply", "Route", "declared", "on", "routes"]

LARGEST_PAGE = 100
UNCOUNTED = 10_000
"""Lists that are longer tell no totals."""


@dataclass
class Call:
    """One request, parsed. `given` are its parameters, from the query and the body alike."""

    state: State
    webhooks: Webhooks
    limits: Limits
    actor: Actor
    method: str
    url: str
    query: Mapping[str, str]
    given: JSON

    @property
    def by(self) -> User:
        return self.actor.user

    def required(self, name: str) -> Any:
        if self.given.get(name) in (None, ""):
            raise bad_parameter(f"{name} is missing")
        return self.given[name]

    def text(self, name: str, default: str = "") -> str:
        value = self.given.get(name)
        return default if value is None else str(value)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.given.get(name)
        return default if value in (None, "") else str(value).lower() in ("true", "1", "t", "yes")

    def maybe_flag(self, name: str) -> bool | None:
        return self.flag(name) if name in self.given else None

    def number(self, name: str, default: int) -> int:
        value = self.given.get(name)
        try:
            return default if value in (None, "") else int(value)
        except ValueError:
            raise bad_parameter(f"{name} is invalid") from None

    def words(self, name: str) -> list[str]:
        """A list that may come as one string with commas."""
        value = self.given.get(name)
        parts = value.split(",") if isinstance(value, str) else value or []
        return [str(each).strip() for each in parts if str(each).strip()]

    def numbers(self, name: str) -> list[int]:
        return [int(each) for each in self.words(name)]

    def day(self, name: str) -> date | None:
        value = self.given.get(name)
        try:
            return None if value in (None, "") else date.fromisoformat(str(value)[:10])
        except ValueError:
            raise bad_parameter(f"{name} is invalid") from None

    @property
    def page_size(self) -> int:
        return max(1, min(self.number("per_page", 20), LARGEST_PAGE))

    def page(self, items: Sequence[Any], build: Callable[[Any], Any]) -> Reply:
        """The asked-for page of a list, by its number."""
        size, number = self.page_size, max(1, self.number("page", 1))
        built = [build(item) for item in items[(number - 1) * size : number * size]]
        last = max(1, -(-len(items) // size))
        following = str(number + 1) if number < last else ""
        headers = {
            "X-Page": str(number),
            "X-Per-Page": str(size),
            "X-Next-Page": following,
            "X-Prev-Page": str(number - 1) if number > 1 else "",
        }
        links = {"prev": number - 1 if number > 1 else 0, "next": number + 1 if following else 0, "first": 1}
        if len(items) <= UNCOUNTED:
            headers |= {"X-Total": str(len(items)), "X-Total-Pages": str(last)}
            links["last"] = last
        told = [self._link(name, page=at, per_page=size) for name, at in links.items() if at]
        return Reply(200, built, {**headers, "Link": ", ".join(told)})

    def keyset(self, items: Iterable[Any], key: Callable[[Any], Any], build: Callable[[Any], Any], *, name: str) -> Reply:
        """What comes after the parameter `name` (the key of the last one seen, or a cursor of it); no totals are told."""
        every, size = list(items), self.page_size
        if (after := self.given.get(name)) is not None:
            place = next((at for at, each in enumerate(every) if _same(key(each), after)), len(every) - 1)
            every = every[place + 1 :]
        shown = every[:size]
        more = len(every) > size
        cursor = str(key(shown[-1])) if shown else ""
        link = {"Link": self._link("next", **{name: _cursor(cursor) if name == "cursor" else cursor})} if more else {}
        return Reply(200, [build(each) for each in shown], {"X-Per-Page": str(size), **link})

    def _link(self, rel: str, **changed: Any) -> str:
        return f'<{self.url}?{urlencode({**self.query, **changed})}>; rel="{rel}"'


def _cursor(key: str) -> str:
    return base64.urlsafe_b64encode(json.dumps({"id": key, "_kd": "n"}).encode()).decode()


def _same(key: Any, after: Any) -> bool:
    return str(key) == str(after) or _cursor(str(key)) == after


Handler = Callable[..., Reply]
READ_SCOPES, WRITE_SCOPES = ("api", "read_api"), ("api",)


@dataclass(frozen=True)
class Route:
    """`level` is what the asking user has to be in the project or group; `code` that its files are read."""

    method: str
    path: str
    handler: Handler
    level: Level
    code: bool
    scopes: tuple[str, ...]
    signed_in: bool

    def call(self, call: Call, arguments: Mapping[str, str]) -> Reply:
        access.require_scope(call.actor, *self.scopes)
        if self.signed_in:
            _ = call.by
        told = {name: unquote(value) for name, value in arguments.items()}
        which = told.pop("id", None)
        if self.path.startswith("/projects/<id>"):
            return self.handler(call, self._project(call, str(which)), **told)
        if self.path.startswith("/groups/<id>"):
            group = call.state.group(str(which))
            access.require_group(call.state, call.actor, group, self.level)
            return self.handler(call, group, **told)
        return self.handler(call, **told, **({} if which is None else {"number": which}))

    def _project(self, call: Call, which: str) -> Project:
        moved = None if which.isdigit() or which.lower() in call.state.paths else call.state.moved(which)
        found = moved or call.state.project(which)
        access.require(call.state, call.actor, found, self.level, code=self.code)
        if self.method != "GET" and not self.path.endswith(("archive", "/hooks", "/share", "/fork", "/<id>")):
            check_writable(found)
        if moved is not None:
            raise self._redirect(call, moved, which)
        return found

    def _redirect(self, call: Call, moved: Project, which: str) -> Refused:
        """To where it is found by its id; what is not read is not redirected."""
        if self.method != "GET":
            return Refused(405, "Non GET methods are not allowed for moved projects")
        query = f"?{urlencode(call.query)}" if call.query else ""
        place = call.url.replace(quote(which, safe=""), str(moved.id)) + query
        return Refused(302, f"This resource has been moved temporarily to {place}.", headers={"Location": place})


_routes: list[Route] = []


def on(
    method: str,
    path: str,
    level: Level = Level.NONE,
    *,
    code: bool = False,
    scopes: tuple[str, ...] = (),
    public: bool = False,
) -> Callable[[Handler], Handler]:
    """Declare an operation. `scopes` are those of which a token needs one, by default those of reading or writing.

    Only a `public` one, and reading what is visible to everybody, can be asked without a token.
    """
    usual = READ_SCOPES if method in ("GET", "HEAD") else WRITE_SCOPES
    if code and method in ("GET", "HEAD"):
        usual = (*usual, "read_repository", "write_repository")
    signed_in = not public and not (method in ("GET", "HEAD") and path.startswith(("/projects", "/groups", "/users")))

    def declare(handler: Handler) -> Handler:
        _routes.append(Route(method, path, handler, level, code, scopes or usual, signed_in))
        return handler

    return declare


def declared() -> list[Route]:
    """Every operation there is."""
    return list(_routes)


def routes() -> Map:
    """Every operation, by its path below /api/v4, whose variable parts are still encoded."""
    return Map([Rule(r.path, methods=[r.method], endpoint=r) for r in _routes], strict_slashes=False, merge_slashes=False)
