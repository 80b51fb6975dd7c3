from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.gateway.server import Gateway
from bot.gateway.upstream import Upstream
from tests.fakes.bench import KEY, MODEL, PRICES, Bench, Open
from tests.fakes.meter import FakeMeter
from tests.fakes.upstream import FakeUpstream


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a unix socket's has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="gw") as path:
        yield Path(path) / "api"


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture
def opened(folder: Path, upstream: FakeUpstream) -> Iterator[Open]:
    with ExitStack() as stack:

        def open_gateway(
            *, cap: str = "100", url: str = "", silence_seconds: float = 30, place: str = ".", **changes: Any
        ) -> Bench:
            meter, told = FakeMeter(cap), []

            def tell(text: str, **data: Any) -> None:
                told.append({"message": text, **data})

            parts: dict[str, Any] = {
                "socket_path": folder / place / "api.sock",
                "upstream": Upstream(url or upstream.url, KEY, silence_seconds=silence_seconds),
                "models": frozenset({MODEL}),
                "meter": meter,
                "prices": PRICES,
                "on_request": tell,
            }
            gateway = stack.enter_context(Gateway(**{**parts, **changes}))
            transport = httpx.HTTPTransport(uds=str(gateway.socket_dir / "api.sock"))
            client = stack.enter_context(httpx.Client(base_url="http://localhost", transport=transport, timeout=60))
            return Bench(gateway, upstream, meter, client, told)

        yield open_gateway


@pytest.fixture
def bench(opened: Open) -> Bench:
    return opened()
