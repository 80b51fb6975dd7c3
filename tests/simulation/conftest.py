"""Worlds for the simulations, whose database is one that its writers may die at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.databases import SqliteDatabases
from tests.fakes.clock import ManualClock
from tests.fakes.world import World
from tests.simulation.campaigning import MortalDatabase, Simulation


@pytest.fixture
def simulate(tmp_path: Path, sqlite_databases: SqliteDatabases) -> Iterator[Callable[..., Simulation]]:
    """Makes simulations of so many repositories, each in a world of its own; `rollout` as a policy has it."""
    opened: list[MortalDatabase] = []

    def simulate(repositories: int, *, rollout: dict[str, Any], seed: int = 1, **options: Any) -> Simulation:
        opened.append(MortalDatabase(sqlite_databases.upgraded()))
        world = World(tmp_path / str(len(opened)), opened[-1], ManualClock())
        world.limit(ceilings={"open_pull_requests": 1000, "pull_requests_per_hour": 500}, quota={"concurrent_runs": 100})
        return Simulation(world, repositories=repositories, seed=seed, rollout=rollout, **options)

    yield simulate
    for database in opened:
        database.dispose()
