"""Git over HTTP: `git http-backend`, for whoever's token allows it."""

from __future__ import annotations

import os
import subprocess
from collections import defaultdict
from threading import Lock

from werkzeug.wrappers import Request, Response

from tests.fakes.github import access
from tests.fakes.github.access import ANONYMOUS, Actor
from tests.fakes.github.changes import refs
from tests.fakes.github.changes.apps import LEVELS
from tests.fakes.github.records import Repository
from tests.fakes.github.state import Refused, State, not_found


class GitHttp:
    def __init__(self, state: State):
        self._state = state
        self._locks: dict[int, Lock] = defaultdict(Lock)

    def answer(self, request: Request, actor: Actor) -> Response:
        """Serve /ORG/NAME.git/…; pushed refs reach pull requests and webhooks before git hears that all went well."""
        full_name, _, rest = request.path.lstrip("/").partition(".git/")
        service = request.args.get("service") or rest
        write = service == "git-receive-pack"
        with self._state.lock:
            repository = self._find(full_name)
            if repository.full_name.lower() != full_name.lower():
                location = f"{self._state.url}/{repository.full_name}.git/{rest}?{request.query_string.decode()}"
                return Response(status=301, headers={"Location": location})
            self._admit(actor, repository, write)
            rules = self._rules(actor, repository)
        if not write or request.method == "GET":
            return _backend(request, repository, rest, rules)
        with self._locks[repository.id]:
            answer = _backend(request, repository, rest, rules)
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


def _backend(request: Request, repository: Repository, rest: str, rules: dict[str, str]) -> Response:
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_PROJECT_ROOT": str(repository.path),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
        "PATH_INFO": f"/{rest}",
        "REQUEST_METHOD": request.method,
        "QUERY_STRING": request.query_string.decode(),
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "REMOTE_USER": "hub",
        **rules,
    }
    body = request.get_data()
    environment["CONTENT_LENGTH"] = str(len(body))
    ran = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=True)
    head, _, content = ran.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
    status = int(headers.pop("Status", "200").split()[0])
    return Response(content, status, headers)
