"""Ways to make another process wait, from outside: a lock that it wants, a file that it reads, a database that it writes to."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.fakes.queue_parts import eventually


class Traps:
    """Traps by their names, as a context manager: each lasts until it is opened, at the latest until the end."""

    def __init__(self) -> None:
        self._set: dict[str, ExitStack] = {}

    def __enter__(self) -> Traps:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._set):
            self.open(name)

    def open(self, name: str) -> None:
        """Let go whoever waits there; nothing, where it is not set (any more)."""
        self._set.pop(name, ExitStack()).close()

    def lock(self, name: str, file: Path) -> None:
        """Whoever locks the file waits."""
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.keep(name).callback(os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def database(self, name: str, file: Path) -> None:
        """Whoever writes to the SQLite database waits; who reads does not."""
        connection = sqlite3.connect(file, isolation_level=None, timeout=30)
        stack = self.keep(name)
        stack.callback(connection.close)
        connection.execute("BEGIN IMMEDIATE")
        stack.callback(connection.execute, "ROLLBACK")

    def pipe(self, name: str, file: Path) -> Pipe:
        """Whoever reads the file waits; see `Pipe.wait_for_reader`."""
        return self.keep(name).enter_context(Pipe.in_place_of(file))

    def keep(self, name: str) -> ExitStack:
        """Where a trap of another kind says how it is opened."""
        return self._set.setdefault(name, ExitStack())


class Pipe:
    """A named pipe in the place of a file."""

    def __init__(self, file: Path):
        self._file = file
        self._writer: int | None = None

    @classmethod
    @contextmanager
    def in_place_of(cls, file: Path) -> Iterator[Pipe]:
        """In the end the file is back, and whoever waits reads its content."""
        aside = file.with_name(f"{file.name}.aside")
        file.rename(aside)
        os.mkfifo(file)
        pipe = cls(file)
        try:
            yield pipe
        finally:
            content = aside.read_bytes()
            aside.replace(file)
            pipe._let_go(content)

    def wait_for_reader(self) -> None:
        """Until somebody has opened it, who then waits for its content."""
        eventually(self._is_read, f"somebody reads {self._file.name}")

    def _is_read(self) -> bool:
        try:
            self._writer = os.open(self._file, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return False
        return True

    def _let_go(self, content: bytes) -> None:
        if self._writer is None:
            return
        with suppress(BrokenPipeError):  # nobody waits any more
            os.write(self._writer, content)
        os.close(self._writer)
