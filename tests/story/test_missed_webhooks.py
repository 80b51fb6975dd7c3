"""The bot was down: hosts delivered to nobody, and never try again by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Thread
from typing import Protocol

import pytest
from werkzeug.serving import make_server

from bot.campaigns.inbox import Inbox
from bot.campaigns.redelivery import LOOK_EVERY, Deliverer, redeliver_missed
from bot.config import Settings, hosting
from bot.domain.org_policies import OrgPolicy
from bot.hosting import github_deliveries
from bot.hosts import github_credentials, gitlab_credentials
from bot.hosts.github_credentials import GitHubApp
from bot.hosts.gitlab_credentials import GitLabAccess
from bot.hosts.webhooks import DIALECTS
from bot.store import deliveries
from bot.store.database import Database
from bot.web.app import create_app
from tests.databases import SqliteDatabases
from tests.fakes.clock import ManualClock
from tests.fakes.github import FakeGitHub
from tests.fakes.gitlab import FakeGitLab, signing_token
from tests.fakes.world import World

NOBODY = "http://127.0.0.1:9"


class Forge(Protocol):
    def deliver_to(self, url: str) -> None: ...
    def happen(self) -> None:
        """Something that the bot is told of."""

    def deliverer(self, settings: Settings, world: World) -> Deliverer | None: ...
    def drain(self) -> None: ...


class GitHub:
    def __init__(self, hub: FakeGitHub, home: Path):
        self._hub = hub
        hub.create_org("acme")
        hub.create_repository("acme", "tool")
        hub.add_user("mia", permissions={"acme/tool": "write"})
        hub.install("acme")
        app = GitHubApp(hub.app.id, hub.app.slug, hub.app.pem, (hub.app.webhook_secret,), hub.url)
        github_credentials.save(home, hub.url, app)

    def deliver_to(self, url: str) -> None:
        self._hub.webhook_url = f"{url}/webhooks/github"

    def happen(self) -> None:
        self._hub.as_user("mia").open_issue("acme/tool", "T")

    def deliverer(self, settings: Settings, world: World) -> Deliverer | None:
        return github_deliveries(settings.home, self._hub.url)

    def drain(self) -> None:
        self._hub.drain()


class GitLab:
    """A hook keeps its URL: GitLab sends nothing again by one whose URL has changed."""

    def __init__(self, hub: FakeGitLab, home: Path):
        self._hub, self._home, self._secret = hub, home, signing_token()
        hub.create_group("acme")
        hub.create_project("acme", "tool")
        hub.add_user("mia", groups={"acme": "developer"})
        self._token = hub.group_token("acme", "whimbrel", level="owner")

    def deliver_to(self, url: str) -> None:
        access = GitLabAccess(self._token, (self._secret,), "acme", f"{url}/webhooks/gitlab")
        gitlab_credentials.save(self._home, self._hub.url, access)
        for hook in self._hub.hooks:
            hook.url = access.webhook_url
        if not self._hub.hooks:
            self._hub.add_hook(group="acme", url=access.webhook_url, signing_token=self._secret)

    def happen(self) -> None:
        self._hub.as_user("mia").open_issue("acme/tool", "T")

    def deliverer(self, settings: Settings, world: World) -> Deliverer | None:
        org = OrgPolicy.model_validate({"org": "acme", "host": f"gitlab:{self._hub.url}", "quota": {"usd_per_month": 1}})
        return hosting(settings, world.database, world.clock).gitlab_deliveries(org)

    def drain(self) -> None:
        self._hub.drain()


@contextmanager
def github(folder: Path, clock: ManualClock, home: Path) -> Iterator[Forge]:
    with FakeGitHub(folder, clock=clock) as hub:
        yield GitHub(hub, home)


@contextmanager
def gitlab(folder: Path, clock: ManualClock, home: Path) -> Iterator[Forge]:
    with FakeGitLab(folder, clock=clock) as hub:
        yield GitLab(hub, home)


Open = Callable[[Path, ManualClock, Path], AbstractContextManager[Forge]]


@pytest.fixture
def world(tmp_path: Path, clock: ManualClock, sqlite_databases: SqliteDatabases) -> Iterator[World]:
    database = Database(sqlite_databases.upgraded())
    yield World(tmp_path / "world", database, clock)
    database.dispose()


@pytest.fixture(params=[github, gitlab])
def forge(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock, world: World) -> Iterator[Forge]:
    opened: Open = request.param
    world.services.home.mkdir()
    with opened(tmp_path / "hub", clock, world.services.home) as forge:
        yield forge


@contextmanager
def listening(world: World, settings: Settings) -> Iterator[str]:
    """Where webhooks go while the bot is up."""
    server = make_server("127.0.0.1", 0, create_app(world.services, settings), threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_was_missed_in_half_a_minute_is_asked_for_and_handled(world: World, forge: Forge, clock: ManualClock) -> None:
    """Every connection was refused for as long; what was sent before and after it came by itself."""
    settings = Settings.from_environment({"WHIMBREL_HOME": str(world.services.home)})
    forge.deliver_to(NOBODY)
    for _ in range(3):
        forge.happen()
        forge.drain()
        clock.advance(10)
    assert states(world) == {}
    with listening(world, settings) as url:
        forge.deliver_to(url)
        deliverer = forge.deliverer(settings, world)
        assert deliverer is not None
        clock.advance(LOOK_EVERY.total_seconds())
        assert redeliver_missed(world.services, deliverer) == 3
        forge.drain()
    clock.advance(LOOK_EVERY.total_seconds())
    assert redeliver_missed(world.services, deliverer) == 0
    Inbox(world.services, {kind: dialect.normalise for kind, dialect in DIALECTS.items()}).handle_pending()
    handled = states(world)
    assert (sum(handled.values()), handled.get("failed", 0), handled.get("received", 0)) == (3, 0, 0)


def states(world: World) -> dict[str, int]:
    with world.database.reading() as tx:
        return deliveries.counts(tx)
