"""The scheduler: pump, sweep, reconcile. Any number of them may run; each round is safe to repeat."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from redis import RedisError

from bot.campaigns.activation import complete_finished
from bot.campaigns.inbox import Inbox, forget_old
from bot.campaigns.proposals import tell_proposals
from bot.campaigns.pump import pump, sweep
from bot.campaigns.redelivery import Deliverer, redeliver_missed
from bot.campaigns.refreshing import close_done, refresh_conflicting
from bot.campaigns.scheduling import forget_ended, start_due
from bot.campaigns.sources import look_after
from bot.campaigns.upkeep import Keeper, keep_up
from bot.domain.org_policies import OrgPolicy
from bot.errors import HostError, StoreError, WhimbrelError
from bot.hosts.webhooks import DIALECTS
from bot.pipeline.housekeeping import discard_leftovers
from bot.queue.jobs import JobQueue
from bot.services import Services
from bot.tracking.controlling import tell_control
from bot.tracking.leases import reclaim_lost
from bot.tracking.pull_requests import refresh_all, refresh_news
from bot.tracking.telling import tell_due
from bot.tracking.waves import advance

ADVANCE_EVERY_SECONDS = 1.0
SWEEP_EVERY_SECONDS = 5.0
FORGET_EVERY_SECONDS = 30.0
FOLLOW_SECONDS = 30.0
NEWS_SECONDS = 3.0
ROUND_SECONDS = 0.2
INBOX_SECONDS = 0.5
TELL_SECONDS = 2.0
LOOK_SECONDS = 30.0
REBASE_SECONDS = 10.0
START_SECONDS = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chore:
    """Work beside the rounds, which must not wait for it. `do` returns how much it did; after nothing, it pauses."""

    do: Callable[[], int]
    pause_seconds: float

    def forever(self, stop: threading.Event) -> None:
        """Until `stop`. What fails is logged, and done again after the pause."""
        while not stop.is_set():
            if not self._try():
                stop.wait(self.pause_seconds)

    def _try(self) -> int:
        try:
            return self.do()
        except WhimbrelError as error:
            log.warning("this will be tried again: %s: %s", type(error).__name__, error.explanation)
            return 0


def webhook_chores(services: Services, deliverers: Sequence[Callable[[], Deliverer | None]]) -> list[Chore]:
    """Handle what was delivered, and have delivered what was missed. A deliverer is asked for anew each time: an App may be
    made while this runs."""
    inbox = Inbox(services, {kind: dialect.normalise for kind, dialect in DIALECTS.items()})
    missed = [Chore(partial(_redeliver, services, each), LOOK_SECONDS) for each in deliverers]
    return [Chore(inbox.handle_pending, INBOX_SECONDS), *missed]


def _redeliver(services: Services, find: Callable[[], Deliverer | None]) -> int:
    deliverer = find()
    return redeliver_missed(services, deliverer) if deliverer else 0


def upkeep(services: Services, keepers: Sequence[Callable[[], Keeper | None]]) -> list[Chore]:
    """Keep the bot's standing on hosts up. A keeper is asked for anew each time, as a deliverer is."""

    def keep(find: Callable[[], Keeper | None]) -> int:
        keeper = find()
        if keeper:
            keep_up(services, keeper)
        return 0  # however much it was: it is looked at again after the pause

    return [Chore(partial(keep, each), LOOK_SECONDS) for each in keepers]


def telling(services: Services, orgs: Sequence[OrgPolicy]) -> list[Chore]:
    """Show people how the work goes on: in the comments that follow what they asked for, and in the issues of campaigns."""
    return [Chore(partial(do, services, orgs), TELL_SECONDS) for do in (tell_due, tell_control)]


def starting(services: Services) -> list[Chore]:
    """Start what runs by itself, and look after the policies that orgs have in repositories of their own."""
    return [Chore(partial(do, services), START_SECONDS) for do in (start_due, look_after, tell_proposals)]


def following(services: Services, orgs: Sequence[OrgPolicy]) -> list[Chore]:
    """Look after open pull requests: those with news soon, all others at a bounded rate; those that conflict are rebased,
    those that are not needed any more are closed."""

    def sweep() -> int:
        refresh_all(services, orgs)
        return 0  # however much it was: the next ones wait for the pause

    return [
        Chore(sweep, FOLLOW_SECONDS),
        Chore(partial(refresh_news, services, orgs), NEWS_SECONDS),
        Chore(partial(refresh_conflicting, services, orgs), REBASE_SECONDS),
        Chore(partial(close_done, services, orgs), REBASE_SECONDS),
    ]


@contextmanager
def beside(stop: threading.Event, chores: Sequence[Chore]) -> Iterator[None]:
    """Have the chores done, each in a thread of its own, until the block is left; `stop` is set then."""
    threads = [threading.Thread(target=chore.forever, args=(stop,), name="chore") for chore in chores]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


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
    _advanced: float = float("-inf")
    _swept: float = float("-inf")
    _forgotten: float = float("-inf")

    def round(self) -> None:
        """One round. Raises StoreError, HostError or redis.RedisError; the next round does what this one could not."""
        complete_finished(self.services)
        now = self.services.clock.monotonic()
        if now - self._advanced >= ADVANCE_EVERY_SECONDS:
            self._advanced = now
            advance(self.services)
        if now - self._swept >= SWEEP_EVERY_SECONDS:
            self._swept = now
            if reclaim_lost(self.services):
                discard_leftovers(self.services)
            sweep(self.services, self.queue)
        if now - self._forgotten >= FORGET_EVERY_SECONDS:
            self._forgotten = now
            forget_old(self.services)
            forget_ended(self.services)
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
