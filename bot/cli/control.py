"""pause, resume, approve, cancel, retry."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import click
from redis import RedisError

from bot.campaigns import control
from bot.campaigns.refreshing import rebase_runs
from bot.cli.common import actor
from bot.config import Settings, assemble
from bot.errors import UsageError
from bot.store.runs import Dispatch


@click.command()
@click.argument("campaign")
def pause(campaign: str) -> None:
    """Begin nothing more of CAMPAIGN, and hand back what is under way."""
    settings = Settings.from_environment()
    with assemble(settings) as services:
        stopped = control.pause(services, campaign, actor=actor())
        _stop_jobs(settings, stopped)
    click.echo(f"{campaign} is paused, {len(stopped)} attempts were handed back: whimbrel resume {campaign} goes on")


@click.command()
@click.argument("campaign")
def resume(campaign: str) -> None:
    """Let a paused or interrupted CAMPAIGN go on, and a halted one past the gate that halted it."""
    with assemble(Settings.from_environment()) as services:
        control.resume(services, campaign, actor=actor())
    click.echo(f"{campaign} goes on: whimbrel scheduler and worker, or whimbrel run of its policy, do the work")


@click.command(
    epilog="""\b
Examples:
  whimbrel approve c0ffee1234
  whimbrel approve c0ffee1234 --wave 3"""
)
@click.argument("campaign")
@click.option("--wave", type=click.IntRange(min=1), help="This wave; nothing is done when it has begun already.")
def approve(campaign: str, wave: int | None) -> None:
    """Begin the next wave of CAMPAIGN now, whatever its gate says."""
    with assemble(Settings.from_environment()) as services:
        begun = control.approve(services, campaign, wave, actor=actor())
    click.echo(
        f"wave {begun} of {campaign} has begun: whimbrel scheduler and worker, or whimbrel run of its policy, do the work"
    )


@click.command()
@click.argument("campaign")
def cancel(campaign: str) -> None:
    """End CAMPAIGN: what has not ended is skipped, what is under way is stopped. Open pull requests stay."""
    settings = Settings.from_environment()
    with assemble(settings) as services:
        stopped = control.cancel(services, campaign, actor=actor())
        _stop_jobs(settings, stopped)
    click.echo(f"{campaign} is cancelled, {len(stopped)} attempts were stopped")


@click.command(
    epilog="""\b
Examples:
  whimbrel retry c0ffee1234-3
  whimbrel retry --failed c0ffee1234
  whimbrel retry --rebase c0ffee1234-3"""
)
@click.argument("names", metavar="RUN...|CAMPAIGN", nargs=-1, required=True)
@click.option("--failed", is_flag=True, help="Every failed run of the CAMPAIGN that is named.")
@click.option("--rebase", is_flag=True, help="Bring what the RUNs have published to their base as it is now.")
@click.option("--takeover", is_flag=True, help="As --rebase, on branches with people's commits too: their files give way.")
def retry(names: Sequence[str], failed: bool, rebase: bool, takeover: bool) -> None:
    """Attempt ended runs once more.

    With --rebase a model is asked again only where what it made does not apply to the base any more. With --takeover the
    commits that people have pushed stay in the branch's history, and what the policy makes of the base takes the place of
    their files.
    """
    if rebase or takeover:
        _rebase(names, failed, takeover)
        return
    campaigns = set(names) if failed else {name.rpartition("-")[0] for name in names}
    if len(campaigns) != 1 or "" in campaigns:
        raise UsageError("name runs of one campaign, or one campaign with --failed", mend="whimbrel runs CAMPAIGN lists them")
    campaign = campaigns.pop()
    with assemble(Settings.from_environment()) as services:
        again = control.retry(services, campaign, () if failed else names, actor=actor())
    click.echo(
        f"{again} runs of {campaign} will be attempted again: whimbrel scheduler and worker, or whimbrel run, do the work"
    )


def _rebase(names: Sequence[str], failed: bool, takeover: bool) -> None:
    if failed:
        raise UsageError("--failed names runs that have published nothing: there is nothing to rebase")
    with assemble(Settings.from_environment()) as services:
        again = rebase_runs(services, names, actor=actor(), taking_over=takeover)
    click.echo(f"{again} runs will be rebased: whimbrel scheduler and worker, or whimbrel run, do the work")


def _stop_jobs(settings: Settings, stopped: Sequence[Dispatch]) -> None:
    """Stop the processes at once. Without Redis they stop by themselves, when their lease finds that the run went on."""
    from bot.queue.connection import connect_briefly
    from bot.queue.jobs import JobQueue
    from bot.queue.server import redis_server

    if not stopped:
        return
    with redis_server(settings.home, settings.redis_url) as url, contextlib.suppress(RedisError):
        queue = JobQueue(connect_briefly(url))
        for item in stopped:
            queue.stop(item.run_id, item.fence)
