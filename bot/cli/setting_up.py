"""What setting up a host has in common, whichever host it is."""

from __future__ import annotations

from urllib.parse import urlsplit

from bot.domain.org_policies import server_url
from bot.errors import UsageError

SECRETS_AT_ONCE = 2
"""While a webhook's secret is rotated, the one before it counts too."""


def instance_url(url: str) -> str:
    """The URL of an instance as policies have it. Raises UsageError for what is none, and for one without TLS."""
    try:
        return server_url(url)
    except ValueError as error:
        raise UsageError(str(error)) from error


def require_reachable(host: str, *addresses: str) -> None:
    """Raises UsageError for what cannot be where a host delivers to; an empty address is none."""
    for address in filter(None, addresses):
        if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
            raise UsageError(f"{address!r} is nothing that {host} can reach", mend="such as https://bot.example.com")
