"""Sixteen processes and one org's last cent."""

from __future__ import annotations

import random
from collections.abc import Callable

from sqlalchemy import select, update

from bot.clock import SystemClock
from bot.domain.money import MicroUsd
from bot.domain.usage import Usage
from bot.errors import QuotaRefused
from bot.store import ledger
from bot.store.database import Database
from bot.store.ledger import Accounts, LedgerMeter
from bot.store.schema import accounts, ledger_entries
from tests.racing import race

PROCESSES = 16
REQUEST = MicroUsd(10_000)
REQUESTS_IN_CAP = 150
CAP = MicroUsd(REQUEST * REQUESTS_IN_CAP + 1)
RESERVATIONS = 60
PLENTY = MicroUsd(10**12)
MODEL = "claude-sonnet-4-5"


def spend_all(number: int, url: str) -> int:
    """Reserve and settle until the org's cap refuses; return how much was spent."""
    database = Database(url)
    meter = LedgerMeter(database, open_accounts(database, number), SystemClock())
    spent = 0
    while True:
        try:
            reservation = meter.reserve(REQUEST, model=MODEL)
        except QuotaRefused:
            database.dispose()
            return spent
        meter.settle(reservation, REQUEST, Usage(), estimated=False, latency_ms=0)
        spent += REQUEST


def spend_all_naively(number: int, url: str) -> int:
    """The same, but what is left is read first and written afterwards: every step is a sound transaction of its own."""
    database = Database(url)
    org = open_accounts(database, number).org
    spent = 0
    while True:
        with database.reading() as tx:
            account = ledger.account(tx, "org", "acme", "2026-01")
        if account is None or account.left < REQUEST:
            database.dispose()
            return spent
        with database.transaction() as tx:
            tx.execute(update(accounts).where(accounts.c.id == org).values(spent=accounts.c.spent + REQUEST))
        spent += REQUEST


def close_all(number: int, url: str) -> int:
    """Settle every reservation of one attempt, in some order, while others declare it dead; return how many one closed."""
    database = Database(url)
    clock, closed = SystemClock(), 0
    with database.reading() as tx:
        reservations = list(tx.execute(select(ledger_entries.c.id).where(ledger_entries.c.kind == "reserve")).scalars())
    if number % 4 == 0:
        with database.transaction() as tx:
            closed = ledger.settle_abandoned(tx, "shared", clock=clock) // REQUEST
    else:
        random.Random(number).shuffle(reservations)
        for reservation in reservations:
            with database.transaction() as tx:
                closed += ledger.settle(tx, reservation, REQUEST, Usage(), estimated=False, latency_ms=0, clock=clock)
    database.dispose()
    return closed


def open_accounts(database: Database, number: int | str) -> Accounts:
    """The org's are everybody's; campaign and attempt are the process' own, and have plenty."""
    with database.transaction() as tx:
        return Accounts(
            org=ledger.open_account(tx, "org", "acme", "2026-01", CAP),
            campaign=ledger.open_account(tx, "campaign", f"c{number}", "", PLENTY),
            attempt=ledger.open_account(tx, "attempt", str(number), "", PLENTY),
        )


def race_for_the_org(contender: Callable[[int, str], int], url: str) -> tuple[int, int]:
    """What the processes say that they spent together, and what the org's account says."""
    said = sum(race(contender, PROCESSES, url))
    database = Database(url)
    with database.reading() as tx:
        account = ledger.account(tx, "org", "acme", "2026-01")
    database.dispose()
    assert account is not None
    assert account.reserved == 0
    return said, account.spent


def test_sixteen_processes_spend_the_cap_and_not_a_cent_more(database_url: str) -> None:
    said, recorded = race_for_the_org(spend_all, database_url)
    assert said == recorded == REQUEST * REQUESTS_IN_CAP


def test_reading_first_and_writing_afterwards_overshoots(database_url: str) -> None:
    """The race is a real one: the same processes, without the conditional update, pass the cap."""
    said, recorded = race_for_the_org(spend_all_naively, database_url)
    assert said == recorded
    assert recorded > CAP


def test_each_reservation_is_closed_once_whoever_comes_first(database_url: str) -> None:
    """Workers that were thought to be dead settle what the reconciler settles too: no deadlock, nothing twice."""
    database = Database(database_url)
    charged = open_accounts(database, "shared")
    for _ in range(RESERVATIONS):
        with database.transaction() as tx:
            ledger.reserve(tx, charged, REQUEST, model=MODEL, clock=SystemClock())
    closed = race(close_all, 8, database_url)
    with database.reading() as tx:
        account = ledger.account(tx, "attempt", "shared")
    database.dispose()
    assert sum(closed) == RESERVATIONS
    assert account is not None
    assert (account.spent, account.reserved) == (RESERVATIONS * REQUEST, 0)
