"""schedule: what starts by itself, when next, and what came of it last."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from bot.campaigns.scheduling import Outlook, outlook
from bot.cli import tables
from bot.cli.common import as_json, console, named, print_json
from bot.config import Settings, assemble
from bot.store import policy_sources


@click.command(
    epilog="""\b
Examples:
  whimbrel schedule
  whimbrel schedule --org acme --json | jq '.[] | {policy, next}'"""
)
@click.option("--org", help="Only this org policy, by its name.")
@as_json
def schedule(org: str | None, as_json: bool) -> None:
    """What starts by itself: each policy with a schedule or an event, its next slot, and what came of the last one."""
    with assemble(Settings.from_environment()) as services:
        catalogue = services.catalogue()
        orgs = catalogue.policies.orgs
        wanted = list(orgs.values()) if org is None else [named(orgs, org, "org policy", "policies/orgs")]
        found = [_json(each) for each in outlook(services, catalogue, wanted)]
        with services.database.reading() as tx:
            sources = [source for each in wanted if (source := policy_sources.find(tx, each))]
    if as_json:
        print_json(found)
        return
    if found:
        console().print(tables.schedule_table(found))
    for source in sources:
        console().print(tables.source_line(source.name if source.commit else "nothing", source.seen, source.problem))
    if not (found or sources):
        click.echo("no policy starts by itself: `on: {schedule: ...}` in policies/campaigns/NAME.yaml has it do so")


def _json(each: Outlook) -> dict[str, Any]:
    """Instants are in the org's time zone, as the schedule is."""
    zone, on, last = ZoneInfo(each.org.timezone), each.policy.on, each.last
    return {
        "org": each.org.org,
        "policy": each.policy.name,
        "schedule": on.schedule,
        "timezone": each.org.timezone,
        "repository_created": on.repository_created,
        "template_changed": on.template_changed,
        "next": _told(each.next, zone),
        "next_at": _told(each.next_at, zone),
        "last": last
        and {
            "cause": last.cause,
            "slot": _told(last.slot, zone),
            "state": last.state,
            "reason": last.reason,
            "campaign": last.campaign_id,
            "at": _told(last.at, zone),
        },
    }


def _told(instant: datetime | None, zone: ZoneInfo) -> str | None:
    return None if instant is None else instant.astimezone(zone).isoformat(timespec="seconds")
