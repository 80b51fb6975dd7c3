"""Throw-away databases: files of SQLite, and a Postgres cluster of our own on a unix socket."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Protocol

import psycopg

from bot.store.database import Database

START_SECONDS = 60
FAST_AND_FORGETFUL = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=32MB", "listen_addresses=")


class Databases(Protocol):
    """Makes databases, each on its own; both methods return a DATABASE_URL."""

    def empty(self) -> str: ...
    def upgraded(self) -> str: ...


class SqliteDatabases:
    def __init__(self, folder: Path):
        self._folder = folder
        self._numbers = count()
        self._template = folder / "template.db"
        _upgrade(f"sqlite:///{self._template}")

    def empty(self) -> str:
        return f"sqlite:///{self._next()}"

    def upgraded(self) -> str:
        return f"sqlite:///{shutil.copy(self._template, self._next())}"

    def _next(self) -> Path:
        return self._folder / f"{next(self._numbers)}.db"


class PostgresDatabases:
    def __init__(self, socket_dir: Path):
        self._socket_dir = socket_dir
        self._numbers = count()
        _upgrade(self._create("upgraded", "template1"))

    def empty(self) -> str:
        return self._create(f"t{next(self._numbers)}", "template1")

    def upgraded(self) -> str:
        return self._create(f"t{next(self._numbers)}", "upgraded")

    def _create(self, name: str, template: str) -> str:
        with psycopg.connect(_address(self._socket_dir, "postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        return _address(self._socket_dir, name)


def postgres_binaries() -> Path | None:
    """The folder of initdb and postgres: from PATH, or the newest that Debian has installed."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    installed = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max((initdb.parent for initdb in installed), key=lambda folder: int(folder.parent.name), default=None)


@contextmanager
def postgres(binaries: Path) -> Iterator[PostgresDatabases]:
    """A cluster on a unix socket. It dies with this process, however that ends."""
    # Not pytest's own folder: a socket's path has at most 107 bytes, and root's folders are closed to others.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    identity = _somebody_but_root(folder)
    try:
        initdb = f"{binaries}/initdb -D data -U postgres -A trust -E UTF8 --locale=C --no-sync".split()
        subprocess.run([*identity, *initdb], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        options = [part for option in FAST_AND_FORGETFUL for part in ("-c", option)]
        server = [f"{binaries}/postgres", "-D", "data", "-k", str(folder), *options]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([*identity, *server], cwd=folder, stdout=log, stderr=log)
        try:
            _wait_for(process, folder)
            yield PostgresDatabases(folder)
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait()
    finally:
        shutil.rmtree(folder)


def _somebody_but_root(folder: Path) -> list[str]:
    """The start of a command line: Postgres refuses to run as root, and is to be shut down when this process dies."""
    dies_with_us = ["setpriv", "--pdeathsig", "QUIT"]
    if os.geteuid() != 0:
        return dies_with_us
    somebody = pwd.getpwnam("nobody")
    os.chown(folder, somebody.pw_uid, somebody.pw_gid)
    return [*dies_with_us, "--reuid", str(somebody.pw_uid), "--regid", str(somebody.pw_gid), "--clear-groups"]


def _wait_for(process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(_address(folder, "postgres")).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Postgres did not start:\n{(folder / 'log').read_text()}") from None
            time.sleep(0.05)
        else:
            return


def _address(socket_dir: Path, name: str) -> str:
    return f"postgresql://postgres@/{name}?host={socket_dir}"


def _upgrade(url: str) -> None:
    database = Database(url)
    database.upgrade()
    database.dispose()
