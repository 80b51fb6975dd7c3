"""What is asked all the time stays fast at ten thousand publications: each question is answered by an index."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, text

from bot.store import following, publications, targets
from bot.store.database import Database
from bot.store.publications import Change
from bot.store.schema import publications as table
from tests.databases import SqliteDatabases
from tests.fakes.clock import ManualClock
from tests.fakes.queue import Queue, intend

MANY = 10_000
OPEN_EVERY = 50


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory) -> Queue:
    """A campaign of ten thousand targets, whose pull requests are merged but for some."""
    databases = SqliteDatabases(tmp_path_factory.mktemp("many"))
    queue = Queue(Database(databases.upgraded()), ManualClock())
    queue.campaign("acme", MANY)
    now = queue.clock.now()
    with queue.database.transaction() as tx:
        intend(tx, queue.clock, Change("acme", "other", "r1", "main"))
        nothing = {"url": "", "head": "", "base_head": "", "revision": "r1", "branch": "b", "path": ""}
        about = {"org": "acme", "policy": "notes", "base": "main", "intended_at": now, "looked_at": now, **nothing}
        rows = [
            {"repository": f"r{number}", "number": number, "state": "merged" if number % OPEN_EVERY else "open", **about}
            for number in range(1, MANY + 1)
        ]
        tx.execute(insert(table), rows)
        tx.execute(text("ANALYZE"))
    return queue


@contextmanager
def planned(tx: Connection) -> Iterator[list[str]]:
    """How SQLite goes about each query that is made meanwhile."""
    asked: list[tuple[str, Any]] = []

    def remember(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    event.listen(tx, "before_cursor_execute", remember)
    lines: list[str] = []
    try:
        yield lines
    finally:
        event.remove(tx, "before_cursor_execute", remember)
    for statement, parameters in asked:
        lines += [row[3] for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]


QUERIES: dict[str, Callable[[Connection, Queue, str], object]] = {
    "due": lambda tx, queue, _: following.due(tx, "acme", queue.clock.now(), 200),
    "with news": lambda tx, _queue, _: following.with_news(tx, "acme", 200),
    "by number": lambda tx, _queue, _: publications.numbered(tx, "acme", "r7", 7),
    "of a repository": lambda tx, _queue, _: publications.of_repository(tx, "acme", "r7"),
    "counts": lambda tx, _queue, campaign: targets.counts(tx, campaign),
    "finished": lambda tx, _queue, campaign: targets.is_finished(tx, campaign),
}


OF_ALL_RUNS = ("counts", "finished")
"""They ask about each run of the campaign, and there is but one."""


@pytest.mark.parametrize("name", QUERIES)
def test_no_question_reads_every_publication(queue: Queue, name: str) -> None:
    with queue.database.reading() as tx:
        [campaign] = tx.execute(text("SELECT id FROM campaigns")).scalars()
        with planned(tx) as lines:
            QUERIES[name](tx, queue, campaign)
    assert lines
    read_whole = ("SCAN publications",) if name in OF_ALL_RUNS else ("SCAN publications", "SCAN runs")
    scans = [line for line in lines if line.startswith(read_whole)]
    assert scans == []


def test_they_are_counted(queue: Queue) -> None:
    with queue.database.reading() as tx:
        [campaign] = tx.execute(text("SELECT id FROM campaigns")).scalars()
        counted = targets.counts(tx, campaign)
        due = following.due(tx, "acme", queue.clock.now(), 200)
        assert not targets.is_finished(tx, campaign)
    assert (counted["open"], counted["merged"]) == (MANY // OPEN_EVERY, MANY - MANY // OPEN_EVERY)
    assert len(due) == MANY // OPEN_EVERY + 1  # and the intent that nobody works on
