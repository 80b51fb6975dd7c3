"""Webhooks as a host sends them: told genuine, and told in the words of `bot.domain.events`. Nothing here reads or writes.

A kind of host is a `Dialect`; whoever receives, stores and handles deliveries does the same for each.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from hmac import new as hmac
from typing import Protocol

from bot.domain.events import Event
from bot.errors import ConfigurationError, UsageError
from bot.hosts.github_events import normalise_github
from bot.hosts.gitlab_events import normalise_gitlab
from bot.hosts.signers import Signer, those

SIGNING_TOKEN = "whsec_"
"""What GitLab's signing tokens begin with."""
RECENT = timedelta(minutes=5)
_ID = r"[A-Za-z0-9._:-]{1,130}"


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
    delivery_of: Callable[[Headers, bytes], DeliveryName]
    normalise: Callable[[str, bytes], list[Event]]


def verify_github(known: Sequence[Signer], body: bytes, headers: Headers, now: datetime) -> frozenset[str]:  # noqa: ARG001
    """The instances that have signed the body, byte for byte as it came; none: it is not genuine.

    While a secret is rotated, an instance has two. Raises ConfigurationError where there is none: without a secret nothing is
    genuine.
    """
    _require_secrets(known, "GitHub", "GITHUB")
    given = headers.get("X-Hub-Signature-256", "").encode()
    # Every secret is tried, in constant time each: how long it takes says nothing of which one came near.
    return those(known, [compare_digest(given, sign_github(each.secret, body).encode()) for each in known])


def sign_github(secret: str, body: bytes) -> str:
    """What GitHub puts into X-Hub-Signature-256."""
    return f"sha256={hmac(secret.encode(), body, sha256).hexdigest()}"


def github_delivery(headers: Headers, body: bytes) -> DeliveryName:  # noqa: ARG001
    """Raises UsageError, naming the header that is missing or is no name."""
    return DeliveryName(
        id=_header(headers, "X-GitHub-Delivery", r"[A-Za-z0-9-]{1,200}"),
        event=_header(headers, "X-GitHub-Event", r"[a-z0-9_]{1,64}"),
    )


def verify_gitlab(known: Sequence[Signer], body: bytes, headers: Headers, now: datetime) -> frozenset[str]:
    """As `verify_github`. A signing token signs the body with its id and the time; a secret token is sent along as it is.

    A signature counts for five minutes. An instance that is known by signing tokens alone has to sign.
    """
    _require_secrets(known, "GitLab", "GITLAB")
    return those(known, [_is_of_gitlab(each.secret, body, headers, now) for each in known])


def sign_gitlab(token: str, id: str, timestamp: str, body: bytes) -> str:
    """What GitLab puts into webhook-signature, by Standard Webhooks. Raises ConfigurationError for what is no signing token."""
    try:
        key = b64decode(token.removeprefix(SIGNING_TOKEN), validate=True)
    except ValueError as error:
        raise ConfigurationError(f"a signing token is {SIGNING_TOKEN} and Base64, and this one is not") from error
    return f"v1,{b64encode(hmac(key, b'.'.join((id.encode(), timestamp.encode(), body)), sha256).digest()).decode()}"


def gitlab_delivery(headers: Headers, body: bytes) -> DeliveryName:
    """Raises UsageError, naming the header that is missing or is no name.

    Before GitLab 17.4, a delivery has no id but that of the request that led to it, which may have led to others too.
    """
    event = _header(headers, "X-Gitlab-Event", r"[A-Za-z ]{1,64}")
    for name in ("webhook-id", "Idempotency-Key"):
        if headers.get(name, ""):
            return DeliveryName(_header(headers, name, _ID), event)
    request = _header(headers, "X-Gitlab-Event-UUID", _ID)
    return DeliveryName(f"{request}-{sha256(body).hexdigest()}", event)


def _is_of_gitlab(secret: str, body: bytes, headers: Headers, now: datetime) -> bool:
    if not secret.startswith(SIGNING_TOKEN):
        return compare_digest(headers.get("X-Gitlab-Token", "").encode(), secret.encode())
    id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    right = sign_gitlab(secret, id, timestamp, body).encode()
    matches = [compare_digest(given.encode(), right) for given in headers.get("webhook-signature", "").split(" ")]
    return any(matches) and _is_recent(timestamp, now)


def _is_recent(timestamp: str, now: datetime) -> bool:
    written = timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 20
    return written and abs(int(timestamp) - now.timestamp()) <= RECENT.total_seconds()


def _require_secrets(known: Sequence[Signer], host: str, variable: str) -> None:
    if not known:
        mend = f"whimbrel setup {host.lower()}, or WHIMBREL_{variable}_WEBHOOK_SECRET"
        raise ConfigurationError(f"there is no webhook secret for {host}", mend=mend)


def _header(headers: Headers, name: str, pattern: str) -> str:
    value = headers.get(name, "")
    if not value:
        raise UsageError(f"the header {name} is missing")
    if not re.fullmatch(pattern, value):
        raise UsageError(f"the header {name} is not {pattern}")
    return value


DIALECTS: Mapping[str, Dialect] = {
    "github": Dialect(verify_github, github_delivery, normalise_github),
    "gitlab": Dialect(verify_gitlab, gitlab_delivery, normalise_gitlab),
}
"""By the last part of the path that the host delivers to."""
