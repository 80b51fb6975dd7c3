"""GET /metrics: figures for Prometheus, made of what SQL says at that moment, so they are right with any number of processes.

To this machine alone, until there is sign-in.
"""

from __future__ import annotations

from collections.abc import Iterator

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from bot.services import Services
from bot.store import host_tokens
from bot.store.database import Database


class HostTokens(Collector):
    """Until when the tokens are good that the bot acts by, as their hosts told last; one without an end is left out."""

    def __init__(self, database: Database):
        self._database = database

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "whimbrel_host_token_expires_timestamp_seconds",
            "When the token that the bot acts by on a host ends, in Unix time.",
            labels=["org", "host"],
        )
        with self._database.reading() as tx:
            known = host_tokens.known(tx)
        for (org, host), token in known.items():
            if token.expires_at is not None:
                family.add_metric([org, host], token.expires_at.timestamp())
        yield family


def blueprint(services: Services) -> Blueprint:
    metrics = Blueprint("metrics", __name__)
    registry = CollectorRegistry()
    registry.register(HostTokens(services.database))

    @metrics.get("/metrics")
    def tell() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return metrics
