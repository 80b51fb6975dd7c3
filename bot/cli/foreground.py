"""Work on a campaign from the command line: scheduler and workers of its own, progress, a clean end on Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from bot.campaigns.activation import hold
from bot.config import Settings
from bot.domain.org_policies import OrgPolicy
from bot.domain.states import CampaignState, RunState
from bot.pipeline.housekeeping import discard_leftovers
from bot.ports import Progress
from bot.queue.connection import connect_briefly
from bot.queue.jobs import JobQueue
from bot.queue.pool import WorkerPool
from bot.queue.server import redis_server, revive
from bot.scheduler import ROUND_SECONDS, Scheduler, beside, following, telling
from bot.services import Services
from bot.store import campaigns, records, reports, runs
from bot.tracking.leases import reclaim
from bot.tracking.waiting import why_stuck
from bot.worker import worker_name


@dataclass(slots=True)
class Machinery:
    """What `run` started: stopped with it."""

    scheduler: Scheduler
    pool: WorkerPool

    def round(self) -> None:
        dead = self.pool.tend()
        _give_back(self.scheduler.services, dead, "its worker died")
        self.scheduler.try_round()


@contextmanager
def machinery(settings: Settings, services: Services, orgs: list[OrgPolicy], workers: int) -> Iterator[Machinery]:
    """An embedded Redis where none is configured, and `workers` worker processes, for as long as the block lasts.

    SIGTERM, with which CI systems cancel a job, is then a KeyboardInterrupt too.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    again = partial(revive, settings.home, settings.redis_url)
    with redis_server(settings.home, settings.redis_url) as url:
        scheduler = Scheduler(services, JobQueue(connect_briefly(url)), orgs, again, workers=workers or None)
        chores = [*telling(services, orgs), *following(services, orgs)]
        with WorkerPool(workers, log=settings.home / "workers.log") as pool, beside(threading.Event(), chores):
            try:
                yield Machinery(scheduler, pool)
            finally:
                pids = pool.pids
                pool.stop(0)
                _give_back(services, pids, "the worker was stopped", counts=False)


def follow(services: Services, campaign_id: str, machine: Machinery, progress: Progress, *, actor: str) -> str:
    """Work until every run has ended, or nothing more can begin; return why it stopped early, or "".

    On Ctrl-C the campaign is held and KeyboardInterrupt goes on: the next start of the policy takes it up again.
    """
    last_entry = 0
    try:
        while True:
            machine.round()
            last_entry = _show_news(services, campaign_id, progress, last_entry)
            with services.database.reading() as tx:
                state = campaigns.get(tx, campaign_id).state
            if state in campaigns.ENDED:
                return ""
            if state not in (CampaignState.RUNNING, CampaignState.HALTED):
                return f"the campaign was {state} elsewhere"
            waiting = _why_nothing_begins(services, campaign_id)
            if waiting:
                return waiting
            services.clock.sleep(ROUND_SECONDS)
    except KeyboardInterrupt:
        hold(services, campaign_id, actor=actor)
        raise


def _show_news(services: Services, campaign_id: str, progress: Progress, last_entry: int) -> int:
    with services.database.reading() as tx:
        news = records.entries_of_campaign(tx, campaign_id, after=last_entry)
    for entry in news:
        progress.update(
            {"run": entry.run_id, "target": entry.target, "stage": entry.stage, "message": entry.message, **entry.data}
        )
    return news[-1].id if news else last_entry


def _why_nothing_begins(services: Services, campaign_id: str) -> str:
    """The ceiling, wave or window that holds back every run that is left, when it is only that."""
    now = services.clock.now()
    with services.database.reading() as tx:
        left = reports.unfinished(tx, campaign_id)
        if set(left) != {RunState.PENDING} or runs.count_busy(tx):
            return ""
        campaign = campaigns.get(tx, campaign_id)
        reason = why_stuck(tx, campaign, now)
        if not reason or (campaign.state is CampaignState.RUNNING and runs.any_admitted(tx, now)):
            return ""
    return f"{left[RunState.PENDING]} targets wait: {reason}"


def _give_back(services: Services, pids: list[int], reason: str, *, counts: bool = True) -> None:
    """Workers that have ended hold no run any more: what they had is another's to take at once."""
    if not pids:
        return
    with services.database.reading() as tx:
        held = [run for pid in pids for run in runs.held_by(tx, worker_name(pid))]
    for run in held:
        reclaim(services, run, reason, counts=counts)
    discard_leftovers(services)
