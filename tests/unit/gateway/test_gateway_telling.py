from __future__ import annotations

from typing import Any

from bot.errors import StoreError
from bot.gateway.telling import TOLD_AT_MOST, Telling


def test_only_the_first_ones_of_each_kind_are_told() -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    tell = Telling(lambda message, **data: told.append((message, data)))
    for number in range(TOLD_AT_MOST + 20):
        tell("model_refused", f"no. {number}", status=400)
    tell("model_failed", "status 529", status=529)
    assert len(told) == TOLD_AT_MOST + 1
    assert told[0] == ("no. 0", {"event": "model_refused", "status": 400})
    assert told[-2][0].endswith("(further ones are not told)")
    assert told[-1] == ("status 529", {"event": "model_failed", "status": 529})


def test_what_a_client_wrote_is_one_short_line() -> None:
    told: list[str] = []
    Telling(lambda message, **_: told.append(message))("model_refused", "model: '\x1b[2J\nx" + "y" * 1000)
    assert len(told[0]) == 400
    assert told[0].isprintable()


def test_a_timeline_that_cannot_be_written_is_no_error_of_the_request() -> None:
    def broken(message: str, **_: Any) -> None:
        raise StoreError("the disk is full")

    Telling(broken)("model_refused", "no")
