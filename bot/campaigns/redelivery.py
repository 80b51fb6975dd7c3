"""Deliveries that failed or were missed, while the bot was down or away: the host is asked to deliver them once more.

What a host calls a failure may have arrived all the same, and was answered too late: what is stored is not asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Protocol

from bot.domain.events import DeliveryAttempt
from bot.errors import HostLimited
from bot.services import Services
from bot.store import deliveries

LOOK_EVERY = timedelta(minutes=5)
REMEMBERED = timedelta(days=3)
FIRST_WAIT = timedelta(minutes=2)
LONGEST_WAIT = timedelta(hours=1)
# The host's clock is another one, and a delivery is listed once it has been answered or given up.
OVERLAP = timedelta(minutes=5)


class Deliverer(Protocol):
    """A host that keeps a list of its deliveries; `name` says which one it is."""

    name: str

    def attempts(self, since: datetime) -> Sequence[DeliveryAttempt]: ...
    def redeliver(self, attempt: DeliveryAttempt) -> None: ...


def redeliver_missed(services: Services, deliverer: Deliverer) -> int:
    """Ask for what has not come; return how much that was. At most every few minutes, by one scheduler. Raises HostError.

    A delivery that fails again is asked for again, after longer and longer waits. How far the host's list was looked through is
    remembered: up to the oldest delivery that is missing still. A host that would have no more asked of it for now is asked for
    the rest as soon as it may be.
    """
    now = services.clock.now()
    with services.database.transaction() as tx:
        since = deliveries.look(tx, deliverer.name, now=now, every=LOOK_EVERY)
    if since is None:
        return 0
    missing = _missing(services, deliverer.attempts(max(since - OVERLAP, now - REMEMBERED)))
    due = [tries[-1] for tries in missing if now >= tries[-1].at + _wait(len(tries))]
    asked, wait = _ask(deliverer, sorted(due, key=lambda each: each.at))
    oldest = min((tries[0].at for tries in missing), default=now)
    with services.database.transaction() as tx:
        deliveries.remember_look(tx, deliverer.name, oldest, at=now - LOOK_EVERY + wait)
    return asked


def _ask(deliverer: Deliverer, due: Sequence[DeliveryAttempt]) -> tuple[int, timedelta]:
    """How many it was asked for, and after how long it may be asked again."""
    for place, attempt in enumerate(due):
        try:
            deliverer.redeliver(attempt)
        except HostLimited as error:
            return place, timedelta(seconds=error.retry_after or LOOK_EVERY.total_seconds())
    return len(due), LOOK_EVERY


def _missing(services: Services, attempts: Sequence[DeliveryAttempt]) -> list[list[DeliveryAttempt]]:
    """By delivery: the tries of what has never come, the oldest first."""
    ordered = sorted(attempts, key=lambda each: (each.delivery, each.at, each.id))
    deliveries_tried = [list(tries) for _, tries in groupby(ordered, key=lambda each: each.delivery)]
    failed = [tries for tries in deliveries_tried if not any(each.succeeded for each in tries)]
    with services.database.reading() as tx:
        known = deliveries.known(tx, [tries[0].delivery for tries in failed])
    return [tries for tries in failed if tries[0].delivery not in known]


def _wait(tries: int) -> timedelta:
    return min(LONGEST_WAIT, FIRST_WAIT * (1 << min(tries, 10) - 1))
