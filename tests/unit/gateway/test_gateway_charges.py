from __future__ import annotations

from typing import Any

import pytest

from bot.domain.prices import CacheWrites
from bot.domain.usage import Usage
from bot.errors import QuotaRefused, StoreError
from bot.gateway.charges import Bounds, Charges
from bot.gateway.prices import load_prices
from bot.gateway.usage import Billed
from tests.fakes.meter import FakeMeter

SONNET = load_prices().models["claude-sonnet-4-5"]
BOUNDS = Bounds("claude-sonnet-4-5", SONNET, Usage(10_000, 1_000), CacheWrites.NONE)
WORST = 30_000 + 15_000


class Told:
    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def __call__(self, message: str, **data: Any) -> None:
        self.events.append({"message": message, **data})


def test_a_settled_request_costs_what_it_used_and_is_told() -> None:
    meter, told = FakeMeter(), Told()
    charges = Charges(meter, told)
    charges.settle(charges.reserve(BOUNDS), Billed(Usage(100, 10), usual=True))
    (settled,) = meter.settled
    assert (settled.reserved, settled.cost, settled.estimated) == (WORST, 300 + 150, False)
    assert charges.totals.usage == Usage(100, 10)
    assert (charges.totals.requests, charges.totals.cost) == (1, 450)
    (event,) = told.events
    assert (event["event"], event["tokens"], event["cost_micro_usd"]) == ("model_request", 110, 450)


def test_what_has_no_price_here_costs_at_least_the_worst_case() -> None:
    meter = FakeMeter()
    charges = Charges(meter, Told())
    charges.settle(charges.reserve(BOUNDS), Billed(Usage(100, 10), usual=False))
    charges.settle(charges.reserve(BOUNDS), Billed(Usage(100_000, 10_000), usual=False))
    assert [(settled.cost, settled.estimated) for settled in meter.settled] == [(WORST, True), (450_000, True)]


def test_more_than_was_reserved_is_recorded_as_it_is() -> None:
    meter = FakeMeter()
    charges = Charges(meter, Told())
    charges.settle(charges.reserve(BOUNDS), Billed(Usage(100_000, 10_000), usual=True))
    assert meter.settled[0].cost == 450_000


def test_the_first_refusal_is_kept() -> None:
    charges = Charges(FakeMeter("0.05"), Told())
    charges.reserve(BOUNDS)
    for _ in range(2):
        with pytest.raises(QuotaRefused):
            charges.reserve(BOUNDS)
    assert charges.refusal is not None
    assert "$0.05" in str(charges.refusal)


def test_closing_settles_what_is_open_at_its_worst_case_and_nothing_twice() -> None:
    meter = FakeMeter()
    charges = Charges(meter, Told())
    charges.settle_free(charges.reserve(BOUNDS))
    charges.release(charges.reserve(BOUNDS))
    charges.reserve(BOUNDS)
    charges.close()
    charges.close()
    assert [(settled.cost, settled.estimated) for settled in meter.settled] == [(0, False), (WORST, True)]
    assert meter.open == {}


def test_a_settlement_that_failed_is_tried_again_at_the_close_which_raises_if_it_fails_too() -> None:
    meter = FakeMeter()
    charges = Charges(meter, Told())
    hold = charges.reserve(BOUNDS)
    meter.broken = StoreError("the disk is full")
    with pytest.raises(StoreError):
        charges.settle(hold, Billed(Usage(1, 1), usual=True))
    with pytest.raises(StoreError):
        charges.close()
    meter.broken = None
    charges.close()
    assert meter.settled[0].cost == WORST
