"""estimate: what a policy may cost on an org, before anything is begun."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from bot.campaigns.estimating import estimate_plan
from bot.cli import tables
from bot.cli.campaigns import make_visibly, org_option
from bot.cli.common import as_json, choose, console, print_json
from bot.config import Settings, assemble, counting
from bot.domain.estimates import Estimate
from bot.gateway.prices import load_prices
from bot.store.campaigns import Plan


@click.command(
    epilog="""\b
Examples:
  whimbrel estimate migrate-to-pyproject --org acme
  whimbrel estimate migrate-to-pyproject --org acme --repo 'web-*' --json | jq -r .usd_p90

From what earlier runs of the policy have cost on the org. Where there were none, from the first prompts of some targets, whose
tokens the API counts free of charge. Where it cannot be asked, from the policy's budget."""
)
@click.argument("policy")
@org_option
@click.option("--repo", "repos", multiple=True, metavar="GLOB", help="Only these repositories; may be repeated.")
@as_json
def estimate(policy: str, org: str, repos: tuple[str, ...], as_json: bool) -> None:
    """What POLICY may cost on an org."""
    settings = Settings.from_environment()
    prices = load_prices(settings.prices)
    with assemble(settings) as services:
        chosen = choose(services, policy, org)
        made = make_visibly(services, chosen, repos)
        found = estimate_plan(services, chosen.org, chosen.policy, made, prices, partial(counting, settings, chosen.org))
    if as_json:
        print_json(estimate_json(made, found))
    else:
        console().print(tables.estimate_panel(estimate_json(made, found)))


def estimate_json(plan: Plan, found: Estimate) -> dict[str, Any]:
    targets = len(plan.targets)
    return {
        "policy": plan.policy,
        "org": plan.org,
        "plan": plan.id,
        "targets": targets,
        "skipped": len(plan.entries) - targets,
        **found.to_json(),
    }
