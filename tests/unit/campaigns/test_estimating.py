"""What an estimate is made of: history first, then counted prompts, then the budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from bot.campaigns.estimating import SAMPLE, estimate_plan
from bot.domain.estimates import LONG_TURNS, TURNS, Estimate, Source, session_cost
from bot.domain.money import MicroUsd
from bot.domain.states import Outcome
from bot.errors import ConfigurationError, EngineError, PolicyError
from bot.gateway.prices import load_prices
from bot.pipeline.lease import LEASE
from bot.store import runs
from tests.fakes.world import World

MODEL = "claude-sonnet-4-5"
CLAUDE = {"prompt": "Tidy {{ repo.name }} up.", "model": MODEL}
PRICES = load_prices()
PRICE = PRICES.models[MODEL]


@dataclass
class Counter:
    """Counts a token for each character, or says why it cannot."""

    asked: list[tuple[str, str]] = field(default_factory=list)
    error: EngineError | None = None

    @contextmanager
    def __call__(self, model: str) -> Iterator[Callable[[str], int]]:
        def count(prompt: str) -> int:
            if self.error:
                raise self.error
            self.asked.append((model, prompt))
            return len(prompt)

        yield count


@contextmanager
def keyless(_: str) -> Iterator[Callable[[str], int]]:
    raise ConfigurationError("there is no key", mend="set one")
    yield  # a generator, as a context manager is made of


def estimated(world: World, counting: Any = keyless, **policy: Any) -> Estimate:
    plan, parsed = world.plan(**{"steps": [CLAUDE], **policy})
    return estimate_plan(world.services, world.org, parsed, plan, PRICES, counting)


def end_runs(world: World, *costs: int) -> None:
    now = world.clock.now()
    world.start(steps=[CLAUDE])
    for item, cost in zip(world.dispatch(), costs, strict=True):
        with world.database.transaction() as tx:
            run = runs.claim(tx, item.run_id, item.fence, worker="w", now=now, lease=LEASE)
            assert run is not None
            runs.add_cost(tx, run, MicroUsd(cost), 10)
            runs.end(tx, run, Outcome.NO_CHANGE, "", now=now)


def test_no_model_no_cost(world: World) -> None:
    world.repository("tool")
    found = estimated(world, steps=[])
    assert (found.source, found.expected, found.at_most) == (Source.NOTHING, 0, 0)


def test_history_is_taken_before_anybody_is_asked(world: World) -> None:
    for name in ("a", "b", "c"):
        world.repository(name)
    end_runs(world, 100_000, 200_000, 600_000)
    counter = Counter()
    found = estimated(world, counter)
    assert found.source is Source.HISTORY
    assert (found.expected, found.p50, found.p90, found.at_most) == (900_000, 600_000, 1_800_000, 6_000_000)
    assert counter.asked == []


def test_a_run_that_goes_on_is_no_history(world: World) -> None:
    world.repository("tool")
    world.start(steps=[CLAUDE])
    [item] = world.dispatch()
    with world.database.transaction() as tx:
        run = runs.claim(tx, item.run_id, item.fence, worker="w", now=world.clock.now(), lease=LEASE)
        assert run is not None
        runs.add_cost(tx, run, MicroUsd(5), 10)
    assert estimated(world).source is Source.BUDGET


def test_without_history_the_first_prompts_are_counted(world: World) -> None:
    for name in ("a", "bcd"):
        world.repository(name)
    counter = Counter()
    found = estimated(world, counter)
    assert counter.asked == [(MODEL, "Tidy a up.\n"), (MODEL, "Tidy bcd up.\n")]
    usual, long = (session_cost(PRICE, 12, turns) for turns in (TURNS, LONG_TURNS))
    assert (found.source, found.expected, found.p50, found.p90) == (Source.PROMPTS, 2 * usual, 2 * usual, 2 * long)
    assert found.basis.startswith(
        "a guess, for this policy has no history here: 12 tokens in the first prompt (counted, the average of 2 targets)"
    )


def test_only_some_targets_are_asked_for_from_all_over_the_plan(world: World) -> None:
    names = [f"r{number:02}" for number in range(12)]
    for name in names:
        world.repository(name)
    counter = Counter()
    estimated(world, counter)
    assert [prompt for _, prompt in counter.asked] == [f"Tidy {name} up.\n" for name in names[::3]]
    assert len(counter.asked) <= SAMPLE


def test_each_session_counts_by_its_own_model_and_limits(world: World) -> None:
    world.repository("tool")
    other = {"prompt": "{{ outputs.a.b }}", "model": "claude-opus-4-5", "max_turns": 3}
    capped = {"prompt": "x", "model": MODEL, "max_usd": 0.000005}
    found = estimated(world, Counter(), steps=[CLAUDE, other, capped])
    size = len("Tidy tool up.\n")
    assert found.expected == session_cost(PRICE, size, TURNS) + session_cost(PRICES.models["claude-opus-4-5"], size, 3) + 5


@pytest.mark.parametrize(
    ("counting", "why"),
    [(keyless, "there is no key (set one)"), (Counter(error=EngineError("status 529")), "status 529")],
)
def test_where_nobody_can_count_it_is_the_budget_and_says_why(world: World, counting: Any, why: str) -> None:
    world.repository("tool")
    found = estimated(world, counting, budget={"usd_per_attempt": "1.50"})
    assert (found.source, found.expected, found.p90) == (Source.BUDGET, 1_500_000, 1_500_000)
    assert found.basis == f"the attempt budget: this policy has no history here, and its prompts could not be counted: {why}"


def test_a_model_without_a_price_leaves_the_budget(world: World) -> None:
    world.repository("tool")
    found = estimated(world, Counter(), steps=[CLAUDE | {"model": "gpt"}])
    assert found.source is Source.BUDGET
    assert "gpt is not in the price table" in found.basis


def test_without_targets_nobody_is_asked(world: World) -> None:
    counter = Counter()
    found = estimated(world, counter)
    assert (found.expected, found.at_most, counter.asked) == (0, 0, [])


def test_a_prompt_that_cannot_be_rendered_is_told(world: World) -> None:
    world.repository("tool")
    with pytest.raises(PolicyError, match="'nobody' is undefined"):
        estimated(world, Counter(), steps=[{"prompt": "{{ nobody }}", "model": MODEL}])
