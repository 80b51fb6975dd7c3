"""A ledger of one attempt in memory: it holds the invariant of the real one, and nothing survives it."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

from bot.domain.money import MicroUsd, dollars, micro_usd
from bot.domain.usage import Usage
from bot.errors import QuotaRefused, StoreError


@dataclass(frozen=True)
class Settled:
    reserved: int
    cost: int
    usage: Usage
    estimated: bool
    latency_ms: int
    model: str


class FakeMeter:
    """Settled + reserved never pass `cap`. While `broken` is set, every method raises it."""

    def __init__(self, cap: str = "100"):
        self.cap = micro_usd(cap)
        self.open: dict[int, tuple[MicroUsd, str]] = {}
        self.settled: list[Settled] = []
        self.released: list[int] = []
        self.broken: StoreError | None = None
        self._lock = Lock()
        self._last = 0

    @property
    def spent(self) -> int:
        return sum(settled.cost for settled in self.settled)

    def reserve(self, worst_case: MicroUsd, *, model: str) -> int:
        with self._lock:
            self._check()
            held = sum(amount for amount, _ in self.open.values())
            if self.spent + held + worst_case > self.cap:
                raise QuotaRefused(
                    f"the attempt's budget is used up: {dollars(MicroUsd(self.spent))} spent of {dollars(self.cap)}",
                    scope="attempt",
                )
            self._last += 1
            self.open[self._last] = (worst_case, model)
            return self._last

    def settle(self, reservation: int, cost: MicroUsd, usage: Usage, *, estimated: bool, latency_ms: int) -> None:
        with self._lock:
            self._check()
            reserved, model = self.open.pop(reservation)
            self.settled.append(Settled(reserved, cost, usage, estimated, latency_ms, model))

    def release(self, reservation: int) -> None:
        with self._lock:
            self._check()
            del self.open[reservation]
            self.released.append(reservation)

    def _check(self) -> None:
        if self.broken:
            raise self.broken
