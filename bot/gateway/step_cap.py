"""A step's own cap, below those that the ledger holds."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock

from bot.domain.money import ZERO, MicroUsd
from bot.domain.quota import Account
from bot.domain.usage import Usage
from bot.errors import QuotaRefused
from bot.ports import Meter


class CappedMeter:
    """A `ports.Meter` that lets one step reserve at most `cap`, and leaves all else to the ledger's. Used from any thread."""

    def __init__(self, meter: Meter, cap: MicroUsd):
        self._meter = meter
        self._lock = Lock()
        self._account = Account("this step", "", "", cap, ZERO, ZERO)
        self._held: dict[int, MicroUsd] = {}

    def reserve(self, worst_case: MicroUsd, *, model: str) -> int:
        with self._lock:
            if worst_case > self._account.left:
                raise QuotaRefused(self._account.refusal(worst_case), scope="step")
            reservation = self._meter.reserve(worst_case, model=model)
            self._held[reservation] = worst_case
            self._move(worst_case, spent=0)
            return reservation

    def settle(self, reservation: int, cost: MicroUsd, usage: Usage, *, estimated: bool, latency_ms: int) -> None:
        self._meter.settle(reservation, cost, usage, estimated=estimated, latency_ms=latency_ms)
        with self._lock:
            self._move(-self._held.pop(reservation), spent=cost)

    def release(self, reservation: int) -> None:
        self._meter.release(reservation)
        with self._lock:
            self._move(-self._held.pop(reservation), spent=0)

    def _move(self, reserved: int, *, spent: int) -> None:
        now = self._account
        self._account = replace(now, reserved=MicroUsd(now.reserved + reserved), spent=MicroUsd(now.spent + spent))
