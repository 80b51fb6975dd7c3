"""The story of an attempt: what the repository's own policy may still say, and what leads to no pull request."""

from __future__ import annotations

import pytest

from bot.domain.money import MicroUsd
from bot.ports import StepContext
from bot.store import ledger
from bot.store.ledger import Accounts
from tests.fakes import repositories
from tests.fakes.world import World

NOTHING = "nothing to change: the repository already is as the policy wants it"
STEP = {"run": "act"}


def late(world: World, own: bytes | None, **policy: object) -> str:
    """The repository gets its own policy (or loses its branch) after the plan; tell how the run ended."""
    bare = world.repository("tool")
    campaign = world.start(**policy)
    repository = repositories.opened(bare)
    if own is None:
        repository.references.create("refs/heads/trunk", repository.references["refs/heads/main"].target)
        repository.references.delete("refs/heads/main")
    else:
        repositories.commit(repository, {".whimbrel.yaml": own})
    world.work()
    return world.ended(world.run(campaign))


@pytest.mark.parametrize(
    ("own", "told"),
    [
        (b"enabled: false\n", "skipped: opted out in .whimbrel.yaml: enabled is false"),
        (b"campaigns: {notes: false}\n", "skipped: opted out in .whimbrel.yaml: campaigns.notes is false"),
        (b"enabld: false\n", "skipped: its own policy cannot be read, so it is left alone: "),
        (b"exclude_paths: [NOTE.md]\n", "rejected: "),
        (None, "skipped: the branch main is gone"),
    ],
)
def test_the_repository_has_its_say_until_the_attempt(world: World, own: bytes | None, told: str) -> None:
    assert late(world, own).startswith(told)
    assert world.pull_requests("tool") == []
    world.require_tidy()


def test_its_budget_holds_from_the_first_request(world: World) -> None:
    caps: list[MicroUsd] = []

    def look(_: Accounts, __: StepContext) -> None:
        with world.database.reading() as tx:
            [account] = ledger.accounts_of(tx, "attempt")
        caps.append(account.cap)

    world.acts["act"] = look
    late(world, b"budget: {usd_per_attempt: 0.50}\n", steps=[STEP])
    assert caps == [500_000]


def test_nothing_to_change(world: World) -> None:
    world.repository("tool", {"NOTE.md": b"# tool\n\nBe kind.\n"})
    campaign = world.start()
    world.work()
    assert world.ended(world.run(campaign)) == f"no_change: {NOTHING}"
    assert world.publication("tool") is None
    world.require_tidy()


def test_the_wall_clock_is_the_attempts(world: World) -> None:
    left: list[float] = []

    def take_time(_: Accounts, context: StepContext) -> None:
        left.append(context.remaining_seconds())
        world.clock.advance(100)
        left.append(context.remaining_seconds())
        world.clock.advance(1000)
        left.append(context.remaining_seconds())

    world.acts["act"] = take_time
    late(world, b"limits: {timeout_minutes: 2}\n", steps=[STEP])
    assert left == [120, 20, 0]


def test_a_repository_that_is_gone_is_told(world: World) -> None:
    bare = world.repository("tool")
    campaign = world.start()
    bare.rename(bare.with_suffix(".gone"))
    world.work()
    assert world.ended(world.run(campaign)).startswith("failed: there is no repository acme/tool on this host")
    world.require_tidy()
