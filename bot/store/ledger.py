"""The ledger: reserve, settle, release, on an org's month, a campaign and an attempt at once.

The caps are held by one conditional UPDATE an account, in one transaction: two writers cannot both take the last cent.
Accounts are always taken in the order org, campaign, attempt, so writers cannot deadlock. What was reserved before a crash
and never settled is closed at its whole amount by `settle_abandoned`: it may have been forwarded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, select, update

from bot.domain.money import ZERO, MicroUsd, month_of
from bot.domain.quota import Account
from bot.domain.usage import Usage
from bot.errors import QuotaRefused, StoreError
from bot.ports import Clock
from bot.store.database import Database, upsert
from bot.store.schema import accounts, ledger_entries


@dataclass(frozen=True, slots=True)
class Accounts:
    """The ids of the three accounts that an attempt's requests are charged to."""

    org: int
    campaign: int
    attempt: int

    def __iter__(self) -> Iterator[int]:
        return iter((self.org, self.campaign, self.attempt))


@dataclass(frozen=True, slots=True)
class OrgMonth:
    """Whose month a reservation is charged to: spend belongs to the period in which it was reserved, in the org's time zone."""

    org: str
    timezone: str
    cap: MicroUsd

    def account(self, tx: Connection, now: datetime) -> int:
        """The id of this month's account, made with `cap` where the month has just begun."""
        return open_account(tx, "org", self.org, month_of(now, self.timezone), self.cap)


def ensure_account(tx: Connection, scope: str, key: str, period: str, cap: MicroUsd) -> int:
    """The account's id; made when missing. An existing one takes the new cap: the operator may raise and lower it."""
    missing = upsert(tx, accounts).values(_new_account(scope, key, period, cap))
    unique = (accounts.c.scope, accounts.c.key, accounts.c.period)
    ensured = missing.on_conflict_do_update(index_elements=unique, set_={"cap": cap}).returning(accounts.c.id)
    return int(tx.execute(ensured).scalar_one())


def open_account(tx: Connection, scope: str, key: str, period: str, cap: MicroUsd) -> int:
    """The account's id; an existing one keeps its cap, a missing one is made with `cap`."""
    tx.execute(upsert(tx, accounts).values(_new_account(scope, key, period, cap)).on_conflict_do_nothing())
    return int(tx.execute(select(accounts.c.id).where(_is(scope, key, period))).scalar_one())


def reserve(tx: Connection, charged: Accounts, amount: MicroUsd, *, model: str, clock: Clock) -> int:
    """Hold `amount` on all three accounts; return the reservation's id.

    Raises QuotaRefused, with the figures of the first account that has not enough left; the transaction is then to be
    rolled back (leaving `Database.transaction` by the exception does it).
    """
    _require_amount(amount)
    for account_id in charged:
        held = tx.execute(
            update(accounts)
            .where(accounts.c.id == account_id, accounts.c.spent + accounts.c.reserved + amount <= accounts.c.cap)
            .values(reserved=accounts.c.reserved + amount)
        )
        if held.rowcount == 0:
            full = _account(tx.execute(select(accounts).where(accounts.c.id == account_id)).one())
            raise QuotaRefused(full.refusal(amount), scope=full.scope)
    return _append(tx, "reserve", charged, amount, model=model, clock=clock)


def settle(
    tx: Connection, reservation: int, cost: MicroUsd, usage: Usage, *, estimated: bool, latency_ms: int, clock: Clock
) -> bool:
    """Turn a reservation into spend, once; False when it was closed before, and nothing has changed.

    A `cost` above what was reserved is recorded as it is: the money is spent. Raises StoreError for what is no reservation.
    """
    _require_amount(cost)
    opened = _take(tx, reservation)
    if opened is None:
        return False
    _append(
        tx, "settle", opened.charged, cost, model=opened.model, clock=clock, closes=reservation, usage=usage,
        estimated=estimated, latency_ms=latency_ms,
    )  # fmt: skip
    _move(tx, opened.charged, reserved=-opened.amount, spent=cost)
    return True


def release(tx: Connection, reservation: int, *, clock: Clock) -> bool:
    """Give a reservation back, once; False when it was closed before. Raises StoreError for what is no reservation."""
    opened = _take(tx, reservation)
    if opened is None:
        return False
    _append(tx, "release", opened.charged, opened.amount, model=opened.model, clock=clock, closes=reservation)
    _move(tx, opened.charged, reserved=-opened.amount, spent=0)
    return True


def settle_abandoned(tx: Connection, attempt_account_key: str, *, clock: Clock) -> MicroUsd:
    """Close what a dead attempt left reserved, at its worst case, marked estimated; return the sum."""
    closing = ledger_entries.alias()
    open_ones = tx.execute(
        select(ledger_entries.c.id, ledger_entries.c.amount)
        .join(accounts, accounts.c.id == ledger_entries.c.attempt_account)
        .outerjoin(closing, closing.c.closes == ledger_entries.c.id)
        .where(_is("attempt", attempt_account_key), ledger_entries.c.kind == "reserve", closing.c.id.is_(None))
        .order_by(ledger_entries.c.id)
    ).all()
    total = 0
    for entry in open_ones:
        if settle(tx, entry.id, entry.amount, Usage(), estimated=True, latency_ms=0, clock=clock):
            total += entry.amount
    return MicroUsd(total)


def close_attempt(tx: Connection, key: str, *, clock: Clock) -> tuple[MicroUsd, int]:
    """Let an attempt reserve nothing more, settle what it has left reserved, and return its cost and tokens.

    It may not be dead: what goes on without its run, and does not know it yet, must not spend.
    """
    charged = select(ledger_entries.c.org_account).join(accounts, accounts.c.id == ledger_entries.c.attempt_account)
    _lock(tx, accounts.c.id.in_(charged.where(_is("attempt", key))))
    # Before the settlement: a request that comes in between would be left reserved.
    tx.execute(update(accounts).where(_is("attempt", key)).values(cap=accounts.c.spent + accounts.c.reserved))
    settle_abandoned(tx, key, clock=clock)
    return spent_by_attempt(tx, key)


def take_alerts(tx: Connection, charged: Accounts, alert_at: float) -> list[Account]:
    """Those of the accounts that have `alert_at` (0 to 1) of their cap spent or reserved, and were never given before."""
    silent = tx.execute(select(accounts).where(accounts.c.id.in_(tuple(charged)), accounts.c.alerted.is_(False)))
    reached = [row.id for row in silent if _account(row).alert(alert_at)]
    if not reached:
        return []
    taken = update(accounts).where(accounts.c.id.in_(reached), accounts.c.alerted.is_(False)).values(alerted=True)
    return [_account(row) for row in tx.execute(taken.returning(accounts))]


def account(tx: Connection, scope: str, key: str, period: str = "") -> Account | None:
    found = tx.execute(select(accounts).where(_is(scope, key, period))).one_or_none()
    return None if found is None else _account(found)


def accounts_of(tx: Connection, scope: str) -> Sequence[Account]:
    rows = tx.execute(select(accounts).where(accounts.c.scope == scope).order_by(accounts.c.key, accounts.c.period))
    return [_account(row) for row in rows]


def spent_by_attempt(tx: Connection, key: str) -> tuple[MicroUsd, int]:
    """What an attempt has cost (settled and reserved), and the tokens that its answers reported; zeros before it began."""
    found = account(tx, "attempt", key)
    if found is None:
        return ZERO, 0
    entry = ledger_entries.c
    tokens = entry.input_tokens + entry.output_tokens + entry.cache_read_tokens + entry.cache_write_tokens
    of_attempt = select(func.sum(tokens)).join(accounts, accounts.c.id == entry.attempt_account).where(_is("attempt", key))
    return MicroUsd(found.spent + found.reserved), int(tx.execute(of_attempt).scalar_one() or 0)


Alert = Callable[[Connection, Accounts], None]
"""Looks, inside of the transaction that has moved them, whether accounts are nearly used up."""


class LedgerMeter:
    """`ports.Meter` on the database: each call is a transaction of its own, and `alert`, where there is one, is in it.

    With a `month`, an attempt that works past the end of one charges its next requests to the next.
    """

    def __init__(
        self,
        database: Database,
        charged: Accounts,
        clock: Clock,
        alert: Alert | None = None,
        month: OrgMonth | None = None,
    ):
        self._database, self._charged, self._clock, self._alert, self._month = database, charged, clock, alert, month

    def reserve(self, worst_case: MicroUsd, *, model: str) -> int:
        with self._database.transaction() as tx:
            if self._month is not None:
                self._charged = replace(self._charged, org=self._month.account(tx, self._clock.now()))
            reservation = reserve(tx, self._charged, worst_case, model=model, clock=self._clock)
            self._look(tx)
        return reservation

    def settle(self, reservation: int, cost: MicroUsd, usage: Usage, *, estimated: bool, latency_ms: int) -> None:
        with self._database.transaction() as tx:
            settle(tx, reservation, cost, usage, estimated=estimated, latency_ms=latency_ms, clock=self._clock)
            self._look(tx)

    def release(self, reservation: int) -> None:
        with self._database.transaction() as tx:
            release(tx, reservation, clock=self._clock)

    def _look(self, tx: Connection) -> None:
        if self._alert:
            self._alert(tx, self._charged)


def _append(
    tx: Connection,
    kind: str,
    charged: Accounts,
    amount: MicroUsd,
    *,
    model: str,
    clock: Clock,
    closes: int | None = None,
    usage: Usage | None = None,
    estimated: bool = False,
    latency_ms: int = 0,
) -> int:
    usage = usage or Usage()
    row = {
        "kind": kind,
        "closes": closes,
        "amount": amount,
        "estimated": estimated,
        "org_account": charged.org,
        "campaign_account": charged.campaign,
        "attempt_account": charged.attempt,
        "model": model,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        "latency_ms": latency_ms,
        "at": clock.now(),
    }
    return int(tx.execute(insert(ledger_entries).values(row).returning(ledger_entries.c.id)).scalar_one())


@dataclass(frozen=True, slots=True)
class _Reservation:
    charged: Accounts
    amount: MicroUsd
    model: str


def _take(tx: Connection, reservation: int) -> _Reservation | None:
    """What was reserved, to be closed by this transaction alone; None when it is closed already.

    The org's account is locked first, as by `reserve`: locking the entry instead could deadlock with `settle_abandoned`.
    """
    entry = tx.execute(select(ledger_entries).where(ledger_entries.c.id == reservation)).one_or_none()
    if entry is None or entry.kind != "reserve":
        raise StoreError(f"ledger entry {reservation} is no reservation")
    _lock(tx, accounts.c.id == entry.org_account)
    if tx.execute(select(ledger_entries.c.id).where(ledger_entries.c.closes == reservation)).one_or_none() is not None:
        return None
    return _Reservation(Accounts(entry.org_account, entry.campaign_account, entry.attempt_account), entry.amount, entry.model)


def _lock(tx: Connection, which: ColumnElement[bool]) -> None:
    """Hold accounts until the transaction ends, in the order of their ids. On SQLite, it holds everything already."""
    tx.execute(select(accounts.c.id).where(which).order_by(accounts.c.id).with_for_update(key_share=True))


def _move(tx: Connection, charged: Accounts, *, reserved: int, spent: int) -> None:
    for account_id in charged:
        tx.execute(
            update(accounts)
            .where(accounts.c.id == account_id)
            .values(reserved=accounts.c.reserved + reserved, spent=accounts.c.spent + spent)
        )


def _account(row: Row[tuple[object, ...]]) -> Account:
    return Account(row.scope, row.key, row.period, row.cap, row.spent, row.reserved)


def _new_account(scope: str, key: str, period: str, cap: MicroUsd) -> dict[str, object]:
    return {"scope": scope, "key": key, "period": period, "cap": cap, "spent": 0, "reserved": 0}


def _is(scope: str, key: str, period: str = "") -> ColumnElement[bool]:
    return and_(accounts.c.scope == scope, accounts.c.key == key, accounts.c.period == period)


def _require_amount(amount: MicroUsd) -> None:
    if amount < 0:
        raise ValueError(f"{amount} micro-USD: the ledger takes no negative amount")
