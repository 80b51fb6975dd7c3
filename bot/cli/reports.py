"""status, runs, show, quota."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from sqlalchemy import Connection

from bot.cli import tables
from bot.cli.common import as_json, console, load, print_json
from bot.clock import SystemClock
from bot.config import Settings, assemble, breaker_status
from bot.domain.money import decimal_usd, month_of
from bot.domain.org_policies import OrgPolicy
from bot.domain.redaction import escaped
from bot.errors import NotFound
from bot.services import Services
from bot.store import campaigns, deliveries, ledger, opt_outs, records, reports
from bot.store import runs as store_runs
from bot.store.campaigns import Campaign
from bot.store.opt_outs import OptOut
from bot.tracking.waiting import describe, why_waiting


@click.command(
    epilog="""\b
Examples:
  whimbrel status
  whimbrel status c0ffee1234 --json | jq .outcomes"""
)
@click.argument("campaign", required=False)
@as_json
def status(campaign: str | None, as_json: bool) -> None:
    """One CAMPAIGN, or all of them, the newest first."""
    settings = Settings.from_environment()
    with assemble(settings) as services, services.database.reading() as tx:
        wanted = campaigns.recent(tx) if campaign is None else [campaigns.get(tx, campaign)]
        found = campaign_statuses(settings, tx, wanted)
        delivered = deliveries.counts(tx)
    if as_json:
        print_json(found if campaign is None else found[0])
    elif campaign is None:
        console().print(tables.campaigns_table(found))
        for org, breaker in sorted({each["org"]: each["breaker"] for each in found}.items()):
            console().print(tables.breaker_line(org, breaker))
        for org, left_alone in sorted({each["org"]: each["left_alone"] for each in found}.items()):
            if left_alone:
                console().print(tables.left_alone_line(org, left_alone))
        if delivered:
            console().print(tables.deliveries_line(delivered))
    else:
        console().print(tables.status_panel(found[0]))
        if found[0]["waves"]:
            console().print(tables.waves_table(found[0]["waves"]))


@click.command(
    epilog="""\b
Example:
  whimbrel runs c0ffee1234 --json | jq '.[] | select(.outcome == "failed")'"""
)
@click.argument("campaign")
@as_json
def runs(campaign: str, as_json: bool) -> None:
    """Every run of a CAMPAIGN: outcome and reason, pull request, cost, time."""
    with assemble(Settings.from_environment()) as services, services.database.reading() as tx:
        campaigns.get(tx, campaign)
        found = reports.campaign_runs(tx, campaign)
    if as_json:
        print_json(found)
    else:
        console().print(tables.runs_table(found))


@click.command(
    epilog="""\b
Examples:
  whimbrel show c0ffee1234-3
  whimbrel show c0ffee1234-3 --transcript"""
)
@click.argument("run")
@click.option("--transcript", is_flag=True, help="Print the transcript of the agent's session, one JSON object a line.")
@as_json
def show(run: str, transcript: bool, as_json: bool) -> None:
    """One RUN: its timeline, diff, checks, transcript and cost."""
    with assemble(Settings.from_environment()) as services:
        found = details(services, run)
    if transcript:
        lines = found["artifacts"].get("transcript", ["there is no transcript: no agent was asked\n"])
        click.echo(escaped("".join(lines)), nl=False)
    elif as_json:
        print_json(found)
    else:
        tables.print_run(console(), found)


@click.command()
@click.argument("org", required=False)
@as_json
def quota(org: str | None, as_json: bool) -> None:
    """What each ORG may spend in a month, has spent, and holds reserved."""
    settings = Settings.from_environment()
    with assemble(settings) as services:
        with services.database.reading() as tx:
            found = reports.quotas(tx, org)
        policies = load(settings).orgs.values() if settings.policies.is_dir() else ()
        alerts = quota_alerts(services, [policy for policy in policies if org in (None, policy.org)])
    if as_json:
        print_json(found)
        return
    console().print(tables.quota_table(found))
    for alert in alerts:
        console().print(f"[yellow]{escape(alert)}[/]")


def campaign_statuses(settings: Settings, tx: Connection, wanted: Iterable[Campaign]) -> list[dict[str, Any]]:
    """The contract of `status --json`: each campaign, its waves, why nothing of it begins, how its org's breaker stands, and
    which of the org's repositories people have the bot leave alone."""
    now = SystemClock().now()
    statuses = [
        reports.campaign_status(tx, each) | {"waves": describe(tx, each, now), "waiting": why_waiting(tx, each, now)}
        for each in wanted
    ]
    breakers = {org: breaker_status(settings, org) for org in {status["org"] for status in statuses}}
    left_alone = {org: [_opt_out(each) for each in opt_outs.of_org(tx, org).values()] for org in breakers}
    return [status | {"breaker": breakers[status["org"]], "left_alone": left_alone[status["org"]]} for status in statuses]


def _opt_out(opt_out: OptOut) -> dict[str, str]:
    where = {"repository": opt_out.repository, "actor": opt_out.actor, "place": opt_out.place}
    return where | {"at": opt_out.at.isoformat()}


def quota_alerts(services: Services, orgs: Sequence[OrgPolicy]) -> list[str]:
    """A sentence for each org that has used `alert_at` of this month's allowance."""
    alerts = []
    with services.database.reading() as tx:
        for org in orgs:
            account = ledger.account(tx, "org", org.org, month_of(services.clock.now(), org.timezone))
            if account is not None and (alert := account.alert(org.quota.alert_at)):
                alerts.append(alert)
    return alerts


def details(services: Services, run_id: str) -> dict[str, Any]:
    """Everything that is known of a run, JSON-ready; artifacts by kind, each a list of texts. Raises NotFound."""
    with services.database.reading() as tx:
        row = reports.run(tx, run_id)
        if row is None:
            store_runs.get(tx, run_id)
            raise NotFound(f"there is no run {run_id}")
        campaign = campaigns.get(tx, store_runs.get(tx, run_id).campaign_id)
        timeline = records.entries_of_run(tx, run_id)
        attempts = records.attempts_of(tx, run_id)
        artifacts = records.artifacts_of(tx, run_id)
        requests = reports.requests_of_run(tx, run_id)
        followed = reports.pull_request_timeline(tx, run_id)
    texts: dict[str, list[str]] = {}
    for artifact in artifacts:
        texts.setdefault(artifact.kind, []).append(_read(services.artifacts / artifact.file))
    return {
        "run": row,
        "campaign": {"id": campaign.id, "revision": campaign.revision, "source": campaign.source},
        "timeline": [
            {"at": e.at.isoformat(), "attempt": e.fence, "stage": e.stage, "message": e.message, **e.data} for e in timeline
        ],
        "pull_request_timeline": followed,
        "attempts": [
            {
                "attempt": a.fence,
                "worker": a.worker,
                "base": a.base_head,
                "commit": a.commit,
                "verdict": a.verdict,
                "outcome": a.outcome,
                "reason": a.reason,
                "started_at": a.started_at.isoformat(),
                "ended_at": a.ended_at.isoformat() if a.ended_at else None,
            }
            for a in attempts
        ],
        "requests": [
            {
                "model": r.model,
                "tokens": r.tokens,
                "cost_usd": decimal_usd(r.cost),
                "estimated": r.estimated,
                "latency_ms": r.latency_ms,
            }
            for r in requests
        ],
        "artifacts": texts,
    }


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except FileNotFoundError:
        return f"{file} is gone\n"
