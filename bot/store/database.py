"""One database, SQLite or Postgres, and its transactions.

SQLite runs in WAL mode, and every writing transaction is BEGIN IMMEDIATE: with Python's own transaction handling concurrent
updates would be lost without an error. On Postgres the default isolation is enough, because every compare and its swap are
one UPDATE statement.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, OperationalError

from bot.errors import ConfigurationError, StoreError
from bot.store.schema import VERSION

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_MS = 30_000


class Database:
    """A connection pool and nothing else; safe to share between threads, to be made anew after a fork."""

    def __init__(self, url: str):
        self.url = url
        self.engine = _engine(url)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Read and write; committed at the end, rolled back on any exception. Raises StoreError when out of reach."""
        with _store_errors(), self.engine.begin() as tx:
            yield tx

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Read only: never waits for a writer on SQLite."""
        with _store_errors(), self.engine.connect().execution_options(reading=True) as tx, tx.begin():
            yield tx

    def upgrade(self) -> None:
        """Bring the schema to this version's. Safe while others do the same."""
        with _one_upgrade_at_a_time(self):
            command.upgrade(self._alembic(), "head")

    def is_current(self) -> bool:
        """Is the schema this version's?"""
        return self._found() == VERSION

    def require_current(self) -> None:
        """Raises StoreError, with the mend, when the schema is not this version's."""
        found = self._found()
        if found != VERSION:
            raise StoreError(f"the database has schema {found}, this version needs {VERSION}", mend="whimbrel db upgrade")

    def dispose(self) -> None:
        self.engine.dispose()

    def _found(self) -> str:
        with self.reading() as tx:
            if not inspect(tx).has_table("alembic_version"):
                return "none"
            return str(tx.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none() or "none")

    def _alembic(self) -> Config:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["engine"] = self.engine
        return config


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError(
            "DATABASE_URL is no database address", mend="such as postgresql://user@host/whimbrel"
        ) from error
    if parsed.get_backend_name() == "postgresql":
        return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, pool_size=4, max_overflow=12)
    if parsed.get_backend_name() != "sqlite":
        raise ConfigurationError(
            f"DATABASE_URL names {parsed.get_backend_name()}, which is not supported", mend="use PostgreSQL or SQLite"
        )
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False})
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise StoreError(f"the database cannot be used: {error.orig}", retryable=True) from error


@contextmanager
def _one_upgrade_at_a_time(database: Database) -> Iterator[None]:
    if not database.is_sqlite:
        with database.engine.connect() as lock:
            lock.execute(text("SELECT pg_advisory_lock(7711001)"))
            try:
                yield
            finally:
                lock.execute(text("SELECT pg_advisory_unlock(7711001)"))
        return
    path = Path(f"{database.engine.url.database}.upgrade")
    with path.open("w") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        yield
