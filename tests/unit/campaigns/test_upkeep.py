"""The bot's standing on a host: what is kept up is told, and a token's end is told in time, once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from bot.campaigns.upkeep import KEEP_EVERY, keep_up
from bot.domain.hooks import HookChange, TokenState
from bot.errors import HostUnavailable
from bot.store import audit, host_tokens
from bot.store.schema import publications
from tests.fakes.world import World


class Standing:
    """`upkeep.Keeper`: `changes` are what the next look finds; a text among them is an error of the host."""

    org, name = "acme", "gitlab.example.com acme"

    def __init__(self, world: World):
        self.changes: list[HookChange | str] = []
        self.ends = world.clock.now() + timedelta(days=16)
        self.looks = 0

    def hooks(self) -> Iterator[HookChange]:
        self.looks += 1
        for change in self.changes:
            if isinstance(change, str):
                raise HostUnavailable(change)
            yield change

    def token(self) -> TokenState:
        return TokenState("whimbrel", "group_7_bot", self.ends)


@pytest.fixture
def standing(world: World) -> Standing:
    return Standing(world)


def told(world: World) -> list[str]:
    with world.database.reading() as tx:
        return [f"{event['action']}: {event['reason']}" for event in audit.events(tx, "acme")]


def look(world: World, standing: Standing, after: timedelta = KEEP_EVERY) -> int:
    world.clock.advance(after.total_seconds())
    return keep_up(world.services, standing)


def test_what_is_done_to_a_webhook_is_told(world: World, standing: Standing, caplog: pytest.LogCaptureFixture) -> None:
    standing.changes = [
        HookChange("the project acme/new", "created", "there was none"),
        HookChange("the project acme/tool", "enabled", "GitLab had disabled it"),
    ]
    with caplog.at_level(logging.WARNING):
        assert look(world, standing) == 2
    assert told(world) == ["webhook.created: there was none", "webhook.enabled: GitLab had disabled it"]
    assert "gitlab.example.com acme: the webhook of the project acme/tool is enabled" in caplog.text


def test_it_is_looked_at_every_few_minutes_by_one(world: World, standing: Standing) -> None:
    look(world, standing)
    assert [look(world, standing, KEEP_EVERY / 3) for _ in range(3)] == [0, 0, 0]
    assert standing.looks == 2


def test_what_was_done_before_the_host_went_away_is_told(world: World, standing: Standing) -> None:
    standing.changes = [HookChange("the project acme/new", "created", "there was none"), "503"]
    with pytest.raises(HostUnavailable):
        look(world, standing)
    assert told(world) == ["webhook.created: there was none"]


def test_one_that_cannot_be_enabled_is_told_once_a_day(world: World, standing: Standing) -> None:
    standing.changes = [HookChange("the group acme", "disabled", "a test fails too")]
    for _ in range(4):
        look(world, standing)
    assert told(world) == ["webhook.disabled: a test fails too"]
    look(world, standing, timedelta(days=1))
    assert len(told(world)) == 2


def test_the_end_of_a_token_is_told_two_weeks_before_and_once(world: World, standing: Standing) -> None:
    look(world, standing)
    assert told(world) == []
    for _ in range(3):
        look(world, standing, timedelta(days=1))
    ends = f"{standing.ends:%Y-%m-%d}"
    assert told(world) == [f"token.expiring: the token whimbrel of group_7_bot ends on {ends}"]
    standing.ends += timedelta(days=1)
    look(world, standing)
    assert len(told(world)) == 2


def test_what_is_known_of_it_is_kept_for_whoever_asks(world: World, standing: Standing) -> None:
    look(world, standing)
    standing.ends += timedelta(days=365)
    look(world, standing)
    with world.database.reading() as tx:
        assert host_tokens.known(tx) == {("acme", "gitlab.example.com acme"): standing.token()}


def test_after_a_webhook_was_away_open_pull_requests_are_looked_at(world: World, standing: Standing) -> None:
    world.repository("tool")
    world.start()
    world.work()
    with world.database.transaction() as tx:
        tx.execute(update(publications).values(looked_at=world.clock.now()))
    standing.changes = [HookChange("the group acme", "mended", "it has another secret")]
    look(world, standing)
    assert looked_at(world) != [None]
    standing.changes = [HookChange("the group acme", "enabled", "GitLab had disabled it")]
    look(world, standing)
    assert looked_at(world) == [None]


def looked_at(world: World) -> list[object]:
    with world.database.reading() as tx:
        return list(tx.execute(select(publications.c.looked_at)).scalars())
