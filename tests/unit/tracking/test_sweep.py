"""The periodic sweep: cheap, bounded, and stopped by nobody."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from bot.domain.pull_requests import PullRequest, PullRequestRef
from bot.domain.repositories import Repository
from bot.errors import HostError, HostUnavailable
from bot.hosts.local import LocalHost
from bot.store import following, publications
from bot.store.publications import Change
from bot.tracking import pull_requests as tracking
from bot.tracking.pull_requests import refresh_all
from tests.fakes.queue import intend, pull_request
from tests.fakes.world import World

ORG = "acme"


class Counting(LocalHost):
    """Tells how many it was asked for, at once and one by one; `broken` repositories are told of by neither."""

    broken: frozenset[str] = frozenset()
    away = False

    def __init__(self, root: Path, *, now: Callable[[], datetime]):
        super().__init__(root, now=now)
        self.asked: list[int] = []
        self.one_by_one: list[str] = []

    def pull_requests_now(self, org: str, refs: Sequence[PullRequestRef]) -> Mapping[PullRequestRef, PullRequest]:
        self.asked.append(len(refs))
        if self.away:
            raise HostUnavailable("503")
        known = [ref for ref in refs if ref.repository not in self.broken]
        return {ref: replace(pull_request(ref.number), conflicts=False) for ref in known}

    def pull_requests(self, repository: Repository, branch: str) -> Sequence[PullRequest]:
        self.one_by_one.append(repository.name)
        raise HostError(f"{repository.name} is called other now")


@pytest.fixture
def host(world: World) -> Counting:
    counting = Counting(world.folder / "host", now=world.clock.now)
    world.host = counting
    world.org = world.org.model_copy(update={"host": "github"})
    return counting


def publish(world: World, count: int, *, start: int = 1) -> None:
    with world.database.transaction() as tx:
        for number in range(start, start + count):
            made = intend(tx, world.clock, Change(ORG, "notes", f"r{number}", "main"), open_ceiling=10**6, hourly_ceiling=10**6)
            publications.record_open(tx, made, pull_request(number), "r1", world.clock.now())


def sweep(world: World) -> None:
    refresh_all(world.services, [world.org])


def test_many_are_asked_for_at_once_and_a_sweep_has_an_end(world: World, host: Counting) -> None:
    publish(world, 420)
    sweep(world)
    assert host.asked == [50, 50, 50, 50]
    sweep(world)
    sweep(world)
    assert sum(host.asked) == 420
    host.asked.clear()
    sweep(world)
    assert host.asked == []  # all were looked at just now
    world.clock.advance(tracking.LOOK_AGAIN.total_seconds())
    sweep(world)
    assert sum(host.asked) == tracking.SWEEP
    assert host.one_by_one == []


def test_those_with_news_are_the_first(world: World, host: Counting) -> None:
    publish(world, tracking.SWEEP + 60)
    for _ in range(2):
        sweep(world)
    world.clock.advance(600)
    with world.database.transaction() as tx:
        following.expect_news(tx, ORG, "r250", number=250)
    with world.database.reading() as tx:
        due = following.due(tx, ORG, world.clock.now(), tracking.SWEEP)
    assert due[0].change.repository == "r250"
    assert len(due) == tracking.SWEEP


def test_one_that_fails_stops_no_other_and_is_not_always_the_first(
    world: World, host: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    publish(world, 3)
    host.broken = frozenset({"r1", "r2"})
    with caplog.at_level(logging.WARNING):
        sweep(world)
    assert host.one_by_one == ["r1", "r2"]
    assert "acme/r1#1: r1 is called other now" in caplog.text
    sweep(world)
    assert host.one_by_one == ["r1", "r2"]


def test_a_host_that_is_away_is_asked_no_more_often_than_a_sweep(world: World, host: Counting) -> None:
    publish(world, 1)
    host.away = True
    for _ in range(3):
        tracking.refresh_news(world.services, [world.org])
    assert host.asked == [1]
    host.away = False
    sweep(world)
    assert host.asked == [1, 1]


def test_what_nobody_knows_is_what_it_was_before(world: World, host: Counting) -> None:
    """A host finds out whether something conflicts because it is asked: until then it says nothing, and nothing has changed."""
    publish(world, 1)
    found = world.publication("r1")
    assert found is not None
    known = pull_request(1)
    for told, now in ((True, True), (None, True), (False, False), (None, False)):
        tracking.note(world.services, found, replace(known, conflicts=told))
        found = world.publication("r1")
        assert found is not None
        assert found.facts.conflicts is now
    with world.database.reading() as tx:
        events = [event.words for event in publications.events_of(tx, found.id) if event.kind == "conflicts"]
    assert events == ["conflicts with main", "no conflict with main any more"]
