"""One request's way: clean, admit, reserve, forward, settle."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import httpx
from limits.errors import StorageError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from bot.domain.prices import ModelPrice, PriceTable
from bot.domain.usage import Usage
from bot.errors import QuotaRefused, WhimbrelError
from bot.gateway.answers import STOP, Failure, Refusal, bad_request, error_answer, error_body
from bot.gateway.breaker import Passage
from bot.gateway.charges import Bounds, Charges, Hold
from bot.gateway.governor import Governor, Throttled
from bot.gateway.requests import Cleaned, allowed_betas, clean_count_request, clean_message_request
from bot.gateway.telling import Telling
from bot.gateway.upstream import NEVER_SENT, Upstream, is_outage, passed_headers, retry_after
from bot.gateway.usage import Billed, StreamedUsage, billed_in_message

MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"
LARGEST_BODY = 32 * 1024 * 1024
BODIES_AT_ONCE = 8

log = logging.getLogger(__name__)


class Relay(StreamingResponse):
    """A stream that is read to its end even when the client has gone: it is generated, and billed, all the same."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        await self.stream_response(send)


@dataclass(frozen=True, slots=True)
class Rules:
    """What one attempt may ask: `models` that are also in `prices`, as fast as the governor lets it."""

    models: frozenset[str]
    prices: PriceTable
    governor: Governor


class Forwarder:
    """Answers the two paths that are served. BODIES_AT_ONCE requests are held in memory, further ones wait."""

    def __init__(self, upstream: Upstream, client: httpx.AsyncClient, rules: Rules, charges: Charges, tell: Telling):
        self._upstream = upstream
        self._client = client
        self._rules = rules
        self._charges = charges
        self._tell = tell
        self._places = asyncio.Semaphore(BODIES_AT_ONCE)
        self.retry_after = 0.0

    async def messages(self, request: Request) -> Response:
        """A request that costs money: the most it can cost is reserved before any of it leaves."""
        async with self._places:
            cleaned = clean_message_request(await _body(request))
            bounds = self._bounds(cleaned)
            passage = await self._admit(request)
            hold = await self._reserve(bounds, passage)
            answer = await self._send_held(cleaned, _betas(request), hold, passage)
        if answer.status_code == httpx.codes.OK and _media_type(answer) == "text/event-stream":
            relayed = self._relayed(answer, hold, passage)
            return Relay(relayed, headers=passed_headers(answer), media_type="text/event-stream")
        return await self._whole(answer, hold, passage)

    async def count_tokens(self, request: Request) -> Response:
        """Free of charge, so nothing is reserved."""
        async with self._places:
            cleaned = clean_count_request(await _body(request))
            self._price(cleaned.model)
            passage = await self._admit(request)
            try:
                answer = await self._send(COUNT_TOKENS, cleaned, _betas(request), passage)
                content = await _read(answer, passage)
            except httpx.HTTPError as error:
                raise _broken(error) from error
        return await self._passed(answer, content)

    def _bounds(self, cleaned: Cleaned) -> Bounds:
        price = self._price(cleaned.model)
        if cleaned.output_tokens > price.max_output_tokens:
            raise bad_request(f"max_tokens: {cleaned.model} answers with at most {price.max_output_tokens} tokens")
        prompt = min(cleaned.prompt_tokens or price.context_window, price.context_window)
        return Bounds(cleaned.model, price, Usage(prompt, cleaned.output_tokens), cleaned.writes)

    def _price(self, model: str) -> ModelPrice:
        if model not in self._rules.models:
            raise Refusal(403, "permission_error", f"model: {model[:100]!r} is not one that the policy allows")
        price = self._rules.prices.get(model)
        if price is None:
            raise Refusal(403, "permission_error", f"model: {model[:100]!r} is not in the price table")
        return price

    async def _admit(self, request: Request) -> Passage:
        try:
            return await self._rules.governor.admit(partial(self._tell, "model_wait"), request.is_disconnected)
        except Throttled as error:
            # Told to stop, the agent ends, and its attempt is made again later: waiting longer is not for a sandbox to do.
            self.retry_after = error.retry_after
            headers = {"retry-after": str(error.retry_after), **STOP}
            raise Refusal(429, "rate_limit_error", str(error), headers) from error
        except StorageError as error:
            raise Refusal(503, "api_error", "the speed limits cannot be read, so nothing is forwarded", STOP) from error

    async def _reserve(self, bounds: Bounds, passage: Passage) -> Hold:
        try:
            return await asyncio.to_thread(self._charges.reserve, bounds)
        except QuotaRefused as error:
            await passage.withdrawn()
            raise Refusal(402, "billing_error", str(error), STOP) from error
        except WhimbrelError as error:
            await passage.withdrawn()
            raise Refusal(503, "api_error", f"the ledger cannot be written, so nothing is forwarded: {error}", STOP) from error

    async def _send(self, path: str, cleaned: Cleaned, betas: str, passage: Passage) -> httpx.Response:
        headers = {"anthropic-beta": betas} if betas else {}
        request = self._client.build_request("POST", path, content=cleaned.body, headers=headers)
        try:
            answer = await self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            await passage.failed(type(error).__name__)
            raise
        if is_outage(answer):
            self.retry_after = retry_after(answer)
            await passage.failed(f"status {answer.status_code}", self.retry_after)
        else:
            await passage.answered()
        return answer

    async def _send_held(self, cleaned: Cleaned, betas: str, hold: Hold, passage: Passage) -> httpx.Response:
        try:
            return await self._send(MESSAGES, cleaned, betas, passage)
        except NEVER_SENT as error:
            await asyncio.to_thread(self._charges.release, hold)
            raise _broken(error) from error
        except httpx.HTTPError as error:
            await self._settle(hold, None)
            raise _broken(error) from error

    async def _relayed(self, answer: httpx.Response, hold: Hold, passage: Passage) -> AsyncIterator[bytes]:
        """The stream as it comes; it is settled before the client sees its end."""
        usage = StreamedUsage(hold.bounds.writes)
        broken = "the stream ended early"
        try:
            async for chunk in answer.aiter_bytes():
                usage.feed(chunk)
                yield chunk
        except (httpx.HTTPError, ValueError) as error:
            broken = str(_broken(error))
            yield f"event: error\ndata: {json.dumps(error_body('api_error', broken))}\n\n".encode()
        await answer.aclose()
        await self._settle(hold, usage.billed)
        if usage.billed:
            await passage.completed()
        else:
            await passage.failed(broken)
            await self._tell_failure(broken, answer.status_code)

    async def _whole(self, answer: httpx.Response, hold: Hold, passage: Passage) -> Response:
        """An answer that is not streamed is settled before the client gets any of it."""
        try:
            content = await _read(answer, passage)
        except httpx.HTTPError as error:
            await self._settle(hold, None)
            raise _broken(error) from error
        if _api_error(answer, content):
            await asyncio.to_thread(self._charges.settle_free, hold)
        else:
            await self._settle(hold, billed_in_message(content, hold.bounds.writes))
        return await self._passed(answer, content)

    async def _settle(self, hold: Hold, billed: Billed | None) -> None:
        """None: the request left, and what it used was never seen."""
        if billed:
            await asyncio.to_thread(self._charges.settle, hold, billed)
        else:
            await asyncio.to_thread(self._charges.settle_unseen, hold)
        try:
            await asyncio.to_thread(self._rules.governor.used, (billed.usage if billed else hold.bounds.usage).total)
        except StorageError as error:  # This answer is paid for, so the client gets it. The next request is refused.
            log.warning("the tokens of a request could not be counted: %s", error)

    async def _passed(self, answer: httpx.Response, content: bytes) -> Response:
        """Only answers of the Messages API pass: a proxy's page could repeat what it was sent, the key included."""
        if api_error := _api_error(answer, content):
            kind, message = api_error[0], self._upstream.redact(api_error[1])
            await self._tell_failure(f"{kind}: {message}", answer.status_code)
            headers = passed_headers(answer) | (STOP if answer.status_code in (401, 403) else {})
            return error_answer(answer.status_code, kind, message, headers)
        if answer.status_code != httpx.codes.OK or _media_type(answer) != "application/json":
            raise Failure(f"the API's answer, with status {answer.status_code}, is none of the Messages API")
        return Response(content, headers=passed_headers(answer), media_type="application/json")

    async def _tell_failure(self, reason: str, status: int) -> None:
        message = f"a request failed: {reason} (status {status})"
        await asyncio.to_thread(self._tell, Failure.event, message, status=status)


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise Refusal(413, "request_too_large", f"the body is larger than {LARGEST_BODY} bytes")
    return bytes(body)


async def _read(answer: httpx.Response, passage: Passage) -> bytes:
    try:
        content = await answer.aread()
    except httpx.HTTPError as error:
        await passage.failed(type(error).__name__)
        raise
    await passage.completed()
    return content


def _betas(request: Request) -> str:
    return allowed_betas(request.headers.getlist("anthropic-beta"))


def _media_type(answer: httpx.Response) -> str:
    return str(answer.headers.get("content-type", "")).partition(";")[0].strip().lower()


def _api_error(answer: httpx.Response, content: bytes) -> tuple[str, str] | None:
    """Type and message of a complete error answer of the Messages API."""
    if not answer.is_error:
        return None
    try:
        body = json.loads(content)
        kind, message = body["error"]["type"], body["error"]["message"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    return (str(kind), str(message)) if body.get("type") == "error" else None


def _broken(error: Exception) -> Failure:
    """The error's own words may hold an address or a header of the way to the API: its kind must do."""
    return Failure(f"the way to the API is broken ({type(error).__name__})")
