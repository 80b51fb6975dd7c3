"""What a request to a model costs: the price table and its arithmetic, in integers, rounded up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from bot.domain.money import MICRO, MicroUsd, micro_usd
from bot.domain.usage import Usage

MicroUsdPerMillion = Annotated[int, BeforeValidator(lambda usd: micro_usd(str(usd)))]
"""Written as US dollars per million tokens, held as micro-USD per million tokens."""
Tokens = Annotated[int, Field(ge=1)]


class CacheWrites(StrEnum):
    """The longest-lived cache entry that a request may write."""

    NONE = "none"
    FIVE_MINUTES = "5m"
    ONE_HOUR = "1h"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rates(_Table):
    """Micro-USD per million tokens, by kind."""

    input: MicroUsdPerMillion
    output: MicroUsdPerMillion
    cache_read: MicroUsdPerMillion
    cache_write_5m: MicroUsdPerMillion
    cache_write_1h: MicroUsdPerMillion

    def dearest_input(self, writes: CacheWrites) -> int:
        """The highest rate that a token of the prompt can cost when the request writes such cache entries, or shorter-lived."""
        rates = [self.input, self.cache_read]
        if writes is not CacheWrites.NONE:
            rates.append(self.cache_write_5m)
        if writes is CacheWrites.ONE_HOUR:
            rates.append(self.cache_write_1h)
        return max(rates)


class LongPrompt(_Table):
    """The rates of the whole request, output too, once its prompt (cached tokens too) has more than `over` tokens."""

    over: Tokens
    rates: Rates


class ModelPrice(_Table):
    """One model's rates and limits. `aliases` are other ids of the very same model."""

    rates: Rates
    long_prompt: LongPrompt | None = None
    context_window: Tokens
    max_output_tokens: Tokens
    aliases: tuple[str, ...] = ()

    def rates_at(self, prompt_tokens: int) -> Rates:
        if self.long_prompt and prompt_tokens > self.long_prompt.over:
            return self.long_prompt.rates
        return self.rates

    def _possible_rates(self, prompt_tokens: int) -> Iterator[Rates]:
        yield self.rates
        if self.long_prompt and prompt_tokens > self.long_prompt.over:
            yield self.long_prompt.rates


class PriceTable(_Table):
    """The models that may be asked, by id. `as_of` is the day on which the prices were looked up at `source`."""

    as_of: date
    source: Annotated[str, Field(min_length=1)]
    models: dict[str, ModelPrice]

    @model_validator(mode="after")
    def _ids_are_unique(self) -> PriceTable:
        ids = [*self.models, *(alias for price in self.models.values() for alias in price.aliases)]
        doubled = sorted({name for name in ids if ids.count(name) > 1})
        if doubled:
            raise ValueError(f"listed twice: {', '.join(doubled)}")
        return self

    def get(self, model: str) -> ModelPrice | None:
        """The price of a model by its id or an alias; None for a model that is not listed."""
        listed = self.models.get(model)
        return listed or next((price for price in self.models.values() if model in price.aliases), None)


def cost(usage: Usage, price: ModelPrice) -> MicroUsd:
    """What one request with this usage costs, rounded up to the next micro-USD."""
    rates = price.rates_at(usage.total - usage.output_tokens)
    return _rounded_up(
        usage.input_tokens * rates.input
        + usage.output_tokens * rates.output
        + usage.cache_read_tokens * rates.cache_read
        + usage.cache_write_5m_tokens * rates.cache_write_5m
        + usage.cache_write_1h_tokens * rates.cache_write_1h
    )


def worst_case(price: ModelPrice, *, prompt_tokens: int, output_tokens: int, writes: CacheWrites) -> MicroUsd:
    """The most that a request can cost whose prompt and answer have at most so many tokens.

    Never less than `cost` of any usage within these bounds that writes no longer-lived cache entries than `writes`.
    """
    return max(
        _rounded_up(prompt_tokens * rates.dearest_input(writes) + output_tokens * rates.output)
        for rates in price._possible_rates(prompt_tokens)
    )


def _rounded_up(micro_usd_times_million: int) -> MicroUsd:
    return MicroUsd(-(-micro_usd_times_million // MICRO))
