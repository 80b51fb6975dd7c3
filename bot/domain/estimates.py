"""What a policy may cost: by what it has cost before, else by what its sessions are taken to be, else by its budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bot.domain.money import ZERO, MicroUsd, decimal_usd
from bot.domain.policies import Budget
from bot.domain.prices import ModelPrice, cost
from bot.domain.usage import Usage

CLAUDE_CODE_TOKENS = 10_000
"""What Claude Code 2.1 itself says and describes as tools in each request: 40 KB, at four characters a token."""
TURNS = 20
LONG_TURNS = 40
ANSWER_TOKENS = 500
RESULT_TOKENS = 1_500
"""What is taken for a session of which only the first prompt is known: so many turns, or so many in a long one; in each, so
many tokens are answered, and so many come back from tools. A guess, and told as one."""


class Source(StrEnum):
    """Where an estimate comes from: the best that was there."""

    NOTHING = "nothing"
    HISTORY = "history"
    PROMPTS = "prompts"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True)
class Estimate:
    """For all targets together. `basis` is the source in words.

    `p50` and `p90` are what it comes to if each run costs what half of the known ones, or nine in ten, did not exceed;
    `at_most` if each uses up its attempt's budget. The campaign's budget bounds all of them.
    """

    source: Source
    basis: str
    expected: MicroUsd
    p50: MicroUsd
    p90: MicroUsd
    at_most: MicroUsd

    def to_json(self) -> dict[str, str]:
        return {
            "usd_expected": decimal_usd(self.expected),
            "usd_p50": decimal_usd(self.p50),
            "usd_p90": decimal_usd(self.p90),
            "usd_at_most": decimal_usd(self.at_most),
            "source": self.source.value,
            "basis": self.basis,
        }


def free_of_charge() -> Estimate:
    return Estimate(Source.NOTHING, "no step asks a model", ZERO, ZERO, ZERO, ZERO)


def by_history(costs: Sequence[MicroUsd], targets: int, budget: Budget) -> Estimate:
    """From what earlier runs have cost; there is at least one."""
    basis = f"what {len(costs)} earlier run{'s have' if len(costs) > 1 else ' has'} cost"
    together = (targets * sum(costs) // len(costs), targets * percentile(costs, 50), targets * percentile(costs, 90))
    return _bounded(Source.HISTORY, basis, together, targets, budget)


def by_budget(targets: int, budget: Budget) -> Estimate:
    most = targets * budget.attempt
    return _bounded(Source.BUDGET, "the attempt budget: this policy has no history here", (most, most, most), targets, budget)


def by_sessions(usual: MicroUsd, long: MicroUsd, basis: str, targets: int, budget: Budget) -> Estimate:
    """From what a run is taken to cost with sessions of the usual length, and with long ones."""
    return _bounded(Source.PROMPTS, basis, (targets * usual, targets * usual, targets * long), targets, budget)


def session_cost(price: ModelPrice, prompt_tokens: int, turns: int) -> MicroUsd:
    """Of a session as the guess has it: each turn reads from the cache what was there before, and writes to it what is new."""
    total, seen, new = 0, 0, CLAUDE_CODE_TOKENS + prompt_tokens
    for _ in range(turns):
        total += cost(Usage(output_tokens=ANSWER_TOKENS, cache_read_tokens=seen, cache_write_5m_tokens=new), price)
        seen, new = seen + new, ANSWER_TOKENS + RESULT_TOKENS
    return MicroUsd(total)


def percentile(amounts: Sequence[MicroUsd], percent: int) -> MicroUsd:
    """The smallest of the amounts that at least `percent` (1 to 100) in a hundred of them do not exceed."""
    rank = -(-len(amounts) * percent // 100)
    return sorted(amounts)[rank - 1]


def _bounded(source: Source, basis: str, sums: tuple[int, int, int], targets: int, budget: Budget) -> Estimate:
    at_most = MicroUsd(min(targets * budget.attempt, budget.campaign))
    expected, p50, p90 = (MicroUsd(min(amount, at_most)) for amount in sums)
    return Estimate(source, basis, expected, p50, p90, at_most)
