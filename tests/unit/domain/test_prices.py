from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bot.domain.prices import CacheWrites, ModelPrice, PriceTable, Rates, cost, worst_case
from bot.domain.usage import Usage

SONNET = ModelPrice(
    rates=Rates(input="3", output="15", cache_read="0.30", cache_write_5m="3.75", cache_write_1h="6"),
    context_window=200_000,
    max_output_tokens=64_000,
)
HAIKU: dict[str, Any] = {
    "rates": {"input": 0.10, "output": 0.50, "cache_read": 0.01, "cache_write_5m": 0.125, "cache_write_1h": 0.20},
    "long_prompt": {
        "over": 100_000,
        "rates": {"input": 0.50, "output": 2.50, "cache_read": 0.05, "cache_write_5m": 0.625, "cache_write_1h": 1},
    },
    "context_window": 1_000_000,
    "max_output_tokens": 128_000,
}
tokens = st.integers(0, 2_000_000)
rates = st.builds(
    Rates,
    **{kind: st.decimals(0, 200, places=6) for kind in ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")},
)
prices = st.builds(
    ModelPrice,
    rates=rates,
    long_prompt=st.none() | st.builds(lambda over, rates: {"over": over, "rates": rates}, st.integers(1, 10**6), rates),
    context_window=st.just(1_000_000),
    max_output_tokens=st.just(128_000),
)


def test_each_kind_of_token_has_its_own_price() -> None:
    assert cost(Usage(1_000_000, 0, 0, 0, 0), SONNET) == 3_000_000
    assert cost(Usage(0, 1_000_000, 0, 0, 0), SONNET) == 15_000_000
    assert cost(Usage(0, 0, 1_000_000, 0, 0), SONNET) == 300_000
    assert cost(Usage(0, 0, 0, 1_000_000, 0), SONNET) == 3_750_000
    assert cost(Usage(0, 0, 0, 0, 1_000_000), SONNET) == 6_000_000


def test_the_sum_is_rounded_up_once() -> None:
    assert cost(Usage(cache_read_tokens=1), SONNET) == 1
    assert cost(Usage(cache_read_tokens=10), SONNET) == 3


def test_a_long_prompt_has_its_own_rates_for_every_token_of_the_request() -> None:
    haiku = ModelPrice.model_validate(HAIKU)
    assert cost(Usage(input_tokens=40_000, cache_read_tokens=60_000, output_tokens=1_000), haiku) == 4_000 + 600 + 500
    assert cost(Usage(input_tokens=40_001, cache_read_tokens=60_000, output_tokens=1_000), haiku) == 20_001 + 3_000 + 2_500


@given(prices, tokens, tokens, tokens, tokens, tokens, tokens, tokens, st.sampled_from(CacheWrites))
def test_no_usage_within_the_bounds_costs_more_than_the_worst_case(
    price: ModelPrice,
    fresh: int,
    read: int,
    five: int,
    hour: int,
    output: int,
    spare: int,
    spare_output: int,
    writes: CacheWrites,
) -> None:
    five = five if writes is not CacheWrites.NONE else 0
    hour = hour if writes is CacheWrites.ONE_HOUR else 0
    bound = worst_case(
        price, prompt_tokens=fresh + read + five + hour + spare, output_tokens=output + spare_output, writes=writes
    )
    assert cost(Usage(fresh, output, read, five, hour), price) <= bound


def test_the_worst_case_is_reached() -> None:
    for writes, usage in (
        (CacheWrites.NONE, Usage(input_tokens=1000, output_tokens=10)),
        (CacheWrites.FIVE_MINUTES, Usage(cache_write_5m_tokens=1000, output_tokens=10)),
        (CacheWrites.ONE_HOUR, Usage(cache_write_1h_tokens=1000, output_tokens=10)),
    ):
        assert worst_case(SONNET, prompt_tokens=1000, output_tokens=10, writes=writes) == cost(usage, SONNET)


def test_a_model_is_found_by_its_id_and_its_aliases_only() -> None:
    dated = SONNET.model_copy(update={"aliases": ("sonnet-1",)})
    table = PriceTable.model_validate({"as_of": "2026-11-23", "source": "a page", "models": {"sonnet": dated}})
    assert table.get("sonnet") == table.get("sonnet-1") == dated
    assert table.get("sonnet-2") is None


@pytest.mark.parametrize("wrong", [-1, "many", float("nan"), True])
def test_a_rate_is_a_finite_amount(wrong: object) -> None:
    with pytest.raises(ValidationError):
        Rates.model_validate({**HAIKU["rates"], "input": wrong})
