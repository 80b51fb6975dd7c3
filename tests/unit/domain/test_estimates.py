from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.estimates import LONG_TURNS, TURNS, Estimate, by_budget, by_history, by_sessions, percentile, session_cost
from bot.domain.money import MicroUsd
from bot.domain.policies import Budget
from bot.gateway.prices import load_prices

AMOUNTS = st.lists(st.integers(1, 10**9).map(MicroUsd), min_size=1, max_size=50)
TARGETS = st.integers(0, 10_000)
CAPS = st.decimals(0, 1000, places=2)
PRICES = load_prices().models


def budget(attempt: object = 2, campaign: object = 200) -> Budget:
    return Budget.model_validate({"usd_per_attempt": attempt, "usd_per_campaign": campaign})


def amounts(found: Estimate) -> tuple[int, ...]:
    return found.expected, found.p50, found.p90, found.at_most


@pytest.mark.parametrize(
    ("costs", "percent", "found"),
    [
        ([7], 50, 7),
        ([7], 90, 7),
        ([3, 1, 2], 50, 2),
        ([1, 2], 50, 1),
        (list(range(1, 11)), 90, 9),
        (list(range(1, 11)), 100, 10),
    ],
)
def test_a_percentile_is_one_of_the_amounts(costs: list[MicroUsd], percent: int, found: int) -> None:
    assert percentile(costs, percent) == found


@given(AMOUNTS, st.integers(1, 100))
def test_as_many_as_it_says_do_not_exceed_a_percentile_and_fewer_do_not_exceed_less(
    costs: list[MicroUsd], percent: int
) -> None:
    found = percentile(costs, percent)
    assert sum(cost <= found for cost in costs) * 100 >= percent * len(costs)
    assert sum(cost < found for cost in costs) * 100 < percent * len(costs)


@given(AMOUNTS, TARGETS, CAPS, CAPS)
def test_whatever_runs_have_cost_the_budgets_bound_it(
    costs: list[MicroUsd], targets: int, attempt: Decimal, campaign: Decimal
) -> None:
    caps = budget(attempt, campaign)
    expected, p50, p90, at_most = amounts(by_history(costs, targets, caps))
    assert at_most == min(targets * caps.attempt, caps.campaign)
    assert 0 <= p50 <= p90 <= at_most
    assert 0 <= expected <= at_most


def test_history_is_the_average_and_the_percentiles_for_every_target() -> None:
    costs = [MicroUsd(cents * 10_000) for cents in (1, 2, 3, 4, 90)]
    found = by_history(costs, 10, budget())
    assert amounts(found) == (2_000_000, 300_000, 9_000_000, 20_000_000)
    assert found.basis == "what 5 earlier runs have cost"
    assert by_history(costs[:1], 1, budget()).basis == "what 1 earlier run has cost"


def test_without_anything_known_the_budget_is_expected() -> None:
    assert amounts(by_budget(3, budget(2, 5))) == (5_000_000,) * 4


def test_what_is_taken_for_a_session_is_bounded_like_all_else() -> None:
    assert amounts(by_sessions(MicroUsd(100), MicroUsd(5_000_000), "", 2, budget())) == (200, 200, 4_000_000, 4_000_000)


@pytest.mark.parametrize("model", sorted(PRICES))
def test_a_longer_session_and_a_longer_prompt_cost_more(model: str) -> None:
    usual = session_cost(PRICES[model], 1_000, TURNS)
    assert 0 < usual < session_cost(PRICES[model], 1_000, LONG_TURNS)
    assert usual < session_cost(PRICES[model], 20_000, TURNS)


def test_each_turn_reads_what_was_there_and_writes_what_is_new() -> None:
    """10,000 of Claude Code and 2,000 of the prompt; 500 tokens answered a turn, 1,500 from a tool: by hand, at $3 and $15."""
    price = PRICES["claude-sonnet-4-5"]
    first = 12_000 * 3.75 + 500 * 15
    second = 12_000 * 0.30 + 2_000 * 3.75 + 500 * 15
    third = 14_000 * 0.30 + 2_000 * 3.75 + 500 * 15
    assert session_cost(price, 2_000, 3) == first + second + third
