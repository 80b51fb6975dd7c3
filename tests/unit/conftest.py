"""Worlds for the use-cases' tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from bot.store.database import Database
from tests.databases import SqliteDatabases
from tests.fakes.clock import ManualClock
from tests.fakes.world import World


@pytest.fixture
def new_world(tmp_path: Path, sqlite_databases: SqliteDatabases) -> Iterator[Callable[..., World]]:
    """Makes worlds, each with a folder and a SQLite database of its own, of the given class."""
    opened: list[Database] = []
    numbers = count()

    def make(kind: type[Database] = Database) -> World:
        opened.append(kind(sqlite_databases.upgraded()))
        return World(tmp_path / str(next(numbers)), opened[-1], ManualClock())

    yield make
    for database in opened:
        database.dispose()


@pytest.fixture
def world(new_world: Callable[..., World]) -> World:
    return new_world()
