"""plan, preview, run."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from bot.campaigns.activation import activate, complete_finished
from bot.campaigns.authority import require_permission
from bot.campaigns.planning import Counts, make_plan
from bot.campaigns.refreshing import close_done
from bot.cli import tables
from bot.cli.common import Chosen, actor, as_json, choose, console, print_json
from bot.cli.foreground import follow, machinery
from bot.cli.reports import campaign_statuses, details, quota_alerts
from bot.config import Settings, assemble
from bot.domain.money import MicroUsd, micro_usd
from bot.domain.states import Outcome
from bot.errors import UsageError
from bot.pipeline.execution import execute_preview
from bot.ports import Progress
from bot.progress import JsonLinesProgress, RichProgress
from bot.services import Services
from bot.store import campaigns, ledger, reports
from bot.store.campaigns import Plan
from bot.tracking.telling import tell_due

anew_option = click.option("--anew", is_flag=True, help="Look again at what was rejected or is unchanged since the last time.")
org_option = click.option("--org", required=True, help="The org policy, by its name.")


@click.command(
    epilog="""\b
Examples:
  whimbrel plan standardize --org acme
  whimbrel plan standardize --org acme --json | jq '.targets[].repository'"""
)
@click.argument("policy")
@org_option
@click.option("--repo", "repos", multiple=True, metavar="GLOB", help="Only these repositories; may be repeated.")
@anew_option
@as_json
def plan(policy: str, org: str, repos: tuple[str, ...], anew: bool, as_json: bool) -> None:
    """What POLICY would do on an org: each target, each skip with its reason, and what it may cost."""
    settings = Settings.from_environment()
    with assemble(settings) as services:
        chosen = choose(services, policy, org)
        made = make_visibly(services, chosen, repos, earlier="published" if anew else "all")
    if as_json:
        print_json(plan_json(made))
    else:
        console().print(tables.plan_table(plan_json(made)))


@click.command(
    epilog="""\b
Example:
  whimbrel preview migrate-to-pyproject --org acme --repo billing"""
)
@click.argument("policy")
@org_option
@click.option("--repo", required=True, help="The repository to try it on.")
@as_json
def preview(policy: str, org: str, repo: str, as_json: bool) -> int:
    """Attempt POLICY on one repository and show its diff, checks and cost; nothing is published."""
    settings = Settings.from_environment()
    with assemble(settings) as services:
        chosen = choose(services, policy, org)
        made = make_visibly(services, chosen, (repo,), earlier="nothing")
        if not made.targets:
            raise UsageError(_why_no_target(made, repo))
        started = activate(services, made, chosen.policy, chosen.org, actor=actor(), preview=True)
        execute_preview(services, started.campaign_id, worker=f"preview-{os.getpid()}")
        complete_finished(services)
        found = details(services, f"{started.campaign_id}-1")
    if as_json:
        print_json(found)
    else:
        tables.print_run(console(), found)
    return 1 if found["run"]["outcome"] == Outcome.FAILED else 0


@click.command(
    epilog="""\b
Examples:
  whimbrel run standardize --org acme
  whimbrel run standardize --org acme --repo 'web-*' --max-usd 5
  whimbrel run standardize --org acme --detach      (whimbrel scheduler and worker do the work)

Interrupted with Ctrl-C, or stopped by a ceiling, the same command goes on where it was."""
)
@click.argument("policy")
@org_option
@click.option("--repo", "repos", multiple=True, metavar="GLOB", help="Only these repositories; may be repeated.")
@anew_option
@click.option("--detach", is_flag=True, help="Only start the campaign; scheduler and workers elsewhere do the work.")
@click.option("--max-usd", type=Decimal, help="Spend at most this on the campaign, below the policy's own budget.")
@click.option("--workers", default=2, show_default=True, help="How many worker processes to start for it.")
@as_json
def run(policy: str, org: str, as_json: bool, max_usd: Decimal | None, **options: Any) -> int:
    """Run POLICY on an org: change every target, prove it, open pull requests, and wait until all have ended."""
    settings = Settings.from_environment()
    _check_amount(max_usd)
    with assemble(settings) as services:
        chosen = choose(services, policy, org)
        return run_campaign(settings, services, chosen, max_usd=max_usd, as_json=as_json, **options)


def run_campaign(
    settings: Settings,
    services: Services,
    chosen: Chosen,
    repos: tuple[str, ...] = (),
    *,
    anew: bool = False,
    detach: bool = False,
    max_usd: Decimal | None = None,
    workers: int = 2,
    as_json: bool = False,
) -> int:
    """Plan, activate, follow, report; return the exit status."""
    require_permission(services.host(chosen.org), chosen.org, actor())
    made = make_visibly(services, chosen, repos, earlier="published" if anew else "all")
    started = activate(services, made, chosen.policy, chosen.org, actor=actor(), max_usd=max_usd, by_hand=bool(repos))
    waiting = ""
    if not detach:
        progress = JsonLinesProgress() if as_json else RichProgress(_cap(services, chosen, started.campaign_id))
        waiting = _work(settings, services, chosen, started.campaign_id, workers, progress)
        close_done(services, [chosen.org])
    with services.database.reading() as tx:
        (status,) = campaign_statuses(settings, tx, [campaigns.get(tx, started.campaign_id)])
        rows = reports.campaign_runs(tx, started.campaign_id)
    if as_json:
        print_json(status)
    elif detach:
        console().print(f"Campaign {status['id']} is started: [bold]whimbrel status {status['id']}[/] follows it.")
    else:
        _print_result(services, chosen, status, rows, waiting)
    return exit_status(status)


def exit_status(status: dict[str, Any]) -> int:
    """1 when a run failed, 3 when a budget stopped one, else 0."""
    if status["outcomes"].get(Outcome.FAILED):
        return 1
    return 3 if status["outcomes"].get(Outcome.BUDGET_EXHAUSTED) else 0


def plan_json(made: Plan) -> dict[str, Any]:
    return {
        "id": made.id,
        "org": made.org,
        "policy": made.policy,
        "revision": made.revision,
        "estimate": dict(made.estimate),
        "targets": [
            {"repository": e.target.repository, "base": e.target.base, "head": e.target.head, "path": e.target.path}
            for e in made.entries
            if e.skip_reason is None
        ],
        "skipped": [
            {"repository": e.target.repository, "reason": e.skip_reason} for e in made.entries if e.skip_reason is not None
        ],
    }


def _work(settings: Settings, services: Services, chosen: Chosen, campaign_id: str, workers: int, progress: Progress) -> str:
    """Start what it takes and follow the campaign; return why it stopped early, or ""."""
    with services.database.reading() as tx:
        left = sum(reports.unfinished(tx, campaign_id).values())
    if left == 0:
        complete_finished(services)
        return ""
    with machinery(settings, services, [chosen.org], workers) as machine:
        progress.start(f"{chosen.policy.name} on {chosen.org.org}", left)
        try:
            waiting = follow(services, campaign_id, machine, progress, actor=actor())
            if waiting:
                progress.update({"message": waiting})
            tell_due(services, [chosen.org])
            return waiting
        finally:
            progress.finish()


def make_visibly(services: Services, chosen: Chosen, repos: tuple[str, ...], *, earlier: Counts = "all") -> Plan:
    """Make the plan, and say on a terminal which repository is being looked at."""
    with Console(stderr=True).status(f"Looking through {chosen.org.org} ...") as looking:
        return make_plan(
            services,
            chosen.org,
            chosen.policy,
            chosen.templates,
            chosen.revision,
            only=repos,
            earlier=earlier,
            source=chosen.source,
            seen=lambda repository: looking.update(f"Looking through {escape(repository.full_name)} ..."),
        )


def _why_no_target(made: Plan, repo: str) -> str:
    for entry in made.entries:
        return f"{entry.target.repository} would be skipped: {entry.skip_reason}"
    return f"no repository of {made.org} is named {repo}"


def _check_amount(max_usd: Decimal | None) -> None:
    if max_usd is None:
        return
    try:
        micro_usd(max_usd)
    except ValueError as error:
        raise UsageError(f"--max-usd: {error}") from error


def _print_result(services: Services, chosen: Chosen, status: dict[str, Any], rows: list[dict[str, Any]], waiting: str) -> None:
    out = console()
    out.print(tables.runs_table(rows))
    out.print(tables.status_panel(status))
    if waiting:
        out.print(f"[yellow]{escape(waiting)}[/]. The same command goes on where this one stopped.")
    for warning in quota_alerts(services, [chosen.org]):
        out.print(f"[yellow]{escape(warning)}[/]")


def _cap(services: Services, chosen: Chosen, campaign_id: str) -> MicroUsd | None:
    """What the campaign may spend, where it spends at all."""
    with services.database.reading() as tx:
        account = ledger.account(tx, "campaign", campaign_id)
    return account.cap if account is not None and chosen.policy.uses_model else None
