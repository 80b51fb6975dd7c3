"""What one attempt reserves and spends through its gateway."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from threading import Lock

from bot.domain.money import ZERO, MicroUsd, dollars
from bot.domain.prices import CacheWrites, ModelPrice, cost, worst_case
from bot.domain.usage import Usage
from bot.errors import QuotaRefused, WhimbrelError
from bot.gateway.usage import Billed
from bot.ports import Emit, Meter


@dataclass(frozen=True, slots=True)
class Totals:
    """Of the requests that were forwarded and are settled."""

    requests: int = 0
    usage: Usage = field(default_factory=Usage)
    cost: MicroUsd = ZERO


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that one request can use, and at which price."""

    model: str
    price: ModelPrice
    usage: Usage
    writes: CacheWrites

    @property
    def worst_case(self) -> MicroUsd:
        return worst_case(
            self.price,
            prompt_tokens=self.usage.input_tokens,
            output_tokens=self.usage.output_tokens,
            writes=self.writes,
        )


@dataclass(frozen=True, slots=True)
class Hold:
    """A reservation that is neither settled nor released yet."""

    reservation: int
    bounds: Bounds
    since: float = field(default_factory=time.monotonic)


class Charges:
    """Turns each reservation into exactly one settlement or release. Called from several threads at once.

    A hold whose settlement fails, or that nobody settles, stays open; `close` settles what is open at its worst case.
    """

    def __init__(self, meter: Meter, emit: Emit):
        self._meter = meter
        self._emit = emit
        self._lock = Lock()
        self._open: dict[int, Hold] = {}
        self.totals = Totals()
        self.refusal: QuotaRefused | None = None

    def reserve(self, bounds: Bounds) -> Hold:
        """Raises what the meter raises, and nothing may be forwarded then. The first QuotaRefused is kept in `refusal`."""
        try:
            hold = Hold(self._meter.reserve(bounds.worst_case, model=bounds.model), bounds)
        except QuotaRefused as refusal:
            self.refusal = self.refusal or refusal
            raise
        with self._lock:
            self._open[hold.reservation] = hold
        return hold

    def settle(self, hold: Hold, billed: Billed) -> None:
        """Charge what was used; at least the worst case where the answer tells of something that has no price here."""
        actual = cost(billed.usage, hold.bounds.price)
        if billed.usual:
            self._settle(hold, actual, billed.usage, estimated=False)
        else:
            self._settle(hold, max(actual, hold.bounds.worst_case), billed.usage, estimated=True)

    def settle_unseen(self, hold: Hold) -> None:
        """The request left, and what it used was never seen."""
        self._settle(hold, hold.bounds.worst_case, hold.bounds.usage, estimated=True)

    def settle_free(self, hold: Hold) -> None:
        """The API answered with an error of its own: nothing is billed."""
        self._settle(hold, ZERO, Usage(), estimated=False)

    def release(self, hold: Hold) -> None:
        """The request provably never left."""
        self._meter.release(hold.reservation)
        self._forget(hold)

    def close(self) -> None:
        """Settle every open hold at its worst case. Raises the meter's first error, after every hold was tried."""
        errors: list[WhimbrelError] = []
        for hold in list(self._open.values()):
            try:
                self.settle_unseen(hold)
            except WhimbrelError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _settle(self, hold: Hold, amount: MicroUsd, usage: Usage, *, estimated: bool) -> None:
        latency_ms = int((time.monotonic() - hold.since) * 1000)
        self._meter.settle(hold.reservation, amount, usage, estimated=estimated, latency_ms=latency_ms)
        self._forget(hold)
        with self._lock:
            before = self.totals
            self.totals = Totals(before.requests + 1, before.usage + usage, MicroUsd(before.cost + amount))
        self._emit(
            f"{hold.bounds.model}: {usage.total:,} tokens, {'at most ' if estimated else ''}{dollars(amount)}",
            event="model_request",
            model=hold.bounds.model,
            tokens=usage.total,
            cost_micro_usd=int(amount),
            estimated=estimated,
            latency_ms=latency_ms,
        )

    def _forget(self, hold: Hold) -> None:
        with self._lock:
            del self._open[hold.reservation]
