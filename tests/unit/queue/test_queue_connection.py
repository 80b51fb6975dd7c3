from __future__ import annotations

from pathlib import Path

import pytest
from redis import ConnectionError as RedisConnectionError

from bot.errors import ConfigurationError
from bot.queue.connection import connect, connect_briefly
from bot.queue.server import redis_server


def test_answers_are_bytes(tmp_path: Path) -> None:
    with redis_server(tmp_path, None) as url, connect(url) as connection:
        connection.set("key", "value")
        assert connection.get("key") == b"value"


def test_the_brief_one_gives_up_when_nobody_is_there(tmp_path: Path) -> None:
    with connect_briefly(f"unix://{tmp_path}/nobody.sock") as connection, pytest.raises(RedisConnectionError):
        connection.ping()


@pytest.mark.parametrize("connector", [connect, connect_briefly])
def test_a_wrong_url_is_named_without_its_password(connector: object) -> None:
    assert callable(connector)
    with pytest.raises(ConfigurationError, match="REDIS_URL") as refused:
        connector("http://me:secret@host")
    assert "secret" not in refused.value.explanation
