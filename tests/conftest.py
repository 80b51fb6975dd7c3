"""Fixtures for every suite, and the rule of REQUIRE_ALL=1: a test that would be skipped fails."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from bot.store.audit import AuditKey
from bot.store.database import Database
from tests.databases import Databases, PostgresDatabases, SqliteDatabases, postgres, postgres_binaries
from tests.fakes.clock import ManualClock

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background by a shell: what the tests start would inherit it, and not hear their Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("a busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("a busy machine")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def audit_key() -> AuditKey:
    return AuditKey(b"the operator's secret")


@pytest.fixture(scope="session")
def sqlite_databases(tmp_path_factory: pytest.TempPathFactory) -> SqliteDatabases:
    return SqliteDatabases(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgres_databases() -> Iterator[PostgresDatabases]:
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("Postgres is not installed: no initdb on PATH or in /usr/lib/postgresql/*/bin")
    with postgres(binaries) as databases:
        yield databases


@pytest.fixture(params=["sqlite", "postgres"])
def databases(request: pytest.FixtureRequest) -> Databases:
    """Whatever uses it, is tested on SQLite and on Postgres."""
    made: Databases = request.getfixturevalue(f"{request.param}_databases")
    return made


@pytest.fixture
def database_url(databases: Databases) -> str:
    """A database with the present schema and no rows."""
    return databases.upgraded()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The database of `database_url`, opened."""
    opened = Database(database_url)
    yield opened
    opened.dispose()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "allow_skip: may be skipped under REQUIRE_ALL=1 too")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if item.get_closest_marker("allow_skip") is None and not hasattr(report, "wasxfail"):
        _require(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _require(report)
    return report


def _require(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and os.environ.get("REQUIRE_ALL") == "1":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"REQUIRE_ALL=1 admits no skips. {reason}"
