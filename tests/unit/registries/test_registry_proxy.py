from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from pydantic import ValidationError

from bot.domain.registries import INSIDE, Registry
from bot.registries import proxy
from bot.registries.server import RegistryServer
from tests.fakes.registry import Answers, Served, serve

HTML = {"content-type": "text/html"}


@contextmanager
def opened(folder: Path, answers: Answers, hosts: tuple[str, ...] = ()) -> Iterator[tuple[httpx.Client, Served, list[str]]]:
    fetched: list[str] = []
    with serve(answers) as served:
        registry = Registry(url=f"{served.url}/simple", hosts=hosts)
        with RegistryServer(folder / "sock", [registry], lambda url, status: fetched.append(f"{status} {url}"), None):
            transport = httpx.HTTPTransport(uds=str(folder / "sock" / "proxy.sock"))
            with httpx.Client(transport=transport, base_url=f"http://inside/@{urlsplit(served.url).netloc}") as client:
                yield client, served, fetched


def test_it_gives_what_the_registry_has_and_tells_of_it(tmp_path: Path) -> None:
    with opened(tmp_path, {"/simple/a/": (200, {"content-type": "application/x-tar", "set-cookie": "a=b"}, b"bytes")}) as (
        client, served, fetched,
    ):  # fmt: skip
        answer = client.get("/simple/a/", headers={"authorization": "Bearer secret", "cookie": "x", "x-data": "y"})
        assert (answer.status_code, answer.content, "set-cookie" in answer.headers) == (200, b"bytes", False)
        assert client.head("/simple/a/").headers["content-length"] == "5"
        assert client.get("/simple/none/").status_code == 404
        assert not {"authorization", "cookie", "x-data"} & served.headers[0].keys()
        assert fetched == [
            f"{status} {served.url}/simple/{path}" for status, path in ((200, "a/"), (200, "a/"), (404, "none/"))
        ]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "CONNECT", "OPTIONS"])
def test_it_takes_nothing(tmp_path: Path, method: str) -> None:
    with opened(tmp_path, {}) as (client, served, _):
        assert client.request(method, "/simple/a/", content=b"data").status_code == 405
        assert served.asked == []


@pytest.mark.parametrize(
    ("path", "status"),
    [("/simple/a?data=secret", 400), (f"/simple/{'a' * 2_000}", 400), ("/simple/a b", 400), ("/simple/%0d%0a", 404)],
)
def test_what_is_no_plain_path_is_refused(tmp_path: Path, path: str, status: int) -> None:
    with opened(tmp_path, {}) as (client, served, _):
        if " " in path:
            path = path.replace(" ", "\\")
        assert client.get(path).status_code == status
        assert len(served.asked) == (status == 404)


def test_other_hosts_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path, {}) as (client, _, fetched):
        for host in ("example.com", "169.254.169.254", "localhost:1"):
            answer = client.get(f"http://inside/@{host}/x")
            assert (answer.status_code, "no host of a registry" in answer.text) == (403, True)
        assert [told.split()[0] for told in fetched] == ["403"] * 3


def test_a_redirect_is_followed_to_named_hosts_alone(tmp_path: Path) -> None:
    answers = {
        "/simple/A/": (301, {"location": "/simple/a/"}, b""),
        "/simple/a/": (200, {"content-type": "x/y"}, b"here"),
        "/simple/out/": (302, {"location": "http://169.254.169.254/latest"}, b""),
        "/simple/round/": (302, {"location": "/simple/round/"}, b""),
    }
    with opened(tmp_path, answers) as (client, _, _):
        assert client.get("/simple/A/").content == b"here"
        assert client.get("/simple/out/").status_code == 403
        assert client.get("/simple/round/").status_code == 502


def test_links_of_an_index_lead_back(tmp_path: Path) -> None:
    page = b'<a href="https://files.example.com/a.whl">a</a><a href="/files/b.whl">b</a><a href="https://else.where/c">c</a>'
    with opened(tmp_path, {"/simple/a/": (200, HTML, page)}, ("files.example.com",)) as (client, served, _):
        own = f"{INSIDE}/@{urlsplit(served.url).netloc}"
        assert client.get("/simple/a/").text == (
            f'<a href="{INSIDE}/@files.example.com/a.whl">a</a><a href="{own}/files/b.whl">b</a>'
            '<a href="https://else.where/c">c</a>'
        )


def test_there_is_an_end_to_requests_and_bytes(tmp_path: Path) -> None:
    registries = proxy.Registries([Registry(url="https://a.example.com")], lambda *_: None)
    registries.requests = proxy.MAX_REQUESTS
    transport = httpx.ASGITransport(registries.app())

    async def ask() -> int:
        async with httpx.AsyncClient(transport=transport, base_url="http://inside") as client:
            status = (await client.get("/@a.example.com/x")).status_code
        await registries.close()
        return status

    assert asyncio.run(ask()) == 429


@pytest.mark.parametrize(
    "url", ["http://example.com", "https://user@example.com", "https://a.example.com/?x=1", "file:///etc", "x"]
)
def test_a_registry_is_reached_by_https(url: str) -> None:
    with pytest.raises(ValidationError):
        Registry(url=url)
