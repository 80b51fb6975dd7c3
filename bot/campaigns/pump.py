"""The pump: SQL decides what runs next, the queue only carries it. Commit, then enqueue."""

from __future__ import annotations

from datetime import timedelta

from bot.queue.jobs import JobQueue, job_id
from bot.services import Services
from bot.store import campaigns, runs
from bot.store.runs import Dispatch

# A dispatched run waits in the queue behind at most twice as many as there are workers, each one bounded by its own clock.
DISPATCH_LEASE = timedelta(hours=13)
JOB_SLACK_SECONDS = 900


def pump(services: Services, queue: JobQueue, *, workers: int) -> list[Dispatch]:
    """Keep at most two jobs a worker in the queue; return what was added."""
    with services.database.transaction() as tx:
        taken = runs.dispatch(tx, slots=2 * workers, now=services.clock.now(), lease=DISPATCH_LEASE)
    _enqueue(services, queue, taken)
    return taken


def sweep(services: Services, queue: JobQueue) -> list[Dispatch]:
    """Enqueue again what SQL holds as dispatched and the queue has lost; enqueueing what it still has changes nothing."""
    with services.database.reading() as tx:
        expected = runs.dispatched(tx)
    known = queue.known(job_id(item.run_id, item.fence) for item in expected)
    lost = [item for item in expected if job_id(item.run_id, item.fence) not in known]
    _enqueue(services, queue, lost)
    return lost


def _enqueue(services: Services, queue: JobQueue, items: list[Dispatch]) -> None:
    for item in items:
        with services.database.reading() as tx:
            campaign = campaigns.get(tx, runs.get(tx, item.run_id).campaign_id)
        queue.enqueue(item.run_id, item.fence, timeout_seconds=_timeout(campaign.policy.limits.timeout_minutes))


def _timeout(minutes: float) -> int:
    return int(minutes * 60 * 2) + JOB_SLACK_SECONDS
