"""The anthropic SDK, as the bot itself uses it: by a gateway's socket, never around it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import anthropic


def client_at(socket: Path, timeout_seconds: float) -> anthropic.Anthropic:
    """Asks once, with no key: the gateway has that, and the limits. (The SDK takes its time to be imported.)"""
    import anthropic
    import httpx2  # the SDK's own

    return anthropic.Anthropic(
        api_key="placeholder",
        base_url="http://localhost",
        http_client=anthropic.DefaultHttpxClient(transport=httpx2.HTTPTransport(uds=str(socket))),
        max_retries=0,
        timeout=timeout_seconds,
    )
