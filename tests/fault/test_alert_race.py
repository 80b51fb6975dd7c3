"""Sixteen processes cross a line together: it is told once, and the audit trail holds."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from bot.clock import SystemClock
from bot.domain.money import MicroUsd
from bot.domain.usage import Usage
from bot.errors import QuotaRefused
from bot.store import audit, ledger, runs
from bot.store.alerts import Alerts
from bot.store.audit import AuditKey
from bot.store.database import Database
from bot.store.ledger import Accounts, LedgerMeter
from bot.store.runs import Run
from bot.store.schema import accounts
from tests.fakes.clock import ManualClock
from tests.fakes.queue import Queue
from tests.racing import meet, race

PROCESSES = 16
REQUEST = MicroUsd(10_000)
KEY = AuditKey(b"the operator's secret")
CAPS = {"org": MicroUsd(REQUEST * 70), "campaign": MicroUsd(REQUEST * 60), "attempt": MicroUsd(REQUEST * 5)}
MODEL = "claude-sonnet-4-5"


def spend_all(number: int, url: str, run_ids: list[str]) -> None:
    """Reserve and settle as one attempt of a campaign until a cap refuses."""
    database, clock = Database(url), SystemClock()
    with database.reading() as tx:
        run = runs.get(tx, run_ids[number])
    charged = open_accounts(database, run)
    meter = LedgerMeter(database, charged, clock, Alerts(run.org, run.attempt_key, 0.8, KEY, clock, run))
    try:
        while True:
            meter.settle(meter.reserve(REQUEST, model=MODEL), REQUEST, Usage(), estimated=False, latency_ms=0)
    except QuotaRefused:
        database.dispose()


def tell_naively(number: int, url: str, run_ids: list[str]) -> bool:
    """Look whether the campaign's alert was told, tell it, and note it afterwards; return whether this process told it."""
    database, clock = Database(url), SystemClock()
    with database.reading() as tx:
        run = runs.get(tx, run_ids[number])
    charged = open_accounts(database, run)
    for _ in range(3):  # of all processes together, exactly what is told of
        with database.transaction() as tx:
            ledger.reserve(tx, charged, REQUEST, model=MODEL, clock=clock)
    meet()
    with database.reading() as tx:
        account = ledger.account(tx, "campaign", run.campaign_id)
        alerted = tx.execute(select(accounts.c.alerted).where(accounts.c.id == charged.campaign)).scalar_one()
    meet()
    tells = account is not None and bool(account.alert(0.8)) and not alerted
    with database.transaction() as tx:
        tx.execute(update(accounts).where(accounts.c.id == charged.campaign).values(alerted=True))
    database.dispose()
    return tells


def open_accounts(database: Database, run: Run) -> Accounts:
    with database.transaction() as tx:
        return Accounts(
            org=ledger.open_account(tx, "org", run.org, "2026-01", CAPS["org"]),
            campaign=ledger.open_account(tx, "campaign", run.campaign_id, "", CAPS["campaign"]),
            attempt=ledger.open_account(tx, "attempt", run.attempt_key, "", CAPS["attempt"]),
        )


@pytest.fixture
def run_ids(database: Database, clock: ManualClock) -> list[str]:
    queue = Queue(database, clock)
    queue.campaign("acme", PROCESSES)
    return [run.id for run in queue.begin()]


def test_each_line_that_is_crossed_is_told_once(database: Database, database_url: str, run_ids: list[str]) -> None:
    race(spend_all, PROCESSES, database_url, run_ids)
    with database.reading() as tx:
        assert audit.verify(tx, KEY, "acme") is None
        told = [event["subject"] for event in audit.events(tx, "acme") if event["action"] == "budget.alert"]
        crossed = [
            account
            for scope in CAPS
            for account in ledger.accounts_of(tx, scope)
            if account.alert(0.8)  # nothing is given back here: what is above the line now was told of
        ]
        campaign = ledger.accounts_of(tx, "campaign")[0]
    assert sorted(told) == sorted(account.key for account in crossed)
    assert campaign.spent == campaign.cap
    assert campaign.key in told


def test_looking_first_and_noting_it_afterwards_tells_it_sixteen_times(database_url: str, run_ids: list[str]) -> None:
    assert sum(race(tell_naively, PROCESSES, database_url, run_ids)) == PROCESSES
