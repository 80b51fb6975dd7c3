"""How an operation is declared, called, and answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from werkzeug.routing import Map, Rule

from tests.fakes.forge.refusals import Refused
from tests.fakes.forge.routing import Reply
from tests.fakes.github.access import Actor
from tests.fakes.github.access import require as require_access
from tests.fakes.github.limits import Limits
from tests.fakes.github.records import JSON, Account, App, Repository
from tests.fakes.github.state import State
from tests.fakes.github.webhooks import Webhooks

__all__ = ["Call", "Handler", "Reply", "Route", "on", "routes"]

LARGEST_PAGE = 100


@dataclass
class Call:
    """One request, parsed. `body` is its JSON object, or what stood in place of one."""

    state: State
    webhooks: Webhooks
    limits: Limits
    actor: Actor
    method: str
    url: str
    query: Mapping[str, str]
    accept: str = ""
    body: Any = None

    @property
    def by(self) -> Account:
        return self.actor.name

    @property
    def app(self) -> App:
        """The app that asks by its JWT."""
        if self.actor.kind != "app" or self.actor.app is None:
            raise Refused(401, "A JSON web token could not be decoded")
        return self.actor.app

    def given(self, *names: str) -> JSON:
        """Those of the body's fields that are there."""
        return {name: self.body[name] for name in names if name in (self.body or {})}

    def required(self, name: str) -> Any:
        if not isinstance(self.body, dict) or self.body.get(name) is None:
            raise Refused(422, f'Invalid request.\n\n"{name}" wasn\'t supplied.')
        return self.body[name]

    def page(self, items: Sequence[Any], build: Callable[[Any], Any], *, key: str = "") -> Reply:
        """The asked-for page of a list, wrapped with its total where `key` names it."""
        size = max(1, min(int(self.query.get("per_page", 30)), LARGEST_PAGE))
        number = max(1, int(self.query.get("page", 1)))
        built = [build(item) for item in items[(number - 1) * size : number * size]]
        body = {"total_count": len(items), key: built} if key else built
        return Reply(200, body, self._links(number, -(-len(items) // size)))

    def _links(self, number: int, last: int) -> dict[str, str]:
        others = {"prev": number - 1, "next": number + 1, "last": last, "first": 1}
        shown = [name for name in others if (number > 1 if name in ("prev", "first") else number < last)]
        links = [f'<{self.url}?{urlencode({**self.query, "page": others[name]})}>; rel="{name}"' for name in shown]
        return {"Link": ", ".join(links)} if links else {}


Handler = Callable[..., Reply]


@dataclass(frozen=True)
class Route:
    """`needs` are the permissions of which one has to have `level` (none: the handler looks itself); `person` is the role asked
    of a person; `content` tells that it makes what GitHub counts as content."""

    method: str
    path: str
    handler: Handler
    needs: tuple[str, ...]
    level: str
    person: str
    content: bool

    def call(self, call: Call, arguments: dict[str, Any]) -> Reply:
        if "owner" not in arguments:
            return self.handler(call, **arguments)
        repository = self._repository(call, f"{arguments['owner']}/{arguments['repo']}")
        return self.handler(call, repository, **{name: arguments[name] for name in arguments.keys() - {"owner", "repo"}})

    def _repository(self, call: Call, full_name: str) -> Repository:
        found = call.state.repository(full_name)
        if self.needs:
            require_access(call.actor, found, self.needs, self.level, of_person=self.person)
        if self.level != "read" and found.archived and self.method != "GET":
            raise Refused(403, "Repository was archived so is read-only.")
        return found


_routes: list[Route] = []


def on(method: str, path: str, needs: str = "", *, person: str = "", content: bool = False) -> Callable[[Handler], Handler]:
    """Declare an operation. `needs` is `permission:level`, with `|` between permissions of which one is enough."""
    permissions, _, level = needs.partition(":")

    def declare(handler: Handler) -> Handler:
        needed = tuple(filter(None, permissions.split("|")))
        _routes.append(Route(method, path, handler, needed, level or "read", person, content))
        return handler

    return declare


def routes() -> Map:
    """Every operation, by its path below /api/v3."""
    return Map([Rule(r.path, methods=[r.method], endpoint=r) for r in _routes], strict_slashes=False, merge_slashes=False)
