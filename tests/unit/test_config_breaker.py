"""What `status` says of an org's circuit breaker."""

from __future__ import annotations

from pathlib import Path

from bot.config import Settings, breaker_status
from bot.domain.org_policies import BreakerPolicy
from bot.gateway.breaker import Breaker, RedisCircuits
from bot.queue.connection import connect_briefly
from bot.queue.server import redis_server

CLOSED = {"state": "closed", "since": None, "until": None, "failures": 0, "reason": ""}


def settings(home: Path, **environment: str) -> Settings:
    return Settings.from_environment({"WHIMBREL_HOME": str(home), **environment})


def test_it_is_read_from_the_home_s_own_server_while_that_runs(tmp_path: Path) -> None:
    assert breaker_status(settings(tmp_path), "acme") is None
    with redis_server(tmp_path, None) as url:
        assert breaker_status(settings(tmp_path), "acme") == CLOSED
        breaker = Breaker(RedisCircuits(connect_briefly(url)), "acme", BreakerPolicy(failures=1, reset_seconds=3600))
        breaker.failed("r", "status 529", 0)
        told = breaker_status(settings(tmp_path), "acme")
        assert told is not None
        assert (told["state"], told["failures"]) == ("open", 1)
        assert told["since"] < told["until"]
        assert told["reason"].endswith("the last one: status 529")
        assert breaker_status(settings(tmp_path), "other") == CLOSED
    assert breaker_status(settings(tmp_path), "acme") is None


def test_looking_starts_and_leaves_nothing(tmp_path: Path) -> None:
    breaker_status(settings(tmp_path), "acme")
    assert list(tmp_path.iterdir()) == []


def test_a_server_elsewhere_is_asked_by_its_url(tmp_path: Path) -> None:
    with redis_server(tmp_path / "elsewhere", None) as url:
        assert breaker_status(settings(tmp_path / "home", REDIS_URL=url), "acme") == CLOSED
    assert breaker_status(settings(tmp_path / "home", REDIS_URL=url), "acme") is None
