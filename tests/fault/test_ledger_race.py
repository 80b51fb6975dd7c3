"""Sixteen processes and one org's last cent."""

from __future__ import annotations

import math
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
from tests.racing import meet, race

PROCESSES = 16
REQUEST = MicroUsd(10_000)
REQUESTS_IN_CAP = 90
CAP = MicroUsd(REQUEST * REQUESTS_IN_CAP + 1)
RESERVATIONS = 60
PLENTY = MicroUsd(10**12)
MODEL = "claude-sonnet-4-5"


def try_to_reserve(meter: LedgerMeter, amount: MicroUsd) -> int | None:
    try:
        return meter.reserve(amount, model=MODEL)
    except QuotaRefused:
        return None


def spend_all(number: int, url: str) -> int:
    """Reserve and settle until the org's cap refuses; return how much was spent."""
    database = Database(url)
    meter = LedgerMeter(database, open_accounts(database, number), SystemClock())
    spent = 0
    while (reservation := try_to_reserve(meter, REQUEST)) is not None:
        meter.settle(reservation, REQUEST, Usage(), estimated=False, latency_ms=0)
        spent += REQUEST
    database.dispose()
    return spent


def spend_all_naively(number: int, url: str) -> int:
    """The same, but what is left is read first and written afterwards: every step is a sound transaction of its own.

    The processes keep step, so that it shows every time.
    """
    database = Database(url)
    org = open_accounts(database, number).org
    spent = 0
    while left(database) >= REQUEST:
        meet()
        with database.transaction() as tx:
            tx.execute(update(accounts).where(accounts.c.id == org).values(spent=accounts.c.spent + REQUEST))
        spent += REQUEST
        meet()
    database.dispose()
    return spent


def left(database: Database) -> int:
    with database.reading() as tx:
        account = ledger.account(tx, "org", "acme", "2026-01")
    assert account is not None
    return account.left


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


def work_on(number: int, url: str) -> int:
    """Reserve for one attempt, which the first contender closes at once; return how often it was admitted."""
    database = Database(url)
    clock, admitted = SystemClock(), 0
    meter = LedgerMeter(database, open_accounts(database, "shared"), clock)
    if number == 0:
        with database.transaction() as tx:
            ledger.close_attempt(tx, "shared", clock=clock)
    while admitted < RESERVATIONS and try_to_reserve(meter, MicroUsd(1)) is not None:
        admitted += 1
    database.dispose()
    return admitted


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
    rounds = math.ceil(REQUESTS_IN_CAP / PROCESSES)
    assert said == recorded == REQUEST * PROCESSES * rounds
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


def test_a_closed_attempt_leaves_nothing_reserved_however_busy_it_was(database_url: str) -> None:
    """Seven processes that do not know it yet go on reserving while the attempt is closed."""
    admitted = race(work_on, 8, database_url)
    database = Database(database_url)
    with database.reading() as tx:
        account = ledger.account(tx, "attempt", "shared")
    database.dispose()
    assert account is not None
    assert (account.spent, account.reserved, account.left) == (sum(admitted), 0, 0)
