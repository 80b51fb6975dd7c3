from __future__ import annotations

from pathlib import Path

import pytest

from bot.domain.prices import CacheWrites
from bot.domain.steps import ClaudeStep
from bot.errors import ConfigurationError
from bot.gateway.prices import load_prices


def test_the_shipped_table_prices_the_default_model() -> None:
    price = load_prices().get(ClaudeStep(prompt="p").model)
    assert price is not None
    assert (price.rates.input, price.rates.output) == (2_000_000, 10_000_000)


def test_every_shipped_model_costs_more_to_write_to_a_cache_than_to_read_from_it() -> None:
    for name, price in load_prices().models.items():
        for rates in filter(None, (price.rates, price.long_prompt and price.long_prompt.rates)):
            assert rates.cache_read < rates.input < rates.cache_write_5m < rates.cache_write_1h, name
            assert rates.dearest_input(CacheWrites.ONE_HOUR) == 2 * rates.input, name
            assert rates.cache_write_5m * 4 == rates.input * 5, name
            assert rates.output == 5 * rates.input, name


def test_the_operator_can_put_another_table_in_its_place(tmp_path: Path) -> None:
    table = tmp_path / "prices.yaml"
    table.write_text(
        "as_of: 2026-12-01\nsource: our contract\nmodels:\n  claude-x:\n    context_window: 1000\n    max_output_tokens: 10\n"
        "    rates: {input: 1, output: 2, cache_read: 0.5, cache_write_5m: 1.25, cache_write_1h: 2}\n"
    )
    prices = load_prices(table)
    assert list(prices.models) == ["claude-x"]
    assert prices.source == "our contract"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models: {", "cannot be read"),
        ("as_of: 2026-12-01\nsource: x\nmodels: {a: {context_window: 1}}", "models.a.rates"),
        ("as_of: 2026-12-01\nmodels: {}", "source"),
        ("[]", "its top"),
    ],
)
def test_a_wrong_table_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    table = tmp_path / "prices.yaml"
    table.write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        load_prices(table)
    assert said in str(raised.value)
    assert str(table) in str(raised.value)


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_prices(tmp_path / "none.yaml")
