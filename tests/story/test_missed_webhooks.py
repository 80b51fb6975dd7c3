"""The bot was down: GitHub delivered to nobody, and never tries again by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from werkzeug.serving import make_server

from bot.campaigns.inbox import Inbox
from bot.campaigns.redelivery import LOOK_EVERY, redeliver_missed
from bot.config import Settings
from bot.hosting import github_deliveries
from bot.hosts import github_credentials
from bot.hosts.github_credentials import GitHubApp
from bot.hosts.github_events import normalise_github
from bot.store import installations
from bot.store.database import Database
from bot.web.app import create_app
from tests.databases import SqliteDatabases
from tests.fakes.clock import ManualClock
from tests.fakes.github import FakeGitHub
from tests.fakes.world import World

NOBODY = "http://127.0.0.1:9/webhooks/github"


@pytest.fixture
def world(tmp_path: Path, clock: ManualClock, sqlite_databases: SqliteDatabases) -> Iterator[World]:
    database = Database(sqlite_databases.upgraded())
    yield World(tmp_path / "world", database, clock)
    database.dispose()


@pytest.fixture
def hub(tmp_path: Path, clock: ManualClock) -> Iterator[FakeGitHub]:
    with FakeGitHub(tmp_path / "hub", clock=clock) as hub:
        hub.create_org("acme")
        yield hub


@contextmanager
def listening(world: World, settings: Settings) -> Iterator[str]:
    """Where webhooks go while the bot is up."""
    server = make_server("127.0.0.1", 0, create_app(world.services, settings), threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/webhooks/github"
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_was_missed_is_asked_for_and_handled(world: World, hub: FakeGitHub, clock: ManualClock) -> None:
    settings = Settings.from_environment({"WHIMBREL_HOME": str(world.services.home)})
    app = GitHubApp(hub.app.id, hub.app.slug, hub.app.pem, (hub.app.webhook_secret,), hub.url)
    world.services.home.mkdir()
    github_credentials.save(settings.home, hub.url, app)
    deliverer = github_deliveries(settings.home, hub.url)
    assert deliverer is not None

    hub.webhook_url = NOBODY
    hub.install("acme")
    hub.drain()
    with listening(world, settings) as url:
        hub.webhook_url = url
        clock.advance(LOOK_EVERY.total_seconds())
        assert redeliver_missed(world.services, deliverer) == 1
        hub.drain()
    clock.advance(LOOK_EVERY.total_seconds())
    assert redeliver_missed(world.services, deliverer) == 0

    Inbox(world.services, {"github": normalise_github}).handle_pending()
    with world.database.reading() as tx:
        found = installations.find(tx, "127.0.0.1", "acme")
    assert found is not None
    assert found.state == "active"
