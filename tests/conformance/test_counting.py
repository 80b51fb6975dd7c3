"""The SDK counts tokens through the real gateway, on its real socket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from bot.errors import EngineError
from bot.gateway.counting import NoMoney, token_counter
from bot.gateway.server import Gateway
from bot.gateway.upstream import Upstream
from tests.fakes.bench import HELLO, KEY, MODEL, PRICES
from tests.fakes.upstream import FakeUpstream


def gateway(folder: Path, url: str, model: str = MODEL) -> Gateway:
    return Gateway(
        socket_path=folder / "api.sock",
        upstream=Upstream(url, KEY),
        models=frozenset({model}),
        meter=NoMoney(),
        prices=PRICES,
    )


def refused(count: Callable[[str], int]) -> str:
    with pytest.raises(EngineError) as told:
        count("one")
    return str(told.value)


def test_a_prompt_is_counted_with_the_gateway_s_key(tmp_path: Path) -> None:
    with FakeUpstream() as upstream, gateway(tmp_path, upstream.url), token_counter(tmp_path / "api.sock", MODEL) as count:
        assert [count("one"), count("two")] == [7, 7]
    first, _ = upstream.requests
    assert (first.path, first.headers["x-api-key"]) == ("/v1/messages/count_tokens", KEY)
    assert first.body == {"model": MODEL, "messages": [{"role": "user", "content": "one"}]}


def test_nothing_that_costs_money_passes(tmp_path: Path) -> None:
    transport = httpx.HTTPTransport(uds=str(tmp_path / "api.sock"))
    with FakeUpstream() as upstream, gateway(tmp_path, upstream.url), httpx.Client(transport=transport) as client:
        assert client.post("http://localhost/v1/messages", json=HELLO).status_code == 402
    assert upstream.requests == []


def test_a_model_that_has_no_price_is_refused_in_words(tmp_path: Path) -> None:
    socket = tmp_path / "api.sock"
    with FakeUpstream() as upstream, gateway(tmp_path, upstream.url, "gpt"), token_counter(socket, "gpt") as count:
        assert "not in the price table" in refused(count)
    assert upstream.requests == []


def test_an_api_out_of_reach_is_told(tmp_path: Path) -> None:
    with gateway(tmp_path, "http://127.0.0.1:1"), token_counter(tmp_path / "api.sock", MODEL) as count:
        assert "the way to the API is broken" in refused(count)
