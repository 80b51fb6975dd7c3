"""Every request to GitHub, REST and GraphQL: one place, with a governor, a timeout, and no retry that could write twice.

PyGithub makes the requests and reads the answers; how they travel is here, because its own connections retry POSTs, sleep, drop
the query of what they follow after a redirect, and mix up two threads' requests.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from github.Auth import Auth
from github.Requester import Requester, RequestsResponse

from bot import __version__
from bot.domain.repositories import Repository
from bot.errors import HostError, HostUnavailable, NotFound, Renamed
from bot.hosts.github_credentials import GITHUB
from bot.hosts.github_errors import error_of, graphql_error, is_limit
from bot.hosts.http_transport import (
    CONNECT_SECONDS,
    READ_SECONDS,
    Connections,
    Governor,
    Now,
    Unlimited,
    json_of,
    lower,
)

_KEPT_ANSWERS, _KEPT_BYTES = 500, 200_000
_WRITE_POINTS = 5
# What GitHub's reference marks as "creating content too quickly using this endpoint may result in secondary rate limiting".
_CREATES = re.compile(r"/repos/[^/]+/[^/]+/(pulls|issues)(/\d+/(comments|reviews|requested_reviewers))?$")
_MOVED = re.compile(r".*/repositories/\d+")
_SEGMENT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}")
# PyGithub logs whole answers when debugging, minted tokens too. This logger has no handler and no parent.
_SILENT = logging.Logger("github", logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where an instance answers; `web` is https://github.com or a GHES' own URL, without a slash at its end."""

    web: str

    @property
    def api(self) -> str:
        return "https://api.github.com" if self.web == GITHUB else f"{self.web}/api/v3"

    @property
    def name(self) -> str:
        return urlsplit(self.web).netloc


class Transport:
    """The way to one instance, for one org; threads may share it. Raises HostError, NotFound, HostUnavailable, HostLimited."""

    def __init__(self, endpoints: Endpoints, governor: Governor | None = None, now: Now = lambda: datetime.now(UTC)):
        self.endpoints, self._now = endpoints, now
        self._governor: Governor = governor or Unlimited()
        self._lock, self._connections = threading.Lock(), Connections()
        self._kept: OrderedDict[str, requests.Response] = OrderedDict()

    def client(self, auth: Auth) -> Client:
        return Client(self, auth)

    def send(self, verb: str, target: str, body: str | None, headers: dict[str, str]) -> requests.Response:
        """One exchange. `target` is the path with its query. A GET whose answer is known costs nothing when it still holds."""
        what = f"{verb} {target.partition('?')[0]}"
        kept = self._kept.get(target) if verb == "GET" else None
        if kept is not None:
            headers = {**headers, "If-None-Match": kept.headers["ETag"]}
        answer = self._exchange(verb, target, body, headers)
        if kept is not None and answer.status_code == 304:
            return kept
        if 300 <= answer.status_code < 400:
            raise self._moved(target, answer, headers)
        if answer.status_code >= 400:
            raise error_of(answer.status_code, lower(answer.headers), json_of(answer), what, self._now())
        if verb == "GET" and "ETag" in answer.headers and len(answer.content) <= _KEPT_BYTES:
            self._keep(target, answer)
        return answer

    def _exchange(self, verb: str, target: str, body: str | None, headers: dict[str, str]) -> requests.Response:
        reads = verb == "GET" or (body is not None and body.startswith('{"query": "query'))
        path = target.partition("?")[0]
        with self._governor.request(
            points=1 if reads else _WRITE_POINTS, creates=verb == "POST" and bool(_CREATES.search(path))
        ):
            try:
                answer = self._connections.session().request(
                    verb,
                    urljoin(self.endpoints.api, target),
                    data=None if body is None else body.encode(),
                    headers=headers,
                    timeout=(CONNECT_SECONDS, READ_SECONDS),
                    allow_redirects=False,
                )
            except requests.RequestException as error:
                raise HostUnavailable(f"{self.endpoints.name} cannot be reached ({type(error).__name__})") from error
        given = lower(answer.headers)
        limited = is_limit(answer.status_code, given, json_of(answer) if answer.status_code == 403 else None)
        self._governor.observe(429 if limited else answer.status_code, given)
        return answer

    def _moved(self, target: str, answer: requests.Response, headers: dict[str, str]) -> HostError:
        """A repository that has another name now: told, not followed, since what is kept about it has the old one."""
        place = urlsplit(urljoin(self.endpoints.api, answer.headers.get("Location", "")))
        repository = _MOVED.match(place.path)
        if place.netloc != urlsplit(self.endpoints.api).netloc or repository is None:
            return HostError(f"{self.endpoints.name} redirects {target} to {place.netloc}", mend="check the host's URL")
        old = re.search(r"/repos/([^/]+/[^/?]+)", target)
        found = self._exchange("GET", repository[0], None, headers)
        name = json_of(found).get("full_name", "") if found.status_code == 200 else ""
        return renamed(old[1] if old else target, name)

    def _keep(self, target: str, answer: requests.Response) -> None:
        with self._lock:
            self._kept[target] = answer
            self._kept.move_to_end(target)
            while len(self._kept) > _KEPT_ANSWERS:
                self._kept.popitem(last=False)


class Client(Requester):
    """PyGithub's requester on our transport: what its objects ask passes here, and so does `graphql`.

    It is lazy: an object that is named is not fetched until something unknown of it is read.
    """

    def __init__(self, transport: Transport, auth: Auth):
        self._transport = transport
        super().__init__(
            auth=auth,
            base_url=transport.endpoints.api,
            timeout=READ_SECONDS,
            user_agent=f"whimbrel/{__version__}",
            per_page=100,
            verify=True,
            retry=0,
            pool_size=None,
            seconds_between_requests=0,
            seconds_between_writes=0,
            lazy=True,
        )

    def requestJson(
        self,
        verb: str,
        url: str,
        parameters: dict[str, Any] | None = None,
        headers: dict[str, Any] | None = None,
        input: Any | None = None,
        cnx: Any = None,  # noqa: ARG002
        follow_302_redirect: bool = False,  # noqa: ARG002
    ) -> tuple[int, dict[str, Any], str]:
        connection: Any = _Connection(self._transport)  # taken for what it can do
        return super().requestJson(verb, url, parameters, headers, input, connection)

    def requestJsonAndCheck(self, *args: Any, **kwargs: Any) -> tuple[dict[str, Any], Any]:
        try:
            return super().requestJsonAndCheck(*args, **kwargs)
        except ValueError as error:
            raise HostUnavailable(f"{self._transport.endpoints.name} answered with something that is no JSON") from error

    def graphql(self, document: str, variables: Mapping[str, Any], *, missing_is_null: bool = False) -> dict[str, Any]:
        """The `data` of a query or mutation. `missing_is_null`: what is not found is null in it, and no error.

        A query that fails is tried a second time: large ones meet a 502 now and then.
        """
        try:
            return self._graphql(document, variables, missing_is_null)
        except HostUnavailable as error:
            if error.retry_after is not None or not document.startswith("query"):
                raise
            return self._graphql(document, variables, missing_is_null)

    def graphql_query(self, query: str, variables: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """PyGithub's own objects ask through this."""
        return {}, {"data": self.graphql(query, variables)}

    def _graphql(self, document: str, variables: Mapping[str, Any], missing_is_null: bool) -> dict[str, Any]:
        asked = {"query": document, "variables": dict(variables)}
        _, answer = self.requestJsonAndCheck("POST", self.graphql_url, input=asked)
        errors = [error for error in answer.get("errors") or [] if not _is_hidden(error)]
        data: dict[str, Any] | None = answer.get("data")
        forgivable = missing_is_null and all(error.get("type") == "NOT_FOUND" for error in errors)
        if data is None or (errors and not forgivable):
            raise graphql_error(errors, document.partition("(")[0].strip())
        return data

    @property
    def _logger(self) -> logging.Logger:
        return _SILENT


class _Connection:
    """What PyGithub takes for its connection: one request, then its answer."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def request(self, verb: str, url: str, body: str | None, headers: dict[str, str], stream: bool = False) -> None:  # noqa: ARG002
        self._asked = (verb, url, body, headers)

    def getresponse(self) -> RequestsResponse:
        return RequestsResponse(self._transport.send(*self._asked))


def rest_path(repository: Repository) -> str:
    """/repos/ORG/NAME. Raises NotFound for what cannot be a repository's name on GitHub."""
    org, name = repository.org, repository.name
    if not _SEGMENT.fullmatch(org) or not _SEGMENT.fullmatch(name) or name.endswith(".git"):
        raise NotFound(f"there is no repository {repository.full_name} on GitHub")
    return f"/repos/{org}/{name}"


def renamed(old: str, new: str) -> HostError:
    if new:
        return Renamed(old, new)
    return NotFound(f"{old} was renamed or transferred to where the bot cannot see it", mend="install the bot there")


def _is_hidden(error: Mapping[str, Any]) -> bool:
    """A token may read a pull request, and not what CI says of it: that is null then, and all the rest is told."""
    return error.get("type") == "FORBIDDEN" and (error.get("path") or [""])[-1] == "statusCheckRollup"
