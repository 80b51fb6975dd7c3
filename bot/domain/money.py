"""Money is an integer number of micro-USD: no float ever holds an amount."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import NewType
from zoneinfo import ZoneInfo

MicroUsd = NewType("MicroUsd", int)

MICRO = 1_000_000
MOST = Decimal(10) ** 12
PLACES = Decimal("0.000001")
ZERO = MicroUsd(0)


def micro_usd(amount: Decimal | int | str) -> MicroUsd:
    """US dollars as micro-USD, rounded up: what is charged is never less than what was said.

    Raises ValueError for what is no number from 0 to 10^12.
    """
    try:
        value = Decimal(amount)
    except InvalidOperation as error:
        raise ValueError(f"{amount!r} is not an amount in US dollars") from error
    if not value.is_finite() or not 0 <= value <= MOST:
        raise ValueError(f"{amount!r} is not an amount in US dollars from 0 to {MOST:,}")
    return MicroUsd(int(value.quantize(PLACES, rounding=ROUND_CEILING) * MICRO))


def decimal_usd(amount: MicroUsd) -> str:
    """Micro-USD as a decimal string with six places, for JSON: 1500000 -> "1.500000"."""
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // MICRO}.{abs(amount) % MICRO:06d}"


def dollars(amount: MicroUsd) -> str:
    """Micro-USD for people: cents from a cent up, as many places as needed below it."""
    if amount == 0 or abs(amount) >= 10_000:
        return f"${Decimal(amount) / MICRO:,.2f}"
    return f"${Decimal(amount) / MICRO:.6f}".rstrip("0")


def month_of(instant: datetime, timezone: str) -> str:
    """The quota period (`YYYY-MM`) of an instant, in the org's own time zone. Raises ValueError for an instant without one."""
    if instant.tzinfo is None:
        raise ValueError("an instant needs its time zone")
    return instant.astimezone(ZoneInfo(timezone)).strftime("%Y-%m")
