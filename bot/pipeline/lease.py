"""The lease of a running attempt: renewed in the background, so that a dead worker's run is taken from it soon."""

from __future__ import annotations

import threading
from datetime import timedelta
from types import TracebackType

from bot.errors import FenceLost, StoreError
from bot.services import Services
from bot.store import runs
from bot.store.runs import Run

LEASE = timedelta(seconds=60)
RENEW_EVERY_SECONDS = 15


class Lease:
    """A context manager; `lost` turns true when the run went on without this attempt: it must then stop."""

    def __init__(self, services: Services, run: Run):
        self._services, self._run = services, run
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
        while not self._stop.wait(RENEW_EVERY_SECONDS):
            try:
                with self._services.database.transaction() as tx:
                    runs.renew(tx, self._run, until=self._services.clock.now() + LEASE)
            except FenceLost:
                self._lost.set()
                return
            except StoreError:
                continue  # the lease still runs; the next round may reach the database
