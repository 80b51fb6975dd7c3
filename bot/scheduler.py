"""The scheduler: pump, sweep, reconcile. Any number of them may run; each round is safe to repeat."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass

from redis import RedisError

from bot.campaigns.activation import complete_finished
from bot.campaigns.pump import pump, sweep
from bot.domain.policies import OrgPolicy
from bot.errors import HostError, StoreError
from bot.pipeline.housekeeping import discard_leftovers
from bot.queue.jobs import JobQueue
from bot.services import Services
from bot.tracking.leases import reclaim_expired
from bot.tracking.pull_requests import refresh_all

SWEEP_EVERY_SECONDS = 5.0
REFRESH_EVERY_SECONDS = 30.0
ROUND_SECONDS = 0.2

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Scheduler:
    """Its own state is only when it last did what need not be done each round.

    `revive` is called when Redis does not answer. `workers` is how many there are; None: as many as give signs of life.
    """

    services: Services
    queue: JobQueue
    orgs: list[OrgPolicy]
    revive: Callable[[], None]
    workers: int | None = None
    _swept: float = float("-inf")
    _refreshed: float = float("-inf")

    def round(self) -> None:
        """One round. Raises StoreError, HostError or redis.RedisError; the next round does what this one could not."""
        complete_finished(self.services)
        now = self.services.clock.monotonic()
        if now - self._swept >= SWEEP_EVERY_SECONDS:
            self._swept = now
            if reclaim_expired(self.services):
                discard_leftovers(self.services)
            sweep(self.services, self.queue)
        if now - self._refreshed >= REFRESH_EVERY_SECONDS:
            self._refreshed = now
            refresh_all(self.services, self.orgs)
        pump(self.services, self.queue, workers=self._workers())

    def try_round(self) -> None:
        """One round; what fails in it is logged. Raises ConfigurationError where Redis is gone and cannot be had again."""
        try:
            self.round()
        except (StoreError, HostError, RedisError) as error:
            log.warning("a round of the scheduler failed, the next one will try again: %s: %s", type(error).__name__, error)
            if isinstance(error, RedisError):
                self.revive()

    def forever(self, stop: threading.Event) -> None:
        """Rounds until `stop`."""
        while not stop.is_set():
            self.try_round()
            stop.wait(ROUND_SECONDS)

    def _workers(self) -> int:
        return self.workers if self.workers is not None else max(1, len(self.queue.workers()))


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set. Call it from the main thread."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
