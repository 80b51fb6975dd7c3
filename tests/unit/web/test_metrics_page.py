"""The figures that Prometheus scrapes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from bot.config import Settings
from bot.domain.hooks import TokenState
from bot.store import host_tokens
from bot.web.app import create_app
from tests.fakes.world import World

ENDS = datetime(2027, 1, 31, tzinfo=UTC)
NAME = "whimbrel_host_token_expires_timestamp_seconds"


@pytest.fixture
def client(world: World) -> FlaskClient:
    return create_app(world.services, Settings.from_environment({"WHIMBREL_HOME": str(world.services.home)})).test_client()


def know(world: World, org: str, ends: datetime | None) -> None:
    with world.database.transaction() as tx:
        host_tokens.remember(tx, org, "gitlab.com", TokenState("whimbrel", "bot", ends), world.clock.now())


def figures(client: FlaskClient) -> dict[str, float]:
    families = text_string_to_metric_families(client.get("/metrics").get_data(as_text=True))
    return {each.labels["org"]: each.value for family in families if family.name == NAME for each in family.samples}


def test_until_when_the_tokens_of_hosts_are_good(world: World, client: FlaskClient) -> None:
    know(world, "acme", ENDS - timedelta(days=30))
    know(world, "acme", ENDS)
    know(world, "other", None)
    assert figures(client) == {"acme": ENDS.timestamp()}


def test_nobody_elsewhere_is_told(client: FlaskClient) -> None:
    assert client.get("/metrics", environ_base={"REMOTE_ADDR": "192.0.2.7"}).status_code == 404
    assert client.get("/metrics", headers={"Host": "bot.example.com"}).status_code == 404
