"""Guards in an attempt: what a command did is held against them, what a template wrote is not; one verdict has it all."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.ports import StepContext
from bot.store.ledger import Accounts
from tests.fakes.world import World
from tests.unit.guards.blind_cases import PRICES, WORKFLOW

FILES = {"tests/test_prices.py": PRICES.encode(), ".github/workflows/ci.yml": WORKFLOW.encode()}
CHEAT = {"run": "cheat"}


def ended(world: World, **policy: object) -> str:
    world.clock.advance(1)
    campaign = world.start("Be kind.", **policy)
    world.work()
    return world.ended(world.run(campaign))


@pytest.fixture(autouse=True)
def bare(world: World) -> Path:
    def cheat(_: Accounts, context: StepContext) -> None:
        (context.workspace.tree / "tests" / "test_prices.py").unlink()

    world.acts["cheat"] = cheat
    world.sandbox.answers["check"] = lambda _: 0
    return world.repository("tool", FILES)


def test_a_command_that_deletes_tests_is_rejected_though_every_check_passes(world: World) -> None:
    told = ended(world, steps=[CHEAT], checks=[{"run": "check"}])
    assert told.startswith("rejected: a guard objects: tests: tests/test_prices.py: 3 tests are gone with the file: ")
    assert not world.pull_requests("tool")


def test_a_policy_may_want_just_that(world: World) -> None:
    assert ended(world, steps=[CHEAT], guards={"tests": "off"}) == "published: 2 files changed, no checks to pass"


def test_what_only_warns_is_told_with_the_rest(world: World) -> None:
    told = ended(world, steps=[CHEAT], checks=[{"run": "check"}], guards={"tests": "warn"})
    assert told == "published: 2 files changed, its check passed, a guard warns: tests"
