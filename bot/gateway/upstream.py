"""The way to the real Messages API: the only place that knows its key."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

import httpx

NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""Errors after which the API has provably seen nothing of the request."""
PASSED_HEADERS = frozenset({"request-id", "retry-after", "x-should-retry"})
PASSED_PREFIX = "anthropic-ratelimit-"
LONGEST_RETRY_AFTER = 3600.0
"""In seconds. Longer than the API asks for: a proxy's nonsense does not stop an org for ever."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """A Messages API: `base_url` without /v1. `silence_seconds` bounds the time between two bytes of an answer."""

    base_url: str
    api_key: str = field(repr=False)
    connect_seconds: float = 10
    silence_seconds: float = 300

    def client(self) -> httpx.AsyncClient:
        """A client with the key: nothing of the environment (proxies, netrc, certificates), no redirects."""
        return httpx.AsyncClient(
            base_url=self.base_url,
            headers={
                "x-api-key": self.api_key,
                "anthropic-version": "2023-06-01",
                "content-type": "application/json",
                "accept-encoding": "identity",
                "user-agent": "whimbrel",
            },
            timeout=httpx.Timeout(self.silence_seconds, connect=self.connect_seconds),
            trust_env=False,
            follow_redirects=False,
        )

    def redact(self, text: str) -> str:
        return text.replace(self.api_key, "[key]") if self.api_key else text


def passed_headers(answer: httpx.Response) -> dict[str, str]:
    """The answer's headers that the client may see."""
    return {name: value for name, value in answer.headers.items() if name in PASSED_HEADERS or name.startswith(PASSED_PREFIX)}


def is_outage(answer: httpx.Response) -> bool:
    """Does the status say that the API cannot serve now, whatever it is asked?"""
    return answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error


def retry_after(answer: httpx.Response) -> float:
    """In how many seconds the API wants to be asked again, by its Retry-After (seconds or a date); 0 where it does not say."""
    said = answer.headers.get("retry-after", "")
    with suppress(ValueError):
        return _bounded(float(said))
    with suppress(ValueError, OverflowError):
        return _bounded(parsedate_to_datetime(said).timestamp() - time.time())
    return 0.0


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER)
