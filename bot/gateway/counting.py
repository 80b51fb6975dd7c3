"""How many tokens a prompt has: the SDK asks the API, through a gateway that lets pass nothing that costs money."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.domain.money import MicroUsd
from bot.domain.usage import Usage
from bot.errors import EngineError, QuotaRefused
from bot.gateway.client import client_at

TIMEOUT_SECONDS = 60.0
"""More than the gateway holds a request back for, while the org's speed limits are used up."""


class NoMoney:
    """A `ports.Meter` with nothing to spend."""

    def reserve(self, worst_case: MicroUsd, *, model: str) -> int:  # noqa: ARG002 - the port's signature
        raise QuotaRefused("counting is free of charge, and nothing else is done here", scope="step")

    def settle(self, reservation: int, cost: MicroUsd, usage: Usage, *, estimated: bool, latency_ms: int) -> None:
        """Never: nothing is reserved."""

    def release(self, reservation: int) -> None:
        """Never: nothing is reserved."""


@contextmanager
def token_counter(socket: Path, model: str) -> Iterator[Callable[[str], int]]:
    """Counts a prompt's tokens for `model`, as a first message to it, by the gateway at `socket`. It raises EngineError."""
    import anthropic

    client = client_at(socket, TIMEOUT_SECONDS)

    def count(prompt: str) -> int:
        try:
            return client.messages.count_tokens(model=model, messages=[{"role": "user", "content": prompt}]).input_tokens
        except anthropic.APIError as error:
            raise EngineError(f"the API was asked for the tokens of a prompt: {error.message}") from error

    with client:
        yield count
