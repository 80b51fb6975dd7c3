"""A reverse proxy to package registries, on a unix socket: it gives, by GET and HEAD, and takes nothing.

`/@HOST/PATH` asks that host, if the operator named it. No header and no query of the client leaves. Redirects are followed
here, to named hosts alone. Links to named hosts, in an index, are made to lead back here.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from bot.domain.registries import INSIDE, Registry
from bot.ports import OnFetch

MAX_REQUESTS = 10_000
MAX_BYTES = 2 << 30
"""Of all answers together."""
MAX_INDEX_BYTES = 64 << 20
MAX_PATH = 2_000
MAX_REDIRECTS = 5
_PASSED = ("content-type", "content-length", "last-modified", "etag")
_INDEXES = ("text/html", "application/json", "application/vnd.pypi.simple", "application/vnd.npm.install")
_PATH = re.compile(r"/@(?P<host>(?:[a-z0-9.:\[\]-]|%3A){1,255})(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)")


class _Refused(Exception):
    def __init__(self, status: int, words: str):
        super().__init__(words)
        self.status = status


@dataclass(slots=True)
class Registries:
    """The ASGI application of one preparation. `on_fetch` is told of every URL that was asked for, and how it was answered."""

    registries: Sequence[Registry]
    on_fetch: OnFetch
    requests: int = 0
    size: int = 0
    _client: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        self._client = httpx.AsyncClient(
            headers={"user-agent": "whimbrel", "accept-encoding": "identity"},
            timeout=httpx.Timeout(60, connect=10), trust_env=False, verify=ssl.create_default_context(),
        )  # fmt: skip

    def app(self) -> Starlette:
        app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "HEAD"])])
        app.router.redirect_slashes = False
        return app

    async def close(self) -> None:
        await self._client.aclose()

    @property
    def origins(self) -> Mapping[str, str]:
        return {host: origin for registry in self.registries for host, origin in registry.origins.items()}

    async def _answer(self, request: Request) -> Response:
        url = ""
        try:
            url = self._url(request)
            return await self._forwarded(request.method, url)
        except _Refused as refused:
            self.on_fetch(url or request.url.path[:200], refused.status)
            return PlainTextResponse(f"{refused}\n", refused.status)
        except httpx.HTTPError as error:
            self.on_fetch(url, 502)
            return PlainTextResponse(f"{url} cannot be reached: {error}\n", 502)

    def _url(self, request: Request) -> str:
        raw = request.scope["raw_path"].decode("ascii", "replace")
        found = _PATH.fullmatch(raw)
        if found is None or len(raw) > MAX_PATH or request.scope["query_string"]:
            raise _Refused(400, "ask for /@HOST/PATH, with no query")
        host = found["host"].replace("%3A", ":")  # pip writes the colon before a port so
        if host not in self.origins:
            raise _Refused(403, f"{host} is no host of a registry that the operator named")
        return f"{self.origins[host]}{found['path']}"

    async def _forwarded(self, method: str, url: str) -> Response:
        for _ in range(MAX_REDIRECTS + 1):
            self._count()
            answer = await self._client.send(self._client.build_request(method, url), stream=True)
            self.on_fetch(url, answer.status_code)
            if not answer.is_redirect:
                return await self._given(method, answer)
            await answer.aclose()
            url = self._redirected(url, answer.headers.get("location", ""))
        raise _Refused(502, f"more than {MAX_REDIRECTS} redirects")

    def _count(self) -> None:
        self.requests += 1
        if self.requests > MAX_REQUESTS:
            raise _Refused(429, f"more than {MAX_REQUESTS:,} requests")

    def _redirected(self, url: str, location: str) -> str:
        target = urlsplit(urljoin(url, location))
        origin = self.origins.get(target.netloc.lower())
        if origin is None or not origin.startswith(f"{target.scheme}://"):
            raise _Refused(403, f"{url} leads to {target.netloc or 'nowhere'}, which the operator did not name")
        return f"{origin}{target.path}"

    async def _given(self, method: str, answer: httpx.Response) -> Response:
        headers = {name: answer.headers[name] for name in _PASSED if name in answer.headers}
        if method == "HEAD":
            await answer.aclose()
            return Response(status_code=answer.status_code, headers=headers)
        if not headers.get("content-type", "").startswith(_INDEXES):
            return StreamingResponse(self._bounded(answer, MAX_BYTES), answer.status_code, headers)
        content = b"".join([chunk async for chunk in self._bounded(answer, MAX_INDEX_BYTES)])
        headers.pop("content-length", None)
        return Response(self._led_back(content, answer.url), answer.status_code, headers)

    async def _bounded(self, answer: httpx.Response, most: int) -> AsyncIterator[bytes]:
        """Raised in the midst of an answer, a refusal breaks the connection: the client sees that it is not whole."""
        size = 0
        try:
            async for chunk in answer.aiter_raw():
                size += len(chunk)
                self.size += len(chunk)
                if size > most or self.size > MAX_BYTES:
                    raise _Refused(507, f"{answer.url} is too large, or all answers together are")
                yield chunk
        finally:
            await answer.aclose()

    def _led_back(self, content: bytes, url: httpx.URL) -> bytes:
        for host, origin in self.origins.items():
            content = content.replace(f"{origin}/".encode(), f"{INSIDE}/@{host}/".encode())
        own = f"{INSIDE}/@{url.netloc.decode().lower()}/".encode()
        return re.sub(rb"""(href=["'])/(?!/)""", lambda found: found[1] + own, content)
