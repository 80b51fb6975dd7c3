from __future__ import annotations

import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import func, insert, inspect, select, text, update
from sqlalchemy.exc import IntegrityError, InternalError

from bot.errors import ConfigurationError, StoreError
from bot.store.database import MIGRATIONS, Database
from bot.store.schema import VERSION, accounts, metadata
from tests.databases import Databases, SqliteDatabases
from tests.racing import meet, race

PASSWORD = "hunter2"
ACCOUNT = {"scope": "org", "key": "acme", "period": "", "cap": 0, "spent": 0, "reserved": 0}


def increment(_number: int, url: str, times: int) -> None:
    """Read, then write what was read plus one: only the transaction can hold this together."""
    database = Database(url)
    for _ in range(times):
        with database.transaction() as tx:
            spent = tx.execute(select(accounts.c.spent)).scalar_one()
            tx.execute(update(accounts).values(spent=spent + 1))
    database.dispose()


def take_up(_number: int, url: str) -> bool:
    """What a worker does as it starts, on a database that another one may be making."""
    database = Database(url)
    if not database.is_current():
        database.upgrade()
    database.require_current()
    database.dispose()
    return True


def open_new_files(_number: int, folder: str, files: int) -> None:
    for file in range(files):
        meet()
        database = Database(f"sqlite:///{folder}/{file}.db")
        assert not database.is_current()
        database.dispose()


def one_account(database: Database) -> None:
    with database.transaction() as tx:
        tx.execute(insert(accounts).values(ACCOUNT))


def spent(database: Database) -> int:
    with database.reading() as tx:
        return int(tx.execute(select(accounts.c.spent)).scalar_one())


class TestTransactions:
    def test_no_update_is_lost_between_processes_on_sqlite(self, sqlite_databases: SqliteDatabases) -> None:
        url = sqlite_databases.upgraded()
        one_account(Database(url))
        race(increment, 8, url, 25)
        assert spent(Database(url)) == 200

    def test_no_update_is_lost_between_threads_on_sqlite(self, sqlite_databases: SqliteDatabases) -> None:
        database = Database(sqlite_databases.upgraded())
        one_account(database)

        def add_one(_number: int) -> None:
            with database.transaction() as tx:
                found = tx.execute(select(accounts.c.spent)).scalar_one()
                tx.execute(update(accounts).values(spent=found + 1))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(add_one, range(200)))
        assert spent(database) == 200
        database.dispose()

    def test_sqlite_keeps_what_was_committed_through_a_power_cut(self, sqlite_databases: SqliteDatabases) -> None:
        database = Database(sqlite_databases.upgraded())
        with database.reading() as tx:
            pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            found = [tx.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() for pragma in pragmas]
        assert found == ["wal", 2, 1, 30_000]
        database.dispose()

    def test_sqlite_waits_for_the_disk_but_for_what_need_not_be_durable(self, sqlite_databases: SqliteDatabases) -> None:
        database = Database(sqlite_databases.upgraded())
        found = []
        for durable in (True, False, True):  # all three on one connection of the pool
            with database.transaction(durable=durable) as tx:
                found.append(tx.exec_driver_sql("PRAGMA synchronous").scalar_one())
        assert found == [2, 1, 2]
        database.dispose()

    def test_several_processes_may_be_the_first_to_open_a_file(self, tmp_path: Path) -> None:
        race(open_new_files, 6, str(tmp_path), 60)

    def test_an_exception_rolls_back(self, database: Database) -> None:
        with pytest.raises(IntegrityError), database.transaction() as tx:
            tx.execute(insert(accounts), [ACCOUNT | {"key": "other"}, ACCOUNT, ACCOUNT])
        with database.reading() as tx:
            assert tx.execute(select(func.count()).select_from(accounts)).scalar_one() == 0

    def test_a_reader_waits_for_no_writer_and_sees_one_snapshot(self, database: Database) -> None:
        one_account(database)
        with database.reading() as reader:
            assert reader.execute(select(accounts.c.spent)).scalar_one() == 0
            with database.transaction() as writer:
                writer.execute(update(accounts).values(spent=5))
                assert spent(database) == 0
            assert spent(database) == 5
            assert reader.execute(select(accounts.c.spent)).scalar_one() == 0

    def test_reading_refuses_to_write_and_leaves_the_connection_fit_to(self, database: Database) -> None:
        with pytest.raises((StoreError, InternalError), match=r"read-?only"), database.reading() as tx:
            tx.execute(insert(accounts).values(ACCOUNT))
        one_account(database)

    def test_a_statement_that_is_wrong_is_no_store_error(self, database: Database) -> None:
        one_account(database)
        with pytest.raises(IntegrityError):
            one_account(database)


class TestSchema:
    def test_the_migrations_make_what_the_schema_says(self, database: Database) -> None:
        with database.reading() as tx:
            context = MigrationContext.configure(tx, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == []

    def test_the_version_is_the_newest_migrations(self) -> None:
        assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == VERSION

    def test_downgrade_takes_everything_away(self, databases: Databases) -> None:
        from alembic import command
        from alembic.config import Config

        database = Database(databases.upgraded())
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["engine"] = database.engine
        command.downgrade(config, "base")
        with database.reading() as tx:
            assert inspect(tx).get_table_names() == ["alembic_version"]
        database.dispose()

    def test_several_processes_may_upgrade_at_once(self, databases: Databases) -> None:
        assert race(take_up, 4, databases.empty()) == [True] * 4

    def test_an_empty_database_is_refused_with_the_mend(self, databases: Databases) -> None:
        database = Database(databases.empty())
        assert not database.is_current()
        with pytest.raises(StoreError, match=f"has schema none, this version needs {VERSION}") as refused:
            database.require_current()
        assert refused.value.mend == "whimbrel db upgrade"
        database.dispose()

    def test_another_versions_schema_is_refused(self, database: Database) -> None:
        with database.transaction() as tx:
            tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(StoreError, match=f"has schema 9999, this version needs {VERSION}"):
            database.require_current()

    def test_the_present_schema_is_accepted(self, database: Database) -> None:
        assert database.is_current()
        database.require_current()


class TestAddress:
    @pytest.mark.parametrize(
        "url",
        [
            PASSWORD,
            f"whimbrel:{PASSWORD}@db/whimbrel",
            f"postgresql://whimbrel:{PASSWORD}@db:port/whimbrel",
            f"postgresql://whimbrel:@db:{PASSWORD}/whimbrel",
            f"mysql://whimbrel:{PASSWORD}@db/whimbrel",
            f"postgres://whimbrel:{PASSWORD}@db/whimbrel",
            "sqlite://",
            "sqlite:///:memory:",
        ],
    )
    def test_a_wrong_one_is_a_configuration_error_that_keeps_the_password(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match="DATABASE_URL") as refused:
            Database(url)
        assert refused.value.mend
        assert PASSWORD not in everything_said(refused.value)

    def test_a_server_out_of_reach_is_a_store_error_that_keeps_the_password(self) -> None:
        database = Database(f"postgresql://whimbrel:{PASSWORD}@127.0.0.1:1/whimbrel")
        with pytest.raises(StoreError, match="the database cannot be used: ") as failed:
            database.require_current()
        assert failed.value.retryable
        assert PASSWORD not in everything_said(failed.value)

    def test_a_file_that_is_no_database_is_a_store_error_that_stays(self, tmp_path: Path) -> None:
        file = tmp_path / "notes.txt"
        file.write_text("no database, but long enough to have a header " * 10)
        with pytest.raises(StoreError, match="file is not a database") as failed:
            Database(f"sqlite:///{file}").require_current()
        assert not failed.value.retryable

    def test_the_folder_is_made(self, tmp_path: Path) -> None:
        Database(f"sqlite:///{tmp_path}/a/b/whimbrel.db").upgrade()
        assert (tmp_path / "a/b/whimbrel.db").is_file()

    def test_a_folder_that_cannot_be_made_is_a_configuration_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(ConfigurationError, match="file/folder cannot be made: Not a directory"):
            Database(f"sqlite:///{tmp_path}/file/folder/whimbrel.db")


def everything_said(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
