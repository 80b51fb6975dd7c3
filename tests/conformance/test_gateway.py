"""The gateway over its real socket: against a fake upstream, and with the real Claude Code as its client."""

from __future__ import annotations

import json
import os
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pytest
from limits.storage import MemoryStorage

from bot.domain.prices import CacheWrites, worst_case
from bot.domain.usage import Usage
from bot.errors import StoreError
from bot.gateway.forwarder import BODIES_AT_ONCE
from bot.gateway.governor import Governor, shared_storage
from bot.gateway.server import Gateway
from bot.gateway.upstream import Upstream
from tests.fakes.bench import COST, HELLO, KEY, MODEL, PRICE, PRICES, STREAM, Bench, Open, claude
from tests.fakes.meter import FakeMeter
from tests.fakes.upstream import USAGE, FakeUpstream, Wire, error, held, message, raw, torn
from tests.story import tricks


def reserved_for(body: dict[str, Any], writes: CacheWrites = CacheWrites.NONE) -> int:
    """A lower bound of what must be reserved: each byte a token, and the whole answer."""
    return worst_case(PRICE, prompt_tokens=len(json.dumps(body)), output_tokens=body["max_tokens"], writes=writes)


# --- what passes ---


@pytest.mark.parametrize("body", [HELLO, STREAM])
def test_a_request_is_forwarded_answered_and_settled(bench: Bench, body: dict[str, Any]) -> None:
    answer = bench.post(body)
    assert answer.status_code == 200
    assert "done" in answer.text
    assert answer.headers["request-id"] == "req_1"
    (settled,) = bench.meter.settled
    assert (settled.cost, settled.usage, settled.estimated, settled.model) == (COST, Usage(100, 20), False, MODEL)
    assert settled.reserved >= reserved_for(body)
    assert bench.meter.open == {}
    assert (bench.gateway.requests, bench.gateway.usage, bench.gateway.cost) == (1, Usage(100, 20), COST)
    assert [told["event"] for told in bench.told] == ["model_request"]


def test_the_key_is_swapped_in_and_the_client_s_headers_are_dropped(bench: Bench) -> None:
    answer = bench.post(
        HELLO,
        path="/v1/messages?beta=true",
        **{
            "x-api-key": "placeholder",
            "authorization": "Bearer x",
            "anthropic-version": "2020-01-01",
            "anthropic-beta": "context-1m-2025-08-07,effort-2025-11-24",
            "x-stainless-os": "Linux",
            "cookie": "a=b",
        },
    )
    (seen,) = bench.upstream.requests
    assert seen.path == "/v1/messages"
    assert seen.headers["x-api-key"] == KEY
    assert seen.headers["anthropic-version"] == "2023-06-01"
    assert seen.headers["anthropic-beta"] == "effort-2025-11-24"
    assert seen.headers["user-agent"] == "whimbrel"
    assert not {"authorization", "x-stainless-os", "cookie"} & seen.headers.keys()
    assert KEY not in answer.text + str(answer.headers)


def test_a_stream_passes_while_it_is_made(bench: Bench) -> None:
    started, go_on = Event(), Event()
    bench.upstream.script.append(held(started, go_on))
    with bench.client.stream("POST", "/v1/messages", json=STREAM) as answer:
        parts = answer.iter_text()
        assert "message_start" in next(parts)
        assert bench.meter.settled == []
        go_on.set()
        assert "message_stop" in "".join(parts)
    assert bench.meter.settled[0].cost == COST


def test_only_some_headers_of_the_answer_pass(bench: Bench) -> None:
    limits = {"anthropic_ratelimit_tokens_remaining": "7", "set_cookie": "a=b", "anthropic_organization_id": "secret"}
    bench.upstream.script.append(
        raw(200, "application/json", json.dumps({"type": "message", "usage": USAGE}).encode(), **limits)
    )
    answer = bench.post()
    assert answer.headers["anthropic-ratelimit-tokens-remaining"] == "7"
    assert not {"set-cookie", "anthropic-organization-id", "server"} & answer.headers.keys()


def test_counting_tokens_is_free(bench: Bench) -> None:
    answer = bench.post(HELLO, "/v1/messages/count_tokens")
    assert answer.json() == {"input_tokens": 7}
    assert bench.upstream.requests[0].body == {"model": MODEL, "messages": HELLO["messages"]}
    assert bench.meter.settled == []
    assert bench.meter._last == 0


def test_concurrent_requests_are_each_settled_once(bench: Bench) -> None:
    bench.upstream.script.extend(message(input_tokens=n, output_tokens=n) for n in range(40))
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(bench.post, [STREAM, HELLO] * 20))
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(settled.usage.input_tokens for settled in bench.meter.settled) == list(range(40))
    assert bench.gateway.cost == bench.meter.spent


# --- what does not ---


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/messages", 405),
        ("HEAD", "/v1/messages", 405),
        ("HEAD", "/", 404),
        ("GET", "/v1/models", 404),
        ("POST", "/v1/complete", 404),
        ("POST", "/v1/files", 404),
        ("POST", "/v1/messages/", 404),
        ("POST", "/v1/messages/batches", 404),
        ("POST", "/v1/messages/../files", 404),
        ("POST", "//v1/messages", 404),
        ("POST", "/api/event_logging/batch", 404),
        ("DELETE", "/v1/messages", 405),
    ],
)
def test_no_other_path_or_method_is_forwarded(bench: Bench, method: str, path: str, status: int) -> None:
    url = httpx.URL("http://localhost").copy_with(raw_path=path.encode())
    answer = bench.client.request(method, url, content=json.dumps(HELLO) if method == "POST" else b"")
    assert answer.status_code == status
    assert method == "HEAD" or answer.json()["type"] == "error"
    assert bench.upstream.requests == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0.type"),
        ({"mcp_servers": [{"type": "url", "url": "http://x", "name": "x"}]}, "mcp_servers"),
        ({"container": "c"}, "container"),
        ({"service_tier": "auto"}, "service_tier"),
        ({"speed": "fast"}, "speed"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "http://x"}}]}]},
            "source",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}]}]},
            "source",
        ),
        ({"max_tokens": PRICE.max_output_tokens + 1}, "max_tokens"),
    ],
)
def test_a_dangerous_body_is_refused_by_name_on_both_paths(bench: Bench, changes: dict[str, Any], field: str) -> None:
    status, kind, text = bench.refused({**HELLO, **changes})
    assert (status, kind) == (400, "invalid_request_error")
    assert field in text
    if field != "max_tokens":
        assert bench.refused({**HELLO, **changes}, "/v1/messages/count_tokens")[0] == 400


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_a_model_must_be_allowed_and_priced(opened: Open, path: str) -> None:
    bench = opened(models=frozenset({MODEL, "claude-unheard-of"}))
    status, kind, text = bench.refused({**HELLO, "model": "claude-opus-4-5"}, path)
    assert (status, kind) == (403, "permission_error")
    assert "policy" in text
    assert "price table" in bench.refused({**HELLO, "model": "claude-unheard-of"}, path)[2]


@pytest.mark.parametrize(
    "wire",
    [
        b"NONSENSE\r\n\r\n",
        b"POST http://169.254.169.254/v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}",
        b"CONNECT api.anthropic.com:443 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 1_000_000,
        b"GET /v1/messages HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    ],
)
def test_tricks_with_the_protocol_are_refused_and_harm_nobody(bench: Bench, wire: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(bench.gateway.socket_dir / "api.sock"))
        try:
            client.sendall(wire)
            status = client.recv(100).split()[1]
        except ConnectionError:  # It is also an answer to hang up in the middle of a long request.
            status = b"400"
    assert status in (b"400", b"404", b"405")
    assert bench.upstream.requests == []
    assert bench.post().status_code == 200


def test_whatever_is_said_only_what_is_meant_is_forwarded_and_all_of_that_is_paid(bench: Bench) -> None:
    tricks.SOCKET = str(bench.gateway.socket_dir / "api.sock")
    answers = {trick: tricks.statuses(said) for trick, said in tricks.TRICKS.items()}
    assert {trick: statuses for trick, statuses in answers.items() if not set(statuses) & {200, 400, 403, 404, 405}} == {}
    assert len(bench.upstream.requests) == sum(statuses.count(200) for statuses in answers.values())
    assert {(seen.path, seen.headers["x-api-key"]) for seen in bench.upstream.requests} == {("/v1/messages", KEY)}
    for seen in bench.upstream.requests:
        assert seen.body == {"model": MODEL, "max_tokens": 5, "messages": [{"role": "user", "content": "tricked"}]}
        assert not {"authorization", "cookie", "x-forwarded-host", "anthropic-beta"} & seen.headers.keys()
    assert [(settled.cost, settled.usage) for settled in bench.meter.settled] == [(COST, Usage(100, 20))] * len(
        bench.upstream.requests
    )
    assert bench.meter.open == {}
    assert answers["pipelined"] == [200, 200]
    assert answers["a huge answer"] == [400]


def test_requests_that_never_end_cost_nothing_and_do_not_keep_the_gateway_open(folder: Path, upstream: FakeUpstream) -> None:
    """Each holds one of the few places for a body: it is its own agent that waits, and no other attempt."""
    meter, path, models = FakeMeter(), folder / "api.sock", frozenset({MODEL})
    gateway = Gateway(socket_path=path, upstream=Upstream(upstream.url, KEY), models=models, meter=meter, prices=PRICES)
    with ExitStack() as clients, gateway:
        for _ in range(BODIES_AT_ONCE + 1):
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(path))
            client.sendall(tricks.request()[:-1])
    assert upstream.requests == []
    assert (meter.open, meter.settled) == ({}, [])


def test_a_client_that_leaves_before_its_request_is_whole_costs_nothing(bench: Bench) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(bench.gateway.socket_dir / "api.sock"))
        client.sendall(b'POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{"model":')
    assert bench.post().status_code == 200
    assert len(bench.upstream.requests) == 1
    assert bench.meter._last == 1


def test_a_body_that_is_too_large_is_refused(bench: Bench) -> None:
    assert bench.refused(b" " * (32 * 1024 * 1024 + 1))[:2] == (413, "request_too_large")


def test_what_is_no_json_is_refused(bench: Bench) -> None:
    assert bench.refused(b"\x1f\x8b\x00")[0] == 400
    assert bench.refused(b'{"a":' * 200_000)[0] == 400


# --- money ---


def test_a_cap_that_would_be_passed_refuses_with_the_figures(opened: Open) -> None:
    bench = opened(cap="0.02")
    status, kind, text = bench.refused({**HELLO, "max_tokens": 2000})
    assert (status, kind) == (402, "billing_error")
    assert "$0.02" in text
    assert bench.gateway.refusal is not None
    assert bench.gateway.refusal.scope == "attempt"
    assert bench.post({**HELLO, "max_tokens": 10}).status_code == 200


@pytest.mark.parametrize(("ttl", "writes"), [("5m", CacheWrites.FIVE_MINUTES), ("1h", CacheWrites.ONE_HOUR)])
def test_writing_to_a_cache_reserves_more(bench: Bench, ttl: str, writes: CacheWrites) -> None:
    block = {"type": "text", "text": "x" * 50_000, "cache_control": {"type": "ephemeral", "ttl": ttl}}
    body = {**HELLO, "messages": [{"role": "user", "content": [block]}]}
    bench.post(body)
    assert bench.meter.settled[0].reserved >= reserved_for(body, writes)


def test_the_context_window_bounds_what_is_reserved(bench: Bench) -> None:
    bench.post({**HELLO, "messages": [{"role": "user", "content": "x" * 900_000}]})
    window = worst_case(PRICE, prompt_tokens=PRICE.context_window, output_tokens=1000, writes=CacheWrites.NONE)
    assert bench.meter.settled[0].reserved == window


def test_a_ledger_that_cannot_be_written_forwards_nothing(bench: Bench) -> None:
    bench.meter.broken = StoreError("the database is locked")
    answer = bench.post()
    assert (answer.status_code, answer.json()["error"]["type"], answer.headers["x-should-retry"]) == (503, "api_error", "false")
    assert bench.upstream.requests == []


def test_a_meter_with_a_bug_forwards_nothing(opened: Open) -> None:
    class Broken(FakeMeter):
        def reserve(self, worst_case: Any, *, model: str) -> int:
            raise ZeroDivisionError

    bench = opened(meter=Broken())
    answer = bench.post()
    assert (answer.status_code, answer.json()["error"]["type"], answer.headers["x-should-retry"]) == (500, "api_error", "false")
    assert bench.upstream.requests == []


@pytest.mark.parametrize("events", range(6))
def test_a_torn_stream_is_settled_at_its_worst_case(bench: Bench, events: int) -> None:
    bench.upstream.script.append(torn(events))
    answer = bench.post(STREAM)
    assert answer.status_code == 200
    assert "api_error" in answer.text
    (settled,) = bench.meter.settled
    assert (settled.cost, settled.estimated) == (settled.reserved, True)
    assert bench.meter.open == {}


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b'{"type": "message"}', b'{"type": "message", "usage": {"input_tokens": -1, "output_tokens": 0}}', b"<html>"],
)
def test_an_answer_without_usage_is_settled_at_its_worst_case(bench: Bench, content: bytes) -> None:
    bench.upstream.script.append(raw(200, "application/json", content))
    bench.post()
    assert (bench.meter.settled[0].cost, bench.meter.settled[0].estimated) == (bench.meter.settled[0].reserved, True)


def test_a_tier_without_a_price_is_settled_at_its_worst_case(bench: Bench) -> None:
    bench.upstream.script.append(message(service_tier="priority"))
    bench.post(STREAM)
    assert (bench.meter.settled[0].cost, bench.meter.settled[0].estimated) == (bench.meter.settled[0].reserved, True)


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "invalid_request_error"), (429, "rate_limit_error"), (529, "overloaded_error")]
)
def test_an_error_of_the_api_is_free_and_passes(bench: Bench, status: int, kind: str) -> None:
    bench.upstream.script.append(error(status, kind, "too bad", retry_after="3"))
    answer = bench.post(STREAM)
    assert (answer.status_code, answer.json()["error"]) == (status, {"type": kind, "message": "too bad"})
    assert answer.headers["retry-after"] == "3"
    (settled,) = bench.meter.settled
    assert (settled.cost, settled.estimated) == (0, False)


@pytest.mark.parametrize(("status", "content_type"), [(502, "text/html"), (204, "text/plain"), (500, "application/json")])
def test_an_answer_of_something_else_is_not_passed_and_not_free(bench: Bench, status: int, content_type: str) -> None:
    bench.upstream.script.append(raw(status, content_type, b"" if status == 204 else f"you sent {KEY}".encode()))
    answer = bench.post(STREAM)
    assert answer.status_code == 502
    assert KEY not in answer.text
    assert bench.meter.settled[0].estimated


def test_a_redirect_is_not_followed(bench: Bench) -> None:
    bench.upstream.script.append(raw(307, "text/plain", b"", location=f"{bench.upstream.url}/v1/files"))
    assert bench.post().status_code == 502
    assert len(bench.upstream.requests) == 1
    assert bench.meter.settled[0].estimated


def test_an_error_that_repeats_the_key_is_redacted(bench: Bench) -> None:
    bench.upstream.script.append(error(401, "authentication_error", f"invalid x-api-key {KEY}"))
    answer = bench.post()
    assert answer.json()["error"]["message"] == "invalid x-api-key [key]"
    assert answer.headers["x-should-retry"] == "false"


def test_a_request_that_never_left_is_released(opened: Open) -> None:
    bench = opened(url="http://127.0.0.1:1")
    answer = bench.post()
    assert (answer.status_code, answer.json()["error"]["type"]) == (502, "api_error")
    assert bench.meter.released == [1]
    assert bench.meter.settled == []
    assert bench.gateway.requests == 0


def test_silence_ends_a_request_at_its_worst_case(opened: Open) -> None:
    bench = opened(silence_seconds=0.2)
    go_on = Event()
    bench.upstream.script.append(held(Event(), go_on))
    assert "ReadTimeout" in bench.post(STREAM).text
    go_on.set()
    assert (bench.meter.settled[0].cost, bench.meter.settled[0].estimated) == (bench.meter.settled[0].reserved, True)


def test_a_client_that_goes_away_is_charged_what_was_made_for_it(opened: Open) -> None:
    started, go_on, settled = Event(), Event(), Event()

    class Meter(FakeMeter):
        def settle(self, *args: Any, **kwargs: Any) -> None:
            super().settle(*args, **kwargs)
            settled.set()

    meter = Meter()
    bench = opened(meter=meter)
    bench.upstream.script.append(held(started, go_on))
    with bench.client.stream("POST", "/v1/messages", json=STREAM) as answer:
        next(answer.iter_bytes())
    go_on.set()
    assert settled.wait(30)
    assert (meter.settled[0].cost, meter.settled[0].estimated) == (COST, False)


# --- speed ---


def test_a_request_over_the_speed_limit_waits_and_says_so(opened: Open) -> None:
    storage = MemoryStorage()

    async def sleep(_: float) -> None:
        storage.reset()

    bench = opened(governor=Governor(storage, "acme", requests_per_minute=1, sleep=sleep))
    assert [bench.post().status_code, bench.post().status_code] == [200, 200]
    assert [told["event"] for told in bench.told] == ["model_request", "model_wait", "model_request"]


def test_a_request_that_may_not_wait_that_long_is_told_when_to_come_back(opened: Open) -> None:
    bench = opened(governor=Governor(MemoryStorage(), "acme", tokens_per_hour=100, max_wait_seconds=0))
    assert bench.post(STREAM).status_code == 200
    answer = bench.post(STREAM)
    assert (answer.status_code, answer.json()["error"]["type"]) == (429, "rate_limit_error")
    assert 3000 <= int(answer.headers["retry-after"]) <= 3600
    assert len(bench.upstream.requests) == 1
    assert bench.meter.open == {}


def test_speed_limits_that_cannot_be_read_forward_nothing(opened: Open) -> None:
    bench = opened(governor=Governor(shared_storage("unix:///nowhere/redis.sock"), "acme", requests_per_minute=1))
    answer = bench.post()
    assert (answer.status_code, answer.headers["x-should-retry"]) == (503, "false")
    assert bench.upstream.requests == []


# --- its life ---


def test_the_socket_is_the_owner_s_alone_and_is_gone_afterwards(folder: Path, upstream: FakeUpstream) -> None:
    folder.mkdir(mode=0o755)
    path = folder / "api.sock"
    path.touch()
    gateway = Gateway(
        socket_path=path, upstream=Upstream(upstream.url, KEY), models=frozenset(), meter=FakeMeter(), prices=PRICES
    )
    with gateway:
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert gateway.socket_dir == folder
    assert list(folder.iterdir()) == []


def test_closing_settles_what_is_under_way_at_its_worst_case(folder: Path, upstream: FakeUpstream) -> None:
    started, go_on, meter = Event(), Event(), FakeMeter()
    upstream.script.append(held(started, go_on))
    path = folder / "api.sock"

    def ask() -> None:
        transport = httpx.HTTPTransport(uds=str(path))
        with (
            httpx.Client(base_url="http://localhost", transport=transport, timeout=60) as client,
            pytest.raises(httpx.HTTPError),
        ):
            client.post("/v1/messages", json=STREAM)

    models = frozenset({MODEL})
    with Gateway(socket_path=path, upstream=Upstream(upstream.url, KEY), models=models, meter=meter, prices=PRICES) as gateway:
        client = Thread(target=ask)
        client.start()
        assert started.wait(30)
        assert len(meter.open) == 1
    go_on.set()
    client.join(30)
    assert not client.is_alive()
    (settled,) = meter.settled
    assert (settled.cost, settled.estimated) == (settled.reserved, True)
    assert gateway.cost == settled.cost
    assert not path.exists()


def test_a_client_that_never_reads_does_not_keep_the_gateway_open(folder: Path, upstream: FakeUpstream) -> None:
    full, meter, path = Event(), FakeMeter(), folder / "api.sock"

    def flood(wire: Wire) -> None:
        wire.start(200, "text/event-stream")
        wire.handler.connection.settimeout(1)
        try:
            while True:
                wire.chunk(b": a comment\n" * 10_000)
        finally:
            full.set()

    upstream.script.append(flood)
    models = frozenset({MODEL})
    with socket.socket(socket.AF_UNIX) as client:
        with Gateway(socket_path=path, upstream=Upstream(upstream.url, KEY), models=models, meter=meter, prices=PRICES):
            body = json.dumps(STREAM).encode()
            client.connect(str(path))
            client.sendall(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
            assert full.wait(60)
            assert len(meter.open) == 1
        assert meter.settled[0].estimated
    assert meter.open == {}


def test_closing_raises_when_the_ledger_cannot_record_what_was_spent(folder: Path, upstream: FakeUpstream) -> None:
    meter = FakeMeter()
    path = folder / "api.sock"
    models = frozenset({MODEL})
    gateway = Gateway(socket_path=path, upstream=Upstream(upstream.url, KEY), models=models, meter=meter, prices=PRICES)

    def break_ledger_then_answer(wire: Wire) -> None:
        meter.broken = StoreError("the disk is full")
        message()(wire)

    upstream.script.append(break_ledger_then_answer)
    gateway.__enter__()
    with httpx.Client(base_url="http://localhost", transport=httpx.HTTPTransport(uds=str(path))) as client:
        assert client.post("/v1/messages", json=HELLO).status_code == 500
    with pytest.raises(StoreError, match="disk is full"):
        gateway.__exit__()
    assert not path.exists()
    assert len(meter.open) == 1


def test_a_home_may_lie_deeper_than_a_sockets_path_is_long(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 100) / "api.sock"
    with Gateway(socket_path=path, upstream=Upstream("http://x", KEY), models=frozenset(), meter=FakeMeter(), prices=PRICES):
        folder = os.open(path.parent, os.O_RDONLY)
        with httpx.Client(
            base_url="http://localhost", transport=httpx.HTTPTransport(uds=f"/proc/self/fd/{folder}/api.sock")
        ) as client:
            assert client.get("/v1/models").status_code == 404
        os.close(folder)
    assert not path.exists()


def test_the_key_is_in_no_representation() -> None:
    assert KEY not in repr(Upstream("https://api.anthropic.com", KEY))


# --- the real Claude Code ---


def test_claude_code_works_through_the_gateway(bench: Bench, folder: Path) -> None:
    command = {"command": "echo made > made.txt; env", "description": "make a file"}
    bench.upstream.script.append(message({"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": command}))
    bench.upstream.script.append(message({"type": "text", "text": "all done"}))
    result = claude(bench, folder, "make a file")
    assert result["is_error"] is False
    assert result["result"] == "all done"
    assert (folder.parent / "work" / "made.txt").read_text() == "made\n"
    assert [settled.cost for settled in bench.meter.settled] == [COST, COST]
    first, second = bench.upstream.requests
    assert first.headers["x-api-key"] == second.headers["x-api-key"] == KEY
    assert KEY not in json.dumps(second.body)
    assert "metadata" not in first.body


def test_claude_code_stops_at_once_when_the_budget_is_refused(opened: Open, folder: Path) -> None:
    bench = opened(cap="0.10")
    result = claude(bench, folder, "make a file")
    assert result["is_error"] is True
    assert result["api_error_status"] == 402
    assert "$0.10" in result["result"]
    assert bench.upstream.requests == []
    assert bench.gateway.refusal is not None
    assert list((folder.parent / "work").iterdir()) == []
