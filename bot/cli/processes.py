"""worker, scheduler: the processes of a Procfile."""

from __future__ import annotations

from functools import partial

import click

from bot.cli.common import load
from bot.config import Settings, assemble, hosting
from bot.hosting import github_deliveries, github_instances


@click.command(
    epilog="""\b
Example:
  whimbrel worker -n 4"""
)
@click.option("-n", "count", default=1, show_default=True, type=click.IntRange(1, 256), help="How many processes.")
def worker(count: int) -> None:
    """Take jobs from the queue and attempt them, until SIGTERM; it then finishes what it has begun."""
    from bot.queue.pool import run_workers

    settings = Settings.from_environment()
    with assemble(settings):
        pass  # the database is made and current before the first worker asks for it
    run_workers(count)


@click.command()
def scheduler() -> None:
    """Start what is due, dispatch it, take back what was lost, follow pull requests, handle webhooks; until SIGTERM.

    Several may run.
    """
    from bot.queue.connection import connect_briefly
    from bot.queue.jobs import JobQueue
    from bot.queue.server import redis_server, revive
    from bot.scheduler import Scheduler, beside, following, starting, stop_on_signals, telling, upkeep, webhook_chores

    settings = Settings.from_environment()
    stop = stop_on_signals()
    with assemble(settings) as services, redis_server(settings.home, settings.redis_url) as url:
        orgs = list(load(settings).orgs.values())
        again = partial(revive, settings.home, settings.redis_url)
        hosts = hosting(settings, services.database, services.clock)
        on_gitlab = [org for org in orgs if org.host_kind == "gitlab"]
        deliverers = [
            *(partial(github_deliveries, settings.home, url) for url in github_instances(orgs)),
            *(partial(hosts.gitlab_deliveries, org) for org in on_gitlab),
        ]
        chores = [
            *telling(services, orgs),
            *following(services, orgs),
            *starting(services),
            *webhook_chores(services, deliverers),
            *upkeep(services, [partial(hosts.gitlab_keeper, org) for org in on_gitlab]),
        ]
        with beside(stop, chores):
            Scheduler(services, JobQueue(connect_briefly(url)), orgs, again).forever(stop)
