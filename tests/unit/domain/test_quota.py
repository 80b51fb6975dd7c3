from __future__ import annotations

import pytest

from bot.domain.money import MicroUsd
from bot.domain.quota import Account
from bot.domain.usage import Usage


def account(cap: int, spent: int = 0, reserved: int = 0, period: str = "2026-01") -> Account:
    return Account("org", "acme", period, MicroUsd(cap), MicroUsd(spent), MicroUsd(reserved))


@pytest.mark.parametrize(
    ("held", "left"),
    [
        (account(100), 100),
        (account(100, spent=30), 70),
        (account(100, spent=30, reserved=70), 0),
        # The cap was lowered below what is spent already.
        (account(10, spent=30, reserved=5), 0),
    ],
)
def test_what_is_left(held: Account, left: int) -> None:
    assert held.left == left


def test_a_refusal_has_all_the_figures() -> None:
    refusal = account(2_000_000, spent=1_500_000, reserved=250_000).refusal(MicroUsd(500_000))
    assert refusal == (
        "the budget of org acme (2026-01) is used up: $1.50 spent and $0.25 reserved of $2.00, "
        "and the next request may cost $0.50"
    )


def test_a_refusal_leaves_out_what_there_is_not() -> None:
    refusal = account(2_000_000, spent=2_000_000, period="").refusal(MicroUsd(1))
    assert refusal == "the budget of org acme is used up: $2.00 spent of $2.00, and the next request may cost $0.000001"


def test_usages_are_added_price_by_price() -> None:
    both = Usage(1, 2, 3, 4, 5) + Usage(10, 20, 30, 40, 50)
    assert both == Usage(11, 22, 33, 44, 55)
    assert both.total == 165
