from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bot.domain.states import Stage
from bot.errors import FenceLost, StoreError
from bot.pipeline.recorder import Recorder
from bot.store import records
from bot.tracking.leases import reclaim_expired
from tests.fakes.world import World
from tests.unit.pipeline.test_lease import MoodyDatabase, begin

TOKEN = "ghp_" + "a" * 36


def test_what_is_kept_is_redacted(world: World) -> None:
    run = begin(world)
    recorder = Recorder(world.services, run)
    recorder.emit(f"pushing with {TOKEN}", step=1)
    recorder.artifact("transcript", f"{TOKEN} \udcff".encode("utf-8", "surrogateescape"))
    recorder.artifact("transcript", b"the second")
    with world.database.reading() as tx:
        [entry] = records.entries_of_run(tx, run.id)
        first, second = records.artifacts_of(tx, run.id)
    assert (entry.message, entry.data, entry.stage) == ("pushing with [redacted]", {"step": 1}, "checkout")
    assert (world.services.artifacts / first.file).read_bytes() == b"[redacted] \xff"
    assert [Path(each.file).name for each in (first, second)] == ["1-transcript", "1-transcript-2"]


def test_what_is_told_beside_the_words_is_redacted_however_deep_it_lies(world: World) -> None:
    run = begin(world)
    denials = [{"Bash": [f"curl -H {TOKEN}", 3]}, {TOKEN: None}]
    Recorder(world.services, run).emit("denied", denials=denials, summary=f"with {TOKEN}", turns=2, exact=True)
    with world.database.reading() as tx:
        [entry] = records.entries_of_run(tx, run.id)
    assert entry.data == {
        "denials": [{"Bash": ["curl -H [redacted]", 3]}, {"[redacted]": None}],
        "summary": "with [redacted]",
        "turns": 2,
        "exact": True,
    }


def test_a_stage_is_entered_by_who_has_the_run_alone(world: World) -> None:
    run = begin(world)
    recorder = Recorder(world.services, run)
    recorder.enter(Stage.STEPS, "2 steps")
    world.clock.advance(61)
    reclaim_expired(world.services)
    with pytest.raises(FenceLost):
        recorder.enter(Stage.COLLECT, "reading")


def test_threads_tell_at_once(world: World) -> None:
    run = begin(world)
    recorder = Recorder(world.services, run)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: recorder.emit(f"line {number}"), range(40)))
    with world.database.reading() as tx:
        assert len(records.entries_of_run(tx, run.id)) == 40


def test_a_line_that_cannot_be_written_costs_no_attempt(
    new_world: Callable[..., World], caplog: pytest.LogCaptureFixture
) -> None:
    world = new_world(MoodyDatabase)
    run = begin(world)
    recorder = Recorder(world.services, run)
    world.database.trouble = StoreError("locked", retryable=True)
    with caplog.at_level(logging.WARNING):
        recorder.emit("half way")
    assert f"{run.id}.1: a line of its progress is not recorded: locked" in caplog.text
    with pytest.raises(StoreError):
        recorder.enter(Stage.STEPS, "what decides is not lost in silence")
