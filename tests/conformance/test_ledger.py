"""The ledger against a plain model of it: the same calls, in every order that hypothesis can think of."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, select

from bot.domain.money import MicroUsd, month_of
from bot.domain.quota import Account
from bot.domain.usage import Usage
from bot.errors import QuotaRefused, StoreError
from bot.store import ledger
from bot.store.database import Database
from bot.store.ledger import Accounts, LedgerMeter, OrgMonth
from bot.store.schema import accounts, ledger_entries
from tests.fakes.clock import ManualClock

SCOPES = ("org", "campaign", "attempt")
DAY = 86_400
MODEL = "claude-sonnet-4-5"
amounts = st.integers(min_value=0, max_value=60).map(MicroUsd)
caps = st.integers(min_value=0, max_value=200).map(MicroUsd)


@dataclass
class Held:
    """The model of an account. `bound` is the cap, or what was taken already when the cap was lowered below it."""

    cap: int
    spent: int = 0
    reserved: int = 0
    bound: int = 0

    @property
    def taken(self) -> int:
        return self.spent + self.reserved


@dataclass
class Reservation:
    id: int
    attempt: Attempt
    amount: int
    open: bool = True


@dataclass
class Attempt:
    key: str
    accounts: Accounts
    held: tuple[Held, Held, Held]
    reservations: list[Reservation] = field(default_factory=list)

    def move(self, *, reserved: int = 0, spent: int = 0) -> None:
        for held in self.held:
            held.reserved += reserved
            held.spent += spent


class LedgerMachine(RuleBasedStateMachine):
    """Each example has an org of its own in the one database."""

    attempts = Bundle("attempts")
    reservations = Bundle("reservations")
    orgs = count()

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database
        self.clock = ManualClock(datetime(2026, 1, 31, 12, tzinfo=UTC))
        self.org = f"org{next(self.orgs)}"
        self.model: dict[tuple[str, str, str], Held] = {}
        self.names = count()

    @initialize(target=attempts, campaign=st.sampled_from("ab"), cap=caps)
    def first_attempt(self, campaign: str, cap: MicroUsd) -> Attempt:
        return self._begin(campaign, cap)

    @rule(target=attempts, campaign=st.sampled_from("ab"), cap=caps)
    def begin_attempt(self, campaign: str, cap: MicroUsd) -> Attempt:
        return self._begin(campaign, cap)

    @rule(target=reservations, attempt=attempts, amount=amounts)
    def reserve(self, attempt: Attempt, amount: MicroUsd) -> object:
        full = [scope for scope, held in zip(SCOPES, attempt.held, strict=True) if held.taken + amount > held.cap]
        if full:
            with pytest.raises(QuotaRefused) as refused:
                self._reserve(attempt, amount)
            assert refused.value.scope == full[0]
            return multiple()
        number = self._reserve(attempt, amount)
        attempt.move(reserved=amount)
        reservation = Reservation(number, attempt, amount)
        attempt.reservations.append(reservation)
        return reservation

    @rule(reservation=reservations, share=st.fractions(min_value=0, max_value=1), estimated=st.booleans())
    def settle(self, reservation: Reservation, share: Fraction, estimated: bool) -> None:
        """Of an open reservation, or once more of a closed one."""
        cost = MicroUsd(int(reservation.amount * share))
        with self.database.transaction() as tx:
            closed = ledger.settle(
                tx, reservation.id, cost, Usage(1, 1), estimated=estimated, latency_ms=1, clock=self.clock
            )  # fmt: skip
        self._close(reservation, closed, spent=cost)

    @rule(reservation=reservations)
    def release(self, reservation: Reservation) -> None:
        with self.database.transaction() as tx:
            closed = ledger.release(tx, reservation.id, clock=self.clock)
        self._close(reservation, closed, spent=0)

    @rule(attempt=attempts)
    def abandon(self, attempt: Attempt) -> None:
        """Somebody else settles what the attempt has open; if it is alive, it goes on."""
        with self.database.transaction() as tx:
            settled = ledger.settle_abandoned(tx, attempt.key, clock=self.clock)
        assert settled == self._settle_open(attempt)

    @rule(attempt=attempts)
    def close(self, attempt: Attempt) -> None:
        """The same, and whatever is left of the attempt can spend nothing more."""
        with self.database.transaction() as tx:
            cost, _tokens = ledger.close_attempt(tx, attempt.key, clock=self.clock)
        self._settle_open(attempt)
        held = attempt.held[2]
        assert cost == held.spent
        held.cap = held.bound = held.spent

    @rule(attempt=attempts, level=st.integers(min_value=0, max_value=2), cap=caps)
    def change_cap(self, attempt: Attempt, level: int, cap: MicroUsd) -> None:
        """The operator raises or lowers it, below what is taken already too."""
        held = attempt.held[level]
        place = next(place for place, other in self.model.items() if other is held)
        with self.database.transaction() as tx:
            assert ledger.ensure_account(tx, *place, cap) == list(attempt.accounts)[level]
        held.cap = cap
        held.bound = max(cap, held.taken)

    @rule(days=st.integers(min_value=1, max_value=40))
    def let_time_pass(self, days: int) -> None:
        self.clock.advance(days * DAY)

    @invariant()
    def the_accounts_hold(self) -> None:
        with self.database.reading() as tx:
            for place, held in self.model.items():
                amounts = MicroUsd(held.cap), MicroUsd(held.spent), MicroUsd(held.reserved)
                assert ledger.account(tx, *place) == Account(*place, *amounts)
                assert sums_of_entries(tx, place) == (held.spent, held.reserved)

    @invariant()
    def no_cap_is_passed(self) -> None:
        """What is taken is at most the cap, or, since a cap was lowered below it, no more than it was then."""
        for held in self.model.values():
            assert held.taken <= held.bound
            held.bound = max(held.cap, held.taken)

    def _begin(self, campaign: str, cap: MicroUsd) -> Attempt:
        """As a worker does when it claims a run: present accounts keep their caps."""
        key = f"{self.org}.{next(self.names)}"
        places = (self._month(), ("campaign", f"{self.org}{campaign}", ""), ("attempt", key, ""))
        for place, wanted in zip(places, (MicroUsd(150), MicroUsd(100), cap), strict=True):
            self.model.setdefault(place, Held(wanted, bound=wanted))
        with self.database.transaction() as tx:
            ids = [ledger.open_account(tx, *place, MicroUsd(self.model[place].cap)) for place in places]
            repeated = [ledger.open_account(tx, *place, MicroUsd(7)) for place in places]
        assert ids == repeated
        return Attempt(key, Accounts(*ids), (self.model[places[0]], self.model[places[1]], self.model[places[2]]))

    def _month(self) -> tuple[str, str, str]:
        return "org", self.org, month_of(self.clock.now(), "UTC")

    def _reserve(self, attempt: Attempt, amount: MicroUsd) -> int:
        with self.database.transaction() as tx:
            return ledger.reserve(tx, attempt.accounts, amount, model=MODEL, clock=self.clock)

    def _settle_open(self, attempt: Attempt) -> int:
        """Each open reservation of the model becomes spend, as a whole; return their sum."""
        left_open = [reservation for reservation in attempt.reservations if reservation.open]
        for reservation in left_open:
            self._close(reservation, True, spent=reservation.amount)
        return sum(reservation.amount for reservation in left_open)

    def _close(self, reservation: Reservation, closed: bool, *, spent: int) -> None:
        assert closed == reservation.open
        if closed:
            reservation.open = False
            reservation.attempt.move(reserved=-reservation.amount, spent=spent)


# How many examples, and of how many steps.
EFFORT = {"sqlite": (30, 30), "postgresql": (12, 30)}


def test_the_ledger_is_its_model(database: Database) -> None:
    class OnThisDatabase(LedgerMachine):
        def __init__(self) -> None:
            super().__init__(database)

    examples, steps = EFFORT[database.engine.dialect.name]
    effort = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    run_state_machine_as_test(OnThisDatabase, settings=effort)


@pytest.fixture
def charged(database: Database) -> Accounts:
    """$10 a month, $5 for the campaign, $2 for the attempt."""
    with database.transaction() as tx:
        return Accounts(
            org=ledger.ensure_account(tx, "org", "acme", "2026-01", MicroUsd(10_000_000)),
            campaign=ledger.ensure_account(tx, "campaign", "c1", "", MicroUsd(5_000_000)),
            attempt=ledger.ensure_account(tx, "attempt", "c1-1.1", "", MicroUsd(2_000_000)),
        )


def reserve(database: Database, charged: Accounts, amount: int, clock: ManualClock) -> int:
    with database.transaction() as tx:
        return ledger.reserve(tx, charged, MicroUsd(amount), model=MODEL, clock=clock)


def entries(database: Database) -> list[dict[str, object]]:
    with database.reading() as tx:
        return [dict(row._mapping) for row in tx.execute(select(ledger_entries).order_by(ledger_entries.c.id))]


def test_a_refusal_names_the_first_account_that_is_full(database: Database, charged: Accounts, clock: ManualClock) -> None:
    reserve(database, charged, 1_500_000, clock)
    with pytest.raises(
        QuotaRefused, match=r"attempt c1-1\.1 is used up: \$0\.00 spent and \$1\.50 reserved of \$2\.00"
    ) as refused:
        reserve(database, charged, 500_001, clock)
    assert refused.value.scope == "attempt"
    with database.reading() as tx:
        held = [ledger.account(tx, *place) for place in (("org", "acme", "2026-01"), ("campaign", "c1"), ("attempt", "c1-1.1"))]
    assert [account and account.reserved for account in held] == [1_500_000] * 3


def test_a_settlement_tells_of_the_request(database: Database, charged: Accounts, clock: ManualClock) -> None:
    number = reserve(database, charged, 1_000, clock)
    clock.advance(3)
    with database.transaction() as tx:
        ledger.settle(tx, number, MicroUsd(600), Usage(1, 2, 3, 4, 5), estimated=False, latency_ms=3_000, clock=clock)
    opened, settled = entries(database)
    assert (opened["kind"], opened["amount"], opened["closes"]) == ("reserve", 1_000, None)
    assert (settled["kind"], settled["amount"], settled["closes"]) == ("settle", 600, number)
    tokens = [settled[f"{kind}_tokens"] for kind in ("input", "output", "cache_read", "cache_write")]
    assert tokens == [1, 2, 3, 9]
    assert (settled["model"], settled["estimated"], settled["latency_ms"], settled["at"]) == (MODEL, False, 3_000, clock.now())


def test_what_is_abandoned_is_spent_and_marked_estimated(database: Database, charged: Accounts, clock: ManualClock) -> None:
    reserve(database, charged, 1_000, clock)
    with database.transaction() as tx:
        assert ledger.settle_abandoned(tx, "c1-1.1", clock=clock) == 1_000
        assert ledger.spent_by_attempt(tx, "c1-1.1") == (1_000, 0)
    assert [(entry["kind"], entry["estimated"]) for entry in entries(database)] == [("reserve", False), ("settle", True)]


def test_a_cost_above_its_reservation_is_recorded_as_it_is(database: Database, charged: Accounts, clock: ManualClock) -> None:
    number = reserve(database, charged, 2_000_000, clock)
    with database.transaction() as tx:
        ledger.settle(tx, number, MicroUsd(2_000_001), Usage(), estimated=False, latency_ms=0, clock=clock)
        account = ledger.account(tx, "attempt", "c1-1.1")
    assert account is not None
    assert (account.spent, account.reserved, account.left) == (2_000_001, 0, 0)


def test_an_attempts_cost_and_tokens(database: Database, charged: Accounts, clock: ManualClock) -> None:
    first, _still_open = reserve(database, charged, 1_000, clock), reserve(database, charged, 50, clock)
    with database.transaction() as tx:
        ledger.settle(tx, first, MicroUsd(600), Usage(1, 2, 3, 4, 5), estimated=False, latency_ms=0, clock=clock)
        assert ledger.spent_by_attempt(tx, "c1-1.1") == (650, 15)
        assert ledger.spent_by_attempt(tx, "never begun") == (0, 0)


def test_closing_what_is_no_reservation_is_an_error(database: Database, charged: Accounts, clock: ManualClock) -> None:
    number = reserve(database, charged, 1_000, clock)
    with database.transaction() as tx:
        ledger.release(tx, number, clock=clock)
    for wrong in (number + 1, 999):
        with pytest.raises(StoreError, match=f"ledger entry {wrong} is no reservation"), database.transaction() as tx:
            ledger.release(tx, wrong, clock=clock)


def test_no_amount_is_negative(database: Database, charged: Accounts, clock: ManualClock) -> None:
    number = reserve(database, charged, 1_000, clock)
    with pytest.raises(ValueError, match="no negative amount"):
        reserve(database, charged, -1, clock)
    with pytest.raises(ValueError, match="no negative amount"), database.transaction() as tx:
        ledger.settle(tx, number, MicroUsd(-1), Usage(), estimated=False, latency_ms=0, clock=clock)
    assert len(entries(database)) == 1


def test_the_accounts_of_a_scope_are_in_order(database: Database) -> None:
    with database.transaction() as tx:
        for key, period in (("b", "2026-01"), ("a", "2026-02"), ("a", "2026-01")):
            ledger.ensure_account(tx, "org", key, period, MicroUsd(5))
        ledger.ensure_account(tx, "campaign", "c", "", MicroUsd(5))
        found = [(account.key, account.period) for account in ledger.accounts_of(tx, "org")]
    assert found == [("a", "2026-01"), ("a", "2026-02"), ("b", "2026-01")]


def sums_of_entries(tx: Connection, place: tuple[str, str, str]) -> tuple[int, int]:
    """(spent, reserved) of an account, from the append-only entries alone."""
    scope, key, period = place
    of_account = (accounts.c.scope == scope, accounts.c.key == key, accounts.c.period == period)
    joined = select(ledger_entries).join(accounts, accounts.c.id == ledger_entries.c[f"{scope}_account"]).where(*of_account)
    rows = tx.execute(joined).all()
    closed = {row.closes for row in rows}
    spent = sum(row.amount for row in rows if row.kind == "settle")
    return spent, sum(row.amount for row in rows if row.kind == "reserve" and row.id not in closed)


def test_an_attempt_that_works_past_midnight_charges_each_month_with_what_was_reserved_in_it(
    database: Database, charged: Accounts
) -> None:
    berlin_midnight = ManualClock(datetime(2026, 1, 31, 22, 59, 30, tzinfo=UTC))
    month = OrgMonth("acme", "Europe/Berlin", MicroUsd(10_000_000))
    meter = LedgerMeter(database, charged, berlin_midnight, month=month)
    before = meter.reserve(MicroUsd(300_000), model=MODEL)
    berlin_midnight.advance(60)
    after = meter.reserve(MicroUsd(200_000), model=MODEL)
    meter.settle(before, MicroUsd(250_000), Usage(1, 1), estimated=False, latency_ms=1)
    meter.settle(after, MicroUsd(50_000), Usage(1, 1), estimated=False, latency_ms=1)
    with database.reading() as tx:
        months = [(found.period, found.spent, found.reserved) for found in ledger.accounts_of(tx, "org")]
        attempt = ledger.account(tx, "attempt", "c1-1.1")
    assert months == [("2026-01", 250_000, 0), ("2026-02", 50_000, 0)]
    assert attempt is not None
    assert (attempt.spent, attempt.reserved) == (300_000, 0)
