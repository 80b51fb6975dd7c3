from __future__ import annotations

import pytest

from bot.domain.money import MicroUsd
from bot.domain.usage import Usage
from bot.errors import QuotaRefused
from bot.gateway.step_cap import CappedMeter
from tests.fakes.meter import FakeMeter

MODEL = "claude-sonnet-4-5"


def settle(meter: CappedMeter, reservation: int, cost: int) -> None:
    meter.settle(reservation, MicroUsd(cost), Usage(10, 1), estimated=False, latency_ms=5)


def test_spent_and_reserved_together_stay_within_the_steps_cap() -> None:
    ledger = FakeMeter()
    meter = CappedMeter(ledger, MicroUsd(100_000))
    settle(meter, meter.reserve(MicroUsd(60_000), model=MODEL), 30_000)
    held = meter.reserve(MicroUsd(50_000), model=MODEL)
    with pytest.raises(QuotaRefused) as caught:
        meter.reserve(MicroUsd(20_001), model=MODEL)
    assert caught.value.scope == "step"
    assert str(caught.value) == (
        "the budget of this step is used up: $0.03 spent and $0.05 reserved of $0.10, and the next request may cost $0.02"
    )
    assert list(ledger.open) == [held], "what is refused here never reaches the ledger"
    meter.reserve(MicroUsd(20_000), model=MODEL)


def test_what_is_released_may_be_reserved_again() -> None:
    ledger = FakeMeter()
    meter = CappedMeter(ledger, MicroUsd(100))
    meter.release(meter.reserve(MicroUsd(100), model=MODEL))
    meter.reserve(MicroUsd(100), model=MODEL)
    assert len(ledger.released) == 1


def test_what_the_ledger_refuses_is_not_held_here() -> None:
    ledger = FakeMeter("0.0001")
    meter = CappedMeter(ledger, MicroUsd(150))
    with pytest.raises(QuotaRefused) as caught:
        meter.reserve(MicroUsd(120), model=MODEL)
    assert caught.value.scope == "attempt"
    assert meter.reserve(MicroUsd(100), model=MODEL)


def test_more_than_was_reserved_counts_as_it_is() -> None:
    meter = CappedMeter(FakeMeter(), MicroUsd(100))
    settle(meter, meter.reserve(MicroUsd(50), model=MODEL), 100)
    with pytest.raises(QuotaRefused, match="this step"):
        meter.reserve(MicroUsd(1), model=MODEL)
