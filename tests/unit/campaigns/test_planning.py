from __future__ import annotations

from decimal import Decimal

from bot.domain.money import MicroUsd
from bot.domain.states import Outcome
from bot.pipeline.lease import LEASE
from bot.store import campaigns, runs
from tests.fakes.world import World

CLAUDE = {"prompt": "Do it.", "model": "claude-sonnet-4-5"}


def test_a_plan_costs_nothing_where_no_model_is_asked(world: World) -> None:
    world.repository("tool")
    plan, _ = world.plan()
    none = dict.fromkeys(("usd_expected", "usd_p50", "usd_p90", "usd_at_most"), "0.000000")
    assert plan.estimate == {**none, "source": "nothing", "basis": "no step asks a model"}


def test_without_history_the_budget_is_what_is_expected(world: World) -> None:
    for name in ("one", "two", "three"):
        world.repository(name)
    plan, _ = world.plan(steps=[CLAUDE], budget={"usd_per_attempt": 2, "usd_per_campaign": 5})
    assert (Decimal(plan.estimate["usd_expected"]), Decimal(plan.estimate["usd_at_most"])) == (5, 5)
    assert plan.estimate["basis"] == "the attempt budget: this policy has no history here"


def test_with_history_its_average_is(world: World) -> None:
    for name in ("one", "two"):
        world.repository(name)
    world.start(steps=[CLAUDE])
    now = world.clock.now()
    for item, cost in zip(world.dispatch(), (100_000, 300_000), strict=True):
        with world.database.transaction() as tx:
            run = runs.claim(tx, item.run_id, item.fence, worker="w", now=now, lease=LEASE)
            assert run is not None
            runs.add_cost(tx, run, MicroUsd(cost), 10)
            runs.end(tx, run, Outcome.NO_CHANGE, "", now=now)
    world.repository("three")
    plan, _ = world.plan(steps=[CLAUDE], budget={"usd_per_attempt": 2})
    assert (Decimal(plan.estimate["usd_expected"]), Decimal(plan.estimate["usd_at_most"])) == (Decimal("0.6"), 6)
    assert plan.estimate["basis"] == "what 2 earlier runs have cost"


def test_the_revision_is_kept_once_with_its_templates(world: World) -> None:
    world.repository("tool")
    first, _ = world.plan()
    second, _ = world.plan()
    other, _ = world.plan("Be brief.")
    assert first.revision == second.revision != other.revision
    assert first.id != second.id
    with world.database.reading() as tx:
        assert "note.md.j2" in campaigns.templates_of(tx, first.revision)
