"""The ledger: reserve, settle, release, on an org's month, a campaign and an attempt at once.

The caps are held by one conditional UPDATE an account, in one transaction: two writers cannot both take the last cent.
Accounts are always taken in the order org, campaign, attempt, so writers cannot deadlock. What was reserved before a crash
and never settled is closed at its whole amount by `settle_abandoned`: it may have been forwarded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, and_, func, insert, select, update

from bot.domain.money import ZERO, MicroUsd
from bot.domain.quota import Account
from bot.domain.usage import Usage
from bot.errors import QuotaRefused, StoreError
from bot.ports import Clock
from bot.store.database import Database
from bot.store.schema import accounts, ledger_entries


@dataclass(frozen=True, slots=True)
class Accounts:
    """The ids of the three accounts that an attempt's requests are charged to."""

    org: int
    campaign: int
    attempt: int

    def __iter__(self) -> Iterator[int]:
        return iter((self.org, self.campaign, self.attempt))


def ensure_account(tx: Connection, scope: str, key: str, period: str, cap: MicroUsd) -> int:
    """The account's id; made when missing. An existing one takes the new cap: the operator may raise and lower it."""
    where = and_(accounts.c.scope == scope, accounts.c.key == key, accounts.c.period == period)
    found = tx.execute(update(accounts).where(where).values(cap=cap).returning(accounts.c.id)).scalar_one_or_none()
    if found is not None:
        return int(found)
    row = {"scope": scope, "key": key, "period": period, "cap": cap, "spent": 0, "reserved": 0}
    if tx.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as upsert

        tx.execute(upsert(accounts).values(row).on_conflict_do_nothing())
    else:
        tx.execute(insert(accounts).values(row))
    return int(tx.execute(select(accounts.c.id).where(where)).scalar_one())


def open_account(tx: Connection, scope: str, key: str, period: str, cap: MicroUsd) -> int:
    """The account's id; an existing one keeps its cap, a missing one is made with `cap`."""
    found = account(tx, scope, key, period)
    return ensure_account(tx, scope, key, period, cap if found is None else found.cap)


def reserve(tx: Connection, charged: Accounts, amount: MicroUsd, *, model: str, clock: Clock) -> int:
    """Hold `amount` on all three accounts; return the reservation's id.

    Raises QuotaRefused, with the figures of the first account that has not enough left; the transaction is then to be
    rolled back (leaving `Database.transaction` by the exception does it).
    """
    for account_id in charged:
        held = tx.execute(
            update(accounts)
            .where(accounts.c.id == account_id, accounts.c.spent + accounts.c.reserved + amount <= accounts.c.cap)
            .values(reserved=accounts.c.reserved + amount)
        )
        if held.rowcount == 0:
            account = _account(tx.execute(select(accounts).where(accounts.c.id == account_id)).one())
            raise QuotaRefused(account.refusal(amount), scope=account.scope)
    return _append(tx, "reserve", charged, amount, model=model, clock=clock)


def settle(
    tx: Connection, reservation: int, cost: MicroUsd, usage: Usage, *, estimated: bool, latency_ms: int, clock: Clock
) -> None:
    """Turn a reservation into spend, once: a second settlement of the same reservation changes nothing."""
    opened = _open_reservation(tx, reservation)
    if opened is None:
        return
    charged = Accounts(opened.org_account, opened.campaign_account, opened.attempt_account)
    _append(
        tx, "settle", charged, cost, model=opened.model, clock=clock, closes=reservation, usage=usage,
        estimated=estimated, latency_ms=latency_ms,
    )  # fmt: skip
    _move(tx, charged, reserved=-opened.amount, spent=cost)


def release(tx: Connection, reservation: int, *, clock: Clock) -> None:
    """Give a reservation back, once."""
    opened = _open_reservation(tx, reservation)
    if opened is None:
        return
    charged = Accounts(opened.org_account, opened.campaign_account, opened.attempt_account)
    _append(tx, "release", charged, MicroUsd(opened.amount), model=opened.model, clock=clock, closes=reservation)
    _move(tx, charged, reserved=-opened.amount, spent=0)


def settle_abandoned(tx: Connection, attempt_account_key: str, *, clock: Clock) -> MicroUsd:
    """Close what a dead attempt left reserved, at its worst case, marked estimated; return the sum."""
    closing = ledger_entries.alias()
    open_ones = tx.execute(
        select(ledger_entries.c.id, ledger_entries.c.amount)
        .join(accounts, accounts.c.id == ledger_entries.c.attempt_account)
        .outerjoin(closing, closing.c.closes == ledger_entries.c.id)
        .where(
            accounts.c.scope == "attempt",
            accounts.c.key == attempt_account_key,
            ledger_entries.c.kind == "reserve",
            closing.c.id.is_(None),
        )
    ).all()
    for entry in open_ones:
        settle(tx, entry.id, entry.amount, Usage(), estimated=True, latency_ms=0, clock=clock)
    return MicroUsd(sum(entry.amount for entry in open_ones))


def account(tx: Connection, scope: str, key: str, period: str = "") -> Account | None:
    found = tx.execute(
        select(accounts).where(accounts.c.scope == scope, accounts.c.key == key, accounts.c.period == period)
    ).one_or_none()
    return None if found is None else _account(found)


def accounts_of(tx: Connection, scope: str) -> Sequence[Account]:
    rows = tx.execute(select(accounts).where(accounts.c.scope == scope).order_by(accounts.c.key, accounts.c.period))
    return [_account(row) for row in rows]


def spent_by_attempt(tx: Connection, key: str) -> tuple[MicroUsd, int]:
    """What an attempt has cost (settled and reserved), and the tokens that its answers reported."""
    found = account(tx, "attempt", key)
    tokens = tx.execute(
        select(
            func.coalesce(
                func.sum(
                    ledger_entries.c.input_tokens
                    + ledger_entries.c.output_tokens
                    + ledger_entries.c.cache_read_tokens
                    + ledger_entries.c.cache_write_tokens
                ),
                0,
            )
        )
        .join(accounts, accounts.c.id == ledger_entries.c.attempt_account)
        .where(accounts.c.scope == "attempt", accounts.c.key == key)
    ).scalar_one()
    return (ZERO, 0) if found is None else (MicroUsd(found.spent + found.reserved), int(tokens))


@dataclass(frozen=True, slots=True)
class Request:
    """One settled request to a model."""

    model: str
    tokens: int
    cost: MicroUsd
    estimated: bool
    latency_ms: int


def requests_of_run(tx: Connection, run_id: str) -> list[Request]:
    """Every settled request of all attempts of a run, in their order."""
    entry = ledger_entries.c
    tokens = entry.input_tokens + entry.output_tokens + entry.cache_read_tokens + entry.cache_write_tokens
    found = tx.execute(
        select(entry.model, tokens.label("tokens"), entry.amount, entry.estimated, entry.latency_ms)
        .join(accounts, accounts.c.id == entry.attempt_account)
        .where(accounts.c.scope == "attempt", accounts.c.key.like(f"{run_id}.%"), entry.kind == "settle")
        .order_by(entry.id)
    )
    return [Request(row.model, row.tokens, MicroUsd(row.amount), row.estimated, row.latency_ms) for row in found]


class LedgerMeter:
    """`ports.Meter` on the database: each call is a transaction of its own."""

    def __init__(self, database: Database, charged: Accounts, clock: Clock):
        self._database, self._charged, self._clock = database, charged, clock

    def reserve(self, worst_case: MicroUsd, *, model: str) -> int:
        with self._database.transaction() as tx:
            return reserve(tx, self._charged, worst_case, model=model, clock=self._clock)

    def settle(self, reservation: int, cost: MicroUsd, usage: Usage, *, estimated: bool, latency_ms: int) -> None:
        with self._database.transaction() as tx:
            settle(tx, reservation, cost, usage, estimated=estimated, latency_ms=latency_ms, clock=self._clock)

    def release(self, reservation: int) -> None:
        with self._database.transaction() as tx:
            release(tx, reservation, clock=self._clock)


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


def _open_reservation(tx: Connection, reservation: int) -> Row[tuple[object, ...]] | None:
    """The reserve row, locked, if nothing has closed it yet. Raises StoreError for an id that reserved nothing."""
    opened = tx.execute(select(ledger_entries).where(ledger_entries.c.id == reservation).with_for_update()).one_or_none()
    if opened is None or opened.kind != "reserve":
        raise StoreError(f"ledger entry {reservation} is no reservation")
    closed = tx.execute(select(ledger_entries.c.id).where(ledger_entries.c.closes == reservation)).one_or_none()
    return None if closed is not None else opened


def _move(tx: Connection, charged: Accounts, *, reserved: int, spent: int) -> None:
    for account_id in charged:
        tx.execute(
            update(accounts)
            .where(accounts.c.id == account_id)
            .values(reserved=accounts.c.reserved + reserved, spent=accounts.c.spent + spent)
        )


def _account(row: Row[tuple[object, ...]]) -> Account:
    return Account(row.scope, row.key, row.period, row.cap, row.spent, row.reserved)
