"""Every request to GitLab, REST and GraphQL: one place, with a governor, a timeout, and no retry that could write twice.

python-gitlab makes the requests and reads the answers; how they travel is here. Its own retries never see a failure, since this
session raises what the bot knows as errors. GraphQL passes here too, and not by python-gitlab's client for it: that one has
connections, retries and sleeps of its own, and asks for two more libraries to send a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

import requests
from gitlab import Gitlab
from gitlab.exceptions import GitlabParsingError

from bot import __version__
from bot.domain.repositories import Repository
from bot.errors import HostError, HostUnavailable, NotFound, Renamed
from bot.hosts.gitlab_errors import error_of, graphql_error
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

PAGE = 100
# GitLab bounds notes by themselves; a merge request or a status counts as any other request.
_CREATES = re.compile(r"/(notes|discussions)$")
_MOVED = re.compile(r"/api/v4/projects/\d+")
_OLD_NAME = re.compile(r"/api/v4/projects/([^/]+)")
_SEGMENT = re.compile(r"(?!\.{1,2}$)(?!.*\.(git|atom)$)[A-Za-z0-9_.][A-Za-z0-9_.-]{0,254}")


class Client(Gitlab):
    """python-gitlab's client of one instance, with `graphql`; threads may share it.

    Raises HostError, NotFound, HostUnavailable, HostLimited.
    """

    def __init__(self, url: str, token: str, governor: Governor | None = None, now: Now = lambda: datetime.now(UTC)):
        super().__init__(
            url,
            oauth_token=token,  # a bearer's, which GitLab takes of every kind of token
            session=_Session(url, governor or Unlimited(), now),
            timeout=READ_SECONDS,
            user_agent=f"whimbrel/{__version__}",
            per_page=100,
            keep_base_url=True,  # a page's link leads nowhere else
        )

    def graphql(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The `data` of a query. One that fails is tried a second time: large ones time out now and then."""
        try:
            return self._graphql(document, variables)
        except HostUnavailable as error:
            if error.retry_after is not None:
                raise
            return self._graphql(document, variables)

    def read(self, path: str, /, **query: Any) -> dict[str, Any]:
        return self._object(lambda: self.http_get(path, query_data=query))

    def create(self, path: str, /, **data: Any) -> dict[str, Any]:
        return self._object(lambda: self.http_post(path, post_data=data))

    def change(self, path: str, /, **data: Any) -> dict[str, Any]:
        return self._object(lambda: self.http_put(path, post_data=data))

    def pages(self, path: str, /, **query: Any) -> Iterator[dict[str, Any]]:
        """Every entry of a listing, page by page, as GitLab links them."""
        try:
            yield from self.http_list(path, query_data={"per_page": PAGE, **query}, iterator=True)
        except GitlabParsingError as error:
            raise self._no_json() from error

    def content(self, path: str) -> bytes:
        """Bytes as they are."""
        answer = self.http_get(path, raw=True)
        if not isinstance(answer, requests.Response):
            raise self._no_json()
        return bytes(answer.content)

    def _graphql(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        asked = {"query": document, "variables": dict(variables)}
        answer = self.create(f"{self.url}/api/graphql", **asked)
        errors, data = answer.get("errors") or [], answer.get("data")
        if errors or data is None:
            raise graphql_error(errors, document.partition("(")[0].strip())
        return dict(data)

    def _object(self, ask: Callable[[], Any]) -> dict[str, Any]:
        try:
            found = ask()
        except GitlabParsingError as error:
            raise self._no_json() from error
        if not isinstance(found, dict):  # python-gitlab gives what is no JSON as it came
            raise self._no_json()
        return found

    def _no_json(self) -> HostUnavailable:
        return HostUnavailable(f"{urlsplit(self.url).netloc} answered with something that is no JSON of its API")


class _Session(requests.Session):
    """What python-gitlab takes for its connection: nothing is sent to another place than the instance."""

    def __init__(self, url: str, governor: Governor, now: Now):
        super().__init__()
        self._url, self._governor, self._now = url, governor, now
        self._connections = Connections()

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """One exchange whose answer is good."""
        answer = self._exchange(request, kwargs)
        if answer.status_code == 405 and "moved projects" in str(json_of(answer)):  # GitLab redirects nothing but a GET
            answer = self._exchange(self._again(request, _OLD_NAME.match(_path(request))), kwargs)
            if answer.status_code < 300:
                raise HostUnavailable(f"{_path(request)} was moved, and is back by now")
        if 300 <= answer.status_code < 400:
            raise self._moved(request, answer, kwargs)
        if answer.status_code >= 400:
            what = f"{request.method} {_path(request)}"
            raise error_of(answer.status_code, lower(answer.headers), json_of(answer), what, self._now())
        return answer

    def _exchange(self, request: requests.PreparedRequest, how: Mapping[str, Any]) -> requests.Response:
        place = urlsplit(self._url).netloc
        if not (request.url or "").startswith(f"{self._url}/"):
            raise HostError(f"{place} leads to {urlsplit(request.url or '').netloc}", mend="check the host's URL")
        creates = request.method == "POST" and bool(_CREATES.search(_path(request)))
        ours = {**how, "timeout": (CONNECT_SECONDS, READ_SECONDS), "allow_redirects": False}
        with self._governor.request(creates=creates):
            try:
                answer = self._connections.session().send(request, **ours)
            except requests.RequestException as error:
                raise HostUnavailable(f"{place} cannot be reached ({type(error).__name__})") from error
        self._governor.observe(answer.status_code, lower(answer.headers))
        return answer

    def _moved(self, request: requests.PreparedRequest, answer: requests.Response, how: Mapping[str, Any]) -> HostError:
        """A project that has another name now: told, not followed, since what is kept about it has the old one."""
        place = urljoin(f"{self._url}/", answer.headers.get("Location", ""))
        project = _MOVED.match(urlsplit(place).path)
        if not place.startswith(f"{self._url}/") or project is None:
            elsewhere = urlsplit(place).netloc
            return HostError(f"{_path(request)} is redirected to {elsewhere}", mend="check the host's URL")
        found = self._exchange(self._again(request, project), how)
        name = json_of(found).get("path_with_namespace", "") if found.status_code == 200 else ""
        old = _OLD_NAME.match(_path(request))
        return renamed(unquote(old[1]) if old else _path(request), name)

    def _again(self, request: requests.PreparedRequest, project: re.Match[str] | None) -> requests.PreparedRequest:
        """A GET of the project alone, by the same token."""
        asked = request.copy()
        asked.method, asked.body, asked.url = "GET", None, f"{self._url}{project[0] if project else ''}"
        for name in ("Content-Length", "Content-Type"):
            asked.headers.pop(name, None)
        return asked


def full_path(repository: Repository) -> str:
    """GROUP/…/NAME. Raises NotFound for what cannot be a project's path."""
    path = repository.full_name
    if not repository.name or not all(map(_SEGMENT.fullmatch, path.split("/"))):
        raise NotFound(f"there is no repository {path} on GitLab")
    return path


def project_url(repository: Repository) -> str:
    """Below the API's: /projects/GROUP%2FNAME. Raises NotFound for what cannot be a project's path."""
    return f"/projects/{quote(full_path(repository), safe='')}"


def renamed(old: str, new: str) -> HostError:
    if new:
        return Renamed(old, new)
    return NotFound(f"{old} was renamed or moved to where the bot cannot see it", mend="let the token's account see it")


def _path(request: requests.PreparedRequest) -> str:
    return urlsplit(request.url or "").path
