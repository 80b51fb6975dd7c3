"""Payloads that GitHub has sent, signed and delivered: each is accepted, and those of our events are understood."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.campaigns.inbox import Inbox
from bot.config import Settings
from bot.hosts.github_credentials import GITHUB
from bot.hosts.github_events import normalise_github
from bot.store import audit, installations
from bot.store import deliveries as stored
from bot.store.database import Database
from bot.web.app import create_app
from tests.contract import descriptions
from tests.databases import SqliteDatabases
from tests.fakes import deliveries
from tests.fakes.clock import ManualClock
from tests.fakes.world import World

UNDERSTOOD = {
    "ChecksChanged": 9,
    "Commented": 8,
    "InstallationChanged": 10,
    "Labelled": 8,
    "Ping": 4,
    "PullRequestChanged": 9,
    "Pushed": 2,
    "RepositoryChanged": 8,
    "Reviewed": 3,
}
"""How many of the examples are which of our events."""


@pytest.fixture(scope="module")
def examples() -> list[tuple[str, dict[str, Any]]]:
    try:
        found = descriptions.webhook_examples()
    except descriptions.Unavailable as lacking:
        pytest.skip(str(lacking))
    return [(event["name"], payload) for event in found for payload in event["examples"]]


@pytest.fixture
def world(tmp_path: Path, sqlite_databases: SqliteDatabases) -> Iterator[World]:
    database = Database(sqlite_databases.upgraded())
    yield World(tmp_path, database, ManualClock())
    database.dispose()


def test_those_of_our_events_are_understood(examples: list[tuple[str, dict[str, Any]]]) -> None:
    told = [normalise_github(event, deliveries.encode(payload)) for event, payload in examples]
    assert len(told) == 329
    assert Counter(type(event).__name__ for found in told for event in found) == UNDERSTOOD


def test_each_is_accepted_and_handled(world: World, examples: list[tuple[str, dict[str, Any]]]) -> None:
    deliveries.know_secrets(world.services.home, url=GITHUB)
    app = create_app(world.services, Settings.from_environment({"WHIMBREL_HOME": str(world.services.home)}))
    client = app.test_client()
    for event, payload in examples:
        body = deliveries.encode(payload)
        assert client.post("/webhooks/github", data=body, headers=deliveries.headers(body, event)).status_code == 202

    inbox = Inbox(world.services, {"github": normalise_github})
    while inbox.handle_pending():
        pass
    with world.database.reading() as tx:
        counted = stored.counts(tx)
        deleted = installations.find(tx, "github.com", "octocat")
        assert audit.verify(tx, world.services.audit_key, "Codertocat") is None
    # Of what is about repositories, nothing is done: their org has no policy here.
    assert counted == {"done": counted["done"], "ignored": 329 - counted["done"]}
    assert deleted is not None
    assert deleted.state == "deleted"
