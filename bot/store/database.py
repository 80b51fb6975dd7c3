"""One database, SQLite or Postgres, and its transactions.

SQLite runs in WAL mode, and every writing transaction is BEGIN IMMEDIATE: with Python's own transaction handling concurrent
updates would be lost without an error. On Postgres the default isolation is enough, because every compare and its swap are
one UPDATE statement.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    InternalError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolExhausted

from bot.errors import ConfigurationError, StoreError
from bot.store.schema import VERSION

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_MS = 30_000
UPGRADE_LOCK = 7711001

# FULL: what was reserved or published before a power cut is still known after it.
PRAGMAS = (f"busy_timeout={BUSY_TIMEOUT_MS}", "synchronous=FULL", "foreign_keys=ON")
SNAPSHOT: dict[str, dict[str, Any]] = {
    "sqlite": {"reading": True},
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}


class Database:
    """A connection pool and nothing else; safe to share between threads, to be made anew after a fork.

    `url` is `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`. Raises ConfigurationError, which never tells it.
    """

    def __init__(self, url: str):
        self.engine = _engine(_parse(url))

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[Connection]:
        """Read and write; committed at the end, rolled back on any exception. Raises StoreError when out of reach.

        Not `durable`, SQLite does not wait for the disk: the next durable commit does so for this one too, and a power cut
        before it (never a kill) undoes it. For what tells of progress, and nothing outside depends on.
        """
        with _store_errors(), self.engine.connect().execution_options(durable=durable) as tx, tx.begin():
            yield tx

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Read only, of one snapshot: never waits for a writer. Raises StoreError when out of reach."""
        snapshot = SNAPSHOT[self.engine.dialect.name]
        with _store_errors(), self.engine.connect().execution_options(**snapshot) as tx, tx.begin():
            yield tx

    def upgrade(self) -> None:
        """Bring the schema to this version's. Safe while others do the same. Raises StoreError when out of reach."""
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["engine"] = self.engine
        with _store_errors(), _one_upgrade_at_a_time(self.engine):
            command.upgrade(config, "head")

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


def upsert(tx: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that can say ON CONFLICT."""
    return sqlite.insert(table) if tx.dialect.name == "sqlite" else postgresql.insert(table)


def _parse(url: str) -> URL:
    """The address, with the driver that is installed."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Not chained: the parser's own words may hold a piece of the password.
        raise ConfigurationError(
            "DATABASE_URL is no database address",
            mend="such as postgresql://USER:PASSWORD@HOST/whimbrel, special characters of the password as %XX",
        ) from None
    match parsed.get_backend_name():
        case "postgresql":
            return parsed.set(drivername="postgresql+psycopg")
        case "sqlite" if parsed.database and parsed.database != ":memory:":
            return parsed.set(drivername="sqlite")
        case "sqlite":
            raise ConfigurationError(
                "DATABASE_URL names no file, and workers share one", mend="such as sqlite:////var/lib/w.db"
            )
        case other:
            raise ConfigurationError(
                f"DATABASE_URL names {other}, which is not supported", mend="use postgresql:// or sqlite:///"
            )


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        return create_engine(url, pool_pre_ping=True, pool_size=4, max_overflow=12)
    folder = Path(str(url.database)).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be made: {error.strerror}", mend="set DATABASE_URL to a file in a folder of yours"
        ) from error
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False})
    event.listen(engine, "connect", partial(_configure_sqlite, Path(str(url.database))))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(file: Path, connection: Any, _record: object) -> None:
    connection.isolation_level = None
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        # Two connections that turn a new file to WAL at once get "database is locked", whatever the timeout.
        with file.with_name(f"{file.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            connection.execute("PRAGMA journal_mode=WAL")


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get("reading", False)
    durable = connection.get_execution_options().get("durable", True)
    connection.exec_driver_sql(f"PRAGMA query_only={int(reading)}")
    connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


@contextmanager
def _store_errors() -> Iterator[None]:
    """The database's own trouble becomes StoreError; a statement that is wrong stays what it is."""
    try:
        yield
    except (IntegrityError, DataError, ProgrammingError, InternalError):
        raise
    except (DBAPIError, PoolExhausted) as error:
        words = " ".join(str(error.orig if isinstance(error, DBAPIError) else error).split())
        passing = isinstance(error, OperationalError | PoolExhausted)
        raise StoreError(f"the database cannot be used: {words}", retryable=passing) from error


@contextmanager
def _one_upgrade_at_a_time(engine: Engine) -> Iterator[None]:
    """On SQLite, every migration is in one BEGIN IMMEDIATE: the others wait, and then find nothing to do."""
    if engine.dialect.name == "sqlite":
        yield
        return
    with engine.begin() as lock:
        lock.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
        yield
