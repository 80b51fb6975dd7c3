"""The judge: one structured answer of a second model, by a gateway and a budget line of its own."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bot.domain.judging import INSTRUCTIONS, SCHEMA, Case, Opinion
from bot.errors import AgentFailed
from bot.gateway.client import client_at
from bot.ports import GatewayHandle

MAX_ANSWER_TOKENS = 8_000
LONGEST_SECONDS = 300.0
TRIES = 2


class ApiJudge:
    """`ports.Judge`: asks the Messages API. `open_gateway` leads to its model alone, and is charged to its own line."""

    def __init__(self, model: str, open_gateway: Callable[[float], AbstractContextManager[GatewayHandle]]):
        self._model, self._open_gateway = model, open_gateway

    def judge(self, case: Case, remaining_seconds: float) -> Opinion | str:
        seconds = max(1.0, min(LONGEST_SECONDS, remaining_seconds))
        problem = ""
        with self._open_gateway(seconds) as gateway:
            for _ in range(TRIES):
                answer = self._ask(case, gateway, seconds)
                if isinstance(answer, Opinion):
                    return answer
                problem = answer
        return problem

    def _ask(self, case: Case, gateway: GatewayHandle, seconds: float) -> Opinion | str:
        import anthropic

        with client_at(_socket(gateway), seconds) as client:
            try:
                answer = client.messages.create(
                    model=self._model,
                    max_tokens=MAX_ANSWER_TOKENS,
                    system=INSTRUCTIONS,
                    # Nobody who wrote the diff could know the marker that it ends with.
                    messages=[{"role": "user", "content": case.told(f"DATA-{secrets.token_hex(8)}")}],
                    output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
                )
            except anthropic.APIError as error:
                if gateway.refusal is not None:
                    raise gateway.refusal from error
                raise _unusable(error, gateway) from error
        return _read(answer)


def _socket(gateway: GatewayHandle) -> Path:
    return gateway.socket_dir / "api.sock"


def _read(answer: Any) -> Opinion | str:
    """The opinion in an answer, or why there is none: what a model gives is data, whatever was asked for."""
    if answer.stop_reason not in ("end_turn", "stop_sequence", None):
        return f"its answer ended with {answer.stop_reason}"
    text = "".join(block.text for block in answer.content if block.type == "text")
    try:
        return Opinion.model_validate_json(text)
    except ValidationError:
        return "its answer is none of pass, revise and veto with their reasons"


def _unusable(error: Any, gateway: GatewayHandle) -> AgentFailed:
    status = getattr(error, "status_code", None)
    words = f"the judge could not be asked ({f'status {status}' if status else 'no answer'}): {error.message}"
    passes = status is None or status == 429 or status >= 500
    return AgentFailed(words, retryable=passes, retry_after=gateway.retry_after or None)
