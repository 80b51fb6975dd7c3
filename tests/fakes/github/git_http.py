"""Git over HTTP: `git http-backend`, for whoever's token allows it."""

from __future__ import annotations

from collections import defaultdict
from threading import Lock

from werkzeug.wrappers import Request, Response

from tests.fakes.forge.git_http import backend, is_write
from tests.fakes.forge.refusals import Refused, not_found
from tests.fakes.github import access
from tests.fakes.github.access import ANONYMOUS, Actor
from tests.fakes.github.changes import refs
from tests.fakes.github.changes.apps import LEVELS
from tests.fakes.github.records import Repository
from tests.fakes.github.state import State


class GitHttp:
    def __init__(self, state: State):
        self._state = state
        self._locks: dict[int, Lock] = defaultdict(Lock)

    def answer(self, request: Request, actor: Actor) -> Response:
        """Serve /ORG/NAME.git/…; pushed refs reach pull requests and webhooks before git hears that all went well."""
        full_name, _, rest = request.path.lstrip("/").partition(".git/")
        write = is_write(request, rest)
        with self._state.lock:
            repository = self._find(full_name)
            if repository.full_name.lower() != full_name.lower():
                location = f"{self._state.url}/{repository.full_name}.git/{rest}?{request.query_string.decode()}"
                return Response(status=301, headers={"Location": location})
            self._admit(actor, repository, write)
            rules = self._rules(actor, repository)
        if not write or request.method == "GET":
            return backend(request, repository, rest, rules)
        with self._locks[repository.id]:
            answer = backend(request, repository, rest, rules)
            with self._state.lock:
                refs.settle(self._state, repository, actor.name)
        return answer

    def _find(self, full_name: str) -> Repository:
        found = self._state.by_name.get(full_name.lower()) or self._state.moved(full_name)
        if found is None:
            raise not_found()
        return found

    def _admit(self, actor: Actor, repository: Repository, write: bool) -> None:
        if actor is ANONYMOUS and (write or repository.private):
            raise Refused(401, "Authentication required")
        try:
            access.require(actor, repository, ("contents",), "write" if write else "read")
        except Refused as refused:
            denied = f"Permission to {repository.full_name}.git denied to {actor.name.login}."
            raise Refused(refused.status, denied if refused.status == 403 else "Repository not found.") from None
        if write and repository.archived:
            raise Refused(403, "This repository was archived so it is read-only.")

    def _rules(self, actor: Actor, repository: Repository) -> dict[str, str]:
        """What the repository's update hook has to refuse."""
        rules = {}
        if repository.protections and (actor.account is None or not refs.is_admin(repository, actor.account)):
            rules["HUB_PROTECTED"] = " ".join(rule.pattern for rule in repository.protections)
        if actor.kind == "installation" and LEVELS[access.granted(actor, repository, "workflows")] < LEVELS["write"]:
            rules["HUB_NO_WORKFLOWS"] = "1"
        return rules
