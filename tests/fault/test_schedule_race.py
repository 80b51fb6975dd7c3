"""Four schedulers and one schedule: each slot is run once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.campaigns.scheduling import start_due
from bot.campaigns.sources import LOOK_EVERY, look_after
from bot.store import audit
from bot.store.database import Database
from bot.store.schema import campaigns, starts
from tests.fakes.clock import ManualClock
from tests.fakes.policy_repository import Site, files, policy
from tests.fakes.world import World
from tests.racing import meet, race

SCHEDULERS = 4
SLOTS = 24
PUSHES = 8


def tick(number: int, database_url: str, folder: str) -> int:
    """Half an hour after half an hour, as a scheduler; return how many slots it has run."""
    world = World(Path(folder) / str(number), Database(database_url), ManualClock())
    world.repository("one")
    _, world.policies["notes"] = world.plan(on={"schedule": "0 * * * *"})
    start_due(world.services)
    run = 0
    for _ in range(2 * SLOTS):
        meet()
        world.clock.advance(1800)
        run += sum(1 for _ in iter(lambda: start_due(world.services), 0))
    world.database.dispose()
    return run


def test_four_schedulers_run_each_slot_once(database_url: str, database: Database, tmp_path: Path) -> None:
    run = race(tick, SCHEDULERS, database_url, str(tmp_path))
    assert sum(run) == SLOTS
    with database.reading() as tx:
        states = Counter(tx.execute(select(starts.c.state)).scalars())
        assert states == {"started": 1, "joined": SLOTS - 1}
        assert len(tx.execute(select(campaigns)).all()) == 1
        acts = Counter(event["action"] for event in audit.events(tx, "acme"))
    assert acts == {"campaign.started": 1, "campaign.joined": SLOTS - 1}


def look(number: int, database_url: str, folder: str) -> None:
    """As a scheduler, at the same moments as the others: the commits are the same, and have the same names, for all."""
    site = Site(World(Path(folder) / str(number), Database(database_url), ManualClock()), "notes")
    for words in range(PUSHES):
        site.push(files(notes=policy(on="{template_changed: true}", more=f"variables: {{words: {words}}}")))
        meet()
        site.world.clock.advance(LOOK_EVERY.total_seconds())
        look_after(site.services)
        meet()
    site.world.database.dispose()


@pytest.mark.slow
def test_four_schedulers_take_up_each_commit_once(database_url: str, database: Database, tmp_path: Path) -> None:
    race(look, SCHEDULERS, database_url, str(tmp_path))
    with database.reading() as tx:
        adopted = [event["subject"] for event in audit.events(tx, "acme")]
        noted = list(tx.execute(select(starts.c.cause)).scalars())
    assert len(adopted) == len(set(adopted)) == PUSHES
    assert noted == ["template_changed"] * (PUSHES - 1)
