"""The lease of a running attempt: renewed in the background, so that a dead worker's run is taken from it soon."""

from __future__ import annotations

import threading
from datetime import timedelta
from types import TracebackType

from bot.domain.policies import Limits
from bot.errors import FenceLost, StoreError
from bot.ports import Clock
from bot.services import Services
from bot.store import runs
from bot.store.runs import Run

LEASE = timedelta(seconds=60)
RENEW_EVERY_SECONDS = 15


class Lease:
    """A context manager; `lost` turns true when the run went on without this attempt: it must then stop.

    It also turns true when the lease cannot be renewed any more, whatever the reason: the run is then soon another's.
    """

    def __init__(self, services: Services, run: Run, *, renew_every_seconds: float = RENEW_EVERY_SECONDS):
        self._services, self._run, self._every = services, run, renew_every_seconds
        self._stop = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._renew, name=f"lease-{run.id}", daemon=True)

    def lost(self) -> bool:
        return self._lost.is_set()

    def __enter__(self) -> Lease:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _renew(self) -> None:
        try:
            while not self._stop.wait(self._every):
                self._renew_once()
        except FenceLost:
            pass
        finally:
            self._lost.set()

    def _renew_once(self) -> None:
        try:
            with self._services.database.transaction() as tx:
                runs.renew(tx, self._run, until=self._services.clock.now() + LEASE)
        except StoreError as error:
            if not error.retryable:
                raise
            # Out of reach for the moment: the next round may come through before somebody takes the run.


class Deadline:
    """The attempt's wall clock, and whether it is still this attempt's run at all."""

    def __init__(self, clock: Clock, limits: Limits, lease: Lease):
        self._clock, self._lease = clock, lease
        self._end = clock.monotonic() + limits.timeout_minutes * 60

    def remaining_seconds(self) -> float:
        return max(0.0, self._end - self._clock.monotonic())

    def cancelled(self) -> bool:
        return self._lease.lost()

    def require(self) -> None:
        """Raises FenceLost once the run has gone on without this attempt."""
        if self._lease.lost():
            raise FenceLost("the run went on without this attempt")
