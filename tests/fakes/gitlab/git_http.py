"""Git over HTTP: `git http-backend`, for whoever's token and role allow it."""

from __future__ import annotations

from collections import defaultdict
from threading import Lock

from werkzeug.wrappers import Request, Response

from tests.fakes.forge.git_http import backend, is_write
from tests.fakes.forge.refusals import Refused
from tests.fakes.gitlab import access
from tests.fakes.gitlab.access import Actor
from tests.fakes.gitlab.changes import refs
from tests.fakes.gitlab.records import Level, Project
from tests.fakes.gitlab.state import State

NOT_FOUND = "The project you were looking for could not be found or you don't have permission to view it."
_READ = ("api", "read_api", "read_repository", "write_repository")
_WRITE = ("api", "write_repository")


class GitHttp:
    def __init__(self, state: State):
        self._state = state
        self._locks: dict[int, Lock] = defaultdict(Lock)

    def answer(self, request: Request, actor: Actor) -> Response:
        """Serve /GROUP/…/NAME.git/…; pushed refs reach merge requests and webhooks before git hears that all went well."""
        path, _, rest = request.path.lstrip("/").partition(".git/")
        write = is_write(request, rest)
        with self._state.lock:
            project = self._find(path)
            self._admit(actor, project, write)
            if project.full_path.lower() != path.lower():
                location = f"{self._state.url}/{project.full_path}.git/{rest}?{request.query_string.decode()}"
                return Response(status=301, headers={"Location": location})
            rules = self._rules(actor, project) if write else {}
        if not write or request.method == "GET":
            return backend(request, project, rest, rules)
        with self._locks[project.id]:
            answer = backend(request, project, rest, rules)
            with self._state.lock:
                refs.settle(self._state, project, actor.user)
        return answer

    def _find(self, path: str) -> Project:
        number = self._state.paths.get(path.lower())
        found = self._state.projects.get(number) if number else self._state.moved(path)
        if found is None:
            # Whoever is not signed in is asked to be, so that nobody learns what is there.
            raise Refused(401, "HTTP Basic: Access denied.")
        return found

    def _admit(self, actor: Actor, project: Project, write: bool) -> None:
        if actor.token is None:
            if write or project.visibility != "public":
                raise Refused(401, "HTTP Basic: Access denied.")
            return
        if not set(_WRITE if write else _READ) & set(actor.token.scopes):
            raise Refused(403, "You are not allowed to access this repository with a token of these scopes.")
        try:
            access.require(self._state, actor, project, Level.NONE, code=True)
        except Refused as refused:
            raise Refused(404 if refused.status == 404 else 403, NOT_FOUND) from None
        if write and not self._pushes(actor, project):
            raise Refused(403, "You are not allowed to push code to this project.")
        if write and project.archived:
            raise Refused(403, "You can't push code to a project that is archived.")

    def _pushes(self, actor: Actor, project: Project) -> bool:
        """Developers, and those whom a fork's merge request lets in."""
        if access.level_of(self._state, actor, project) >= Level.DEVELOPER:
            return True
        target = project.forked_from
        pulls = target.merge_requests.values() if target else ()
        letting = [each for each in pulls if each.source_project is project and each.allow_collaboration]
        return target is not None and bool(letting) and access.level_of(self._state, actor, target) >= Level.DEVELOPER

    def _rules(self, actor: Actor, project: Project) -> dict[str, str]:
        """What the repository's update hook has to refuse."""
        level = access.level_of(self._state, actor, project)
        rules = project.protections.values()
        refused = [rule.name for rule in rules if level < rule.push]
        unforced = [rule.name for rule in rules if not rule.allow_force_push]
        return {"HUB_NO_PUSH": " ".join(refused), "HUB_NO_FORCE": " ".join(unforced)}
