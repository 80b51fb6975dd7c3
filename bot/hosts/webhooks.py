"""Webhooks as a host sends them: told genuine, and told in the words of `bot.domain.events`. Nothing here reads or writes.

A kind of host is a `Dialect`; whoever receives, stores and handles deliveries does the same for each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest, new
from typing import Protocol

from bot.domain.events import Event
from bot.errors import ConfigurationError, UsageError
from bot.hosts.github_events import normalise_github
from bot.hosts.signers import Signer, those


class Headers(Protocol):
    """Of a request: a name is found whatever its case."""

    def get(self, key: str, default: str) -> str: ...


@dataclass(frozen=True, slots=True)
class DeliveryName:
    """`id` is the host's own, the same when it sends the delivery again; `event` is its word for what it is about."""

    id: str
    event: str


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a kind of host delivers; each is described where there is one for GitHub."""

    verify: Callable[[Sequence[Signer], bytes, Headers, datetime], frozenset[str]]
    delivery_of: Callable[[Headers], DeliveryName]
    normalise: Callable[[str, bytes], list[Event]]


def verify_github(known: Sequence[Signer], body: bytes, headers: Headers, now: datetime) -> frozenset[str]:  # noqa: ARG001
    """The instances that have signed the body, byte for byte as it came; none: it is not genuine.

    While a secret is rotated, an instance has two. Raises ConfigurationError where there is none: without a secret nothing is
    genuine.
    """
    if not known:
        raise ConfigurationError(
            "there is no webhook secret for GitHub", mend="whimbrel setup github, or WHIMBREL_GITHUB_WEBHOOK_SECRET"
        )
    given = headers.get("X-Hub-Signature-256", "").encode()
    # Every secret is tried, in constant time each: how long it takes says nothing of which one came near.
    return those(known, [compare_digest(given, sign_github(each.secret, body).encode()) for each in known])


def sign_github(secret: str, body: bytes) -> str:
    """What GitHub puts into X-Hub-Signature-256."""
    return f"sha256={new(secret.encode(), body, sha256).hexdigest()}"


def github_delivery(headers: Headers) -> DeliveryName:
    """Raises UsageError, naming the header that is missing or is no name."""
    return DeliveryName(
        id=_header(headers, "X-GitHub-Delivery", r"[A-Za-z0-9-]{1,200}"),
        event=_header(headers, "X-GitHub-Event", r"[a-z0-9_]{1,64}"),
    )


def _header(headers: Headers, name: str, pattern: str) -> str:
    value = headers.get(name, "")
    if not value:
        raise UsageError(f"the header {name} is missing")
    if not re.fullmatch(pattern, value):
        raise UsageError(f"the header {name} is not {pattern}")
    return value


DIALECTS: Mapping[str, Dialect] = {"github": Dialect(verify_github, github_delivery, normalise_github)}
"""By the last part of the path that the host delivers to."""
