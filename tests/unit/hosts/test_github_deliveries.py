"""The App's own list of deliveries, of the fake GitHub: what failed while nobody listened is delivered once more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.hosts.github_credentials import GitHubApp
from bot.hosts.github_deliveries import GitHubDeliveries
from bot.hosts.github_transport import Endpoints, Transport
from tests.fakes.clock import ManualClock
from tests.fakes.github import FakeGitHub

NOBODY = "http://127.0.0.1:9/webhooks/github"


@pytest.fixture
def hub(tmp_path: Path, clock: ManualClock) -> Iterator[FakeGitHub]:
    with FakeGitHub(tmp_path / "hub", clock=clock) as hub:
        hub.create_org("acme")
        hub.webhook_url = NOBODY
        yield hub


@pytest.fixture
def hook(hub: FakeGitHub) -> GitHubDeliveries:
    app = GitHubApp(hub.app.id, hub.app.slug, hub.app.pem, (hub.app.webhook_secret,), hub.url)
    return GitHubDeliveries(app, Transport(Endpoints(hub.url)))


def test_every_try_since_then_over_several_pages(hub: FakeGitHub, hook: GitHubDeliveries, clock: ManualClock) -> None:
    owner = hub.install("acme")
    start = clock.now()
    for _ in range(60):
        clock.advance(1)
        hub.suspend(owner)
        hub.unsuspend(owner)
    hub.drain()
    tries = hook.attempts(start + timedelta(seconds=1))
    assert len(tries) == 120
    assert tries == sorted(tries, key=lambda each: each.id, reverse=True)
    assert len({each.delivery for each in tries}) == 120
    assert not any(each.succeeded for each in tries)
    assert len(hook.attempts(start)) == 121


def test_a_redelivery_is_another_try_of_the_same(hub: FakeGitHub, hook: GitHubDeliveries, clock: ManualClock) -> None:
    hub.install("acme")
    hub.drain()
    [failed] = hook.attempts(clock.now())
    hook.redeliver(failed)
    hub.drain()
    again, first = hook.attempts(clock.now())
    assert first == failed
    assert (again.delivery, again.id != first.id) == (first.delivery, True)
