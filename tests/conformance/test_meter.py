"""What the gateway relies on, of the ledger and of its fake alike."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bot.domain.money import MicroUsd, micro_usd
from bot.domain.usage import Usage
from bot.errors import QuotaRefused
from bot.ports import Meter
from bot.store import ledger
from bot.store.database import Database
from bot.store.ledger import Accounts, LedgerMeter
from tests.fakes.clock import ManualClock
from tests.fakes.meter import FakeMeter

CAP = micro_usd("1")
MODEL = "claude-sonnet-4-5"


@pytest.fixture(params=["sqlite", "postgres", "fake"])
def meter(request: pytest.FixtureRequest, clock: ManualClock) -> Iterator[Meter]:
    """With one dollar."""
    if request.param == "fake":
        yield FakeMeter(cap="1")
        return
    database = Database(request.getfixturevalue(f"{request.param}_databases").upgraded())
    with database.transaction() as tx:
        charged = Accounts(*(ledger.ensure_account(tx, scope, "one", "", CAP) for scope in ("org", "campaign", "attempt")))
    yield LedgerMeter(database, charged, clock)
    database.dispose()


def settle(meter: Meter, reservation: int, cost: int) -> None:
    meter.settle(reservation, MicroUsd(cost), Usage(1, 1), estimated=False, latency_ms=1)


def can_hold_exactly(meter: Meter, amount: int) -> bool:
    with pytest.raises(QuotaRefused):
        meter.reserve(MicroUsd(amount + 1), model=MODEL)
    meter.release(meter.reserve(MicroUsd(amount), model=MODEL))
    return True


def test_the_last_micro_dollar_can_be_reserved_and_no_more(meter: Meter) -> None:
    assert can_hold_exactly(meter, CAP)


def test_what_is_reserved_is_not_there_for_others(meter: Meter) -> None:
    reservations = {meter.reserve(MicroUsd(300_000), model=MODEL) for _ in range(3)}
    assert len(reservations) == 3
    assert can_hold_exactly(meter, 100_000)


def test_a_settlement_gives_the_rest_back(meter: Meter) -> None:
    settle(meter, meter.reserve(CAP, model=MODEL), 250_000)
    assert can_hold_exactly(meter, 750_000)


def test_a_release_gives_everything_back(meter: Meter) -> None:
    meter.release(meter.reserve(CAP, model=MODEL))
    assert can_hold_exactly(meter, CAP)


def test_more_than_was_reserved_is_spent_all_the_same(meter: Meter) -> None:
    settle(meter, meter.reserve(MicroUsd(100_000), model=MODEL), 900_000)
    assert can_hold_exactly(meter, 100_000)


def test_a_refusal_says_which_cap_and_what_is_spent(meter: Meter) -> None:
    settle(meter, meter.reserve(CAP, model=MODEL), 400_000)
    with pytest.raises(QuotaRefused, match=r"\$0\.40 spent.* of \$1\.00") as refused:
        meter.reserve(CAP, model=MODEL)
    assert refused.value.scope in ("org", "campaign", "attempt")
