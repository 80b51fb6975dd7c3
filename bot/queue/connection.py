"""Connections to Redis: one that outlasts an outage, one that gives up at once."""

from __future__ import annotations

from redis import Redis
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.retry import Retry

from bot.errors import ConfigurationError


def connect(url: str) -> Redis:
    """A connection for workers: each command is tried again for about three minutes.

    Answers are bytes, as RQ needs them. Raises ConfigurationError for what is not a Redis URL.
    """
    return _client(url, retry=Retry(ExponentialBackoff(cap=5, base=0.2), retries=40), health_check_interval=30)


def connect_briefly(url: str) -> Redis:
    """A connection for who can try again, or waits at a terminal: redis.RedisError within two seconds, never a second try."""
    return _client(url, retry=Retry(NoBackoff(), retries=0), socket_connect_timeout=1, socket_timeout=2)


def _client(url: str, **options: object) -> Redis:
    try:
        return Redis.from_url(url, **options)
    except ValueError as error:
        # The URL may hold a password: it is not repeated.
        raise ConfigurationError(
            "REDIS_URL is not a Redis URL", mend="write redis://HOST:6379/0, rediss://… or unix:///path/to/redis.sock"
        ) from error
