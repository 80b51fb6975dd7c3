"""An account that is nearly used up is told of once, in the very transaction that crosses the line."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from bot.domain.money import MicroUsd, micro_usd
from bot.domain.usage import Usage
from bot.errors import QuotaRefused, StoreError
from bot.store import audit, ledger, records
from bot.store.alerts import Alerts
from bot.store.audit import AuditKey
from bot.store.database import Database
from bot.store.ledger import Accounts, LedgerMeter
from bot.store.runs import Run
from bot.store.schema import ledger_entries
from tests.fakes.clock import ManualClock
from tests.fakes.queue import Queue

MODEL = "claude-sonnet-4-5"


class Attempt:
    """One attempt of a run, with $10 a month, $4 for the campaign and $2 for itself; told of at 80 %."""

    def __init__(self, database: Database, clock: ManualClock, key: AuditKey):
        self.database, self.clock, self.key = database, clock, key
        self.campaign = Queue(database, clock).campaign("acme", 3)
        self.runs = Queue(database, clock).begin()

    def meter(self, run: Run, period: str = "2026-01") -> LedgerMeter:
        alerts = Alerts(run.org, run.attempt_key, 0.8, self.key, self.clock, run)
        return LedgerMeter(self.database, self.charged(run, period), self.clock, alerts)

    def charged(self, run: Run, period: str = "2026-01") -> Accounts:
        with self.database.transaction() as tx:
            return Accounts(
                org=ledger.open_account(tx, "org", "acme", period, micro_usd("10")),
                campaign=ledger.open_account(tx, "campaign", self.campaign, "", micro_usd("4")),
                attempt=ledger.open_account(tx, "attempt", run.attempt_key, "", micro_usd("2")),
            )

    def alerts(self) -> list[dict[str, Any]]:
        with self.database.reading() as tx:
            assert audit.verify(tx, self.key, "acme") is None
            return [event for event in audit.events(tx, "acme") if event["action"] == "budget.alert"]

    def told(self, run: Run) -> list[str]:
        with self.database.reading() as tx:
            entries = records.entries_of_run(tx, run.id)
        return [entry.message for entry in entries if entry.data.get("event") == "budget_alert"]


@pytest.fixture
def attempt(database: Database, clock: ManualClock, audit_key: AuditKey) -> Attempt:
    return Attempt(database, clock, audit_key)


def spend(meter: LedgerMeter, dollars: str) -> None:
    amount = micro_usd(dollars)
    meter.settle(meter.reserve(amount, model=MODEL), amount, Usage(1, 1), estimated=False, latency_ms=1)


def subjects(alerts: list[dict[str, Any]]) -> list[str]:
    return [alert["subject"] for alert in alerts]


def test_the_reservation_that_crosses_the_line_tells_with_the_figures(attempt: Attempt) -> None:
    run = attempt.runs[0]
    meter = attempt.meter(run)
    spend(meter, "1.00")
    assert attempt.alerts() == []
    meter.reserve(micro_usd("0.60"), model=MODEL)
    (alert,) = attempt.alerts()
    assert (alert["actor"], alert["subject"]) == ("whimbrel", run.attempt_key)
    assert alert["reason"] == f"80% of the budget of attempt {run.attempt_key} is used: $1.60 of $2.00"
    assert alert["details"] == {
        "scope": "attempt",
        "period": "",
        "alert_at": 0.8,
        "cap_usd": "2.000000",
        "spent_usd": "1.000000",
        "reserved_usd": "0.600000",
        "attempt": run.attempt_key,
    }
    assert attempt.told(run) == [alert["reason"]]


def test_each_account_is_told_of_once(attempt: Attempt) -> None:
    for run in attempt.runs[:2]:
        meter = attempt.meter(run)
        for dollars in ("1.60", "0.10", "0.10"):
            spend(meter, dollars)
    first, second = attempt.runs[:2]
    assert sorted(subjects(attempt.alerts())) == sorted([first.attempt_key, second.attempt_key, attempt.campaign])
    assert [len(attempt.told(run)) for run in (first, second)] == [1, 2]


def test_each_month_is_told_of(attempt: Attempt) -> None:
    run = attempt.runs[0]
    for period in ("2026-01", "2026-02"):
        with attempt.database.transaction() as tx:
            ledger.ensure_account(tx, "org", "acme", period, micro_usd("0.01"))
        spend(attempt.meter(run, period), "0.008")
    assert [(alert["subject"], alert["details"]["period"]) for alert in attempt.alerts()] == [
        ("acme", "2026-01"),
        ("acme", "2026-02"),
    ]


def test_a_settlement_above_its_reservation_can_cross_the_line(attempt: Attempt) -> None:
    meter = attempt.meter(attempt.runs[0])
    number = meter.reserve(micro_usd("0.10"), model=MODEL)
    assert attempt.alerts() == []
    meter.settle(number, micro_usd("1.70"), Usage(), estimated=False, latency_ms=1)
    assert subjects(attempt.alerts()) == [attempt.runs[0].attempt_key]


def test_what_is_given_back_is_not_told_of_again(attempt: Attempt) -> None:
    meter = attempt.meter(attempt.runs[0])
    for _ in range(3):
        meter.release(meter.reserve(micro_usd("1.90"), model=MODEL))
    assert len(attempt.alerts()) == 1


def test_a_refused_reservation_tells_nothing(attempt: Attempt) -> None:
    meter = attempt.meter(attempt.runs[0])
    with pytest.raises(QuotaRefused):
        meter.reserve(micro_usd("2.01"), model=MODEL)
    assert attempt.alerts() == []
    spend(meter, "1.60")
    assert len(attempt.alerts()) == 1


def test_an_allowance_of_nothing_is_not_told_of(attempt: Attempt) -> None:
    run = attempt.runs[0]
    charged = attempt.charged(run)
    with attempt.database.transaction() as tx:
        ledger.ensure_account(tx, "attempt", run.attempt_key, "", MicroUsd(0))
        assert ledger.take_alerts(tx, charged, 0.8) == []


def test_where_an_alert_cannot_be_written_nothing_is_reserved(attempt: Attempt) -> None:
    """Money fails closed: the request is not forwarded, and the next one that crosses the line tells."""
    run = attempt.runs[0]

    def broken(*_: object) -> None:
        raise StoreError("the disk is full")

    with pytest.raises(StoreError):
        LedgerMeter(attempt.database, attempt.charged(run), attempt.clock, broken).reserve(micro_usd("1.60"), model=MODEL)
    with attempt.database.reading() as tx:
        assert tx.execute(select(ledger_entries)).all() == []
    spend(attempt.meter(run), "1.60")
    assert len(attempt.alerts()) == 1


def test_an_attempt_of_no_run_is_told_of_in_the_audit_trail_alone(attempt: Attempt) -> None:
    run = attempt.runs[0]
    alerts = Alerts("acme", "e1", 0.8, attempt.key, attempt.clock)
    spend(LedgerMeter(attempt.database, attempt.charged(run), attempt.clock, alerts), "1.60")
    (alert,) = attempt.alerts()
    assert alert["details"]["attempt"] == "e1"
    assert attempt.told(run) == []
