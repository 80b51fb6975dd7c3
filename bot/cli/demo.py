"""demo: the whole bot at work on an organization that it builds on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import click

from bot.cli import tables
from bot.cli.campaigns import run_campaign
from bot.cli.common import choose, console
from bot.cli.setup import write_starters
from bot.config import Settings, assemble
from bot.demo.compliance import comply
from bot.demo.organization import build_organization
from bot.demo.scripted_model import ScriptedModel
from bot.errors import ConfigurationError
from bot.services import Services
from bot.store import reports

FOLDER = Path("demo")
ORG = "acme"
CAMPAIGNS = ("standardize", "migrate-to-pyproject")
LIVE_CAP = Decimal(2)


@click.command()
@click.option("--live", is_flag=True, help=f"Ask the real API (ANTHROPIC_API_KEY), for at most ${LIVE_CAP}.")
def demo(live: bool) -> int:
    """Build an organization of 12 repositories under ./demo/ and migrate it.

    Everything is real but the host (a folder of bare repositories) and, without --live, the model: a scripted one of
    ours, which reads the conversation and uses the same tools.
    """
    out = console()
    write_starters(FOLDER)
    with _model(live) as said:
        settings = Settings.from_environment()
        out.print(said)
        out.print(f"Building the organization [bold]{ORG}[/] under {FOLDER}/host/ ...")
        build_organization(FOLDER / "host", ORG, comply=comply(settings))
        with assemble(settings) as services:
            statuses = [_campaign(settings, services, name, live) for name in CAMPAIGNS]
            _look_further(services)
    return max(statuses)


def _campaign(settings: Settings, services: Services, name: str, live: bool) -> int:
    console().rule(f"[bold]{name}")
    chosen = choose(services, name, ORG)
    return run_campaign(settings, services, chosen, max_usd=LIVE_CAP if live and chosen.policy.uses_model else None)


@contextmanager
def _model(live: bool) -> Iterator[str]:
    """Point this process, and the workers it starts, at the demo's state and at the model."""
    os.environ["WHIMBREL_HOME"] = str(FOLDER / ".whimbrel")
    os.environ["WHIMBREL_POLICIES"] = str(FOLDER / "policies")
    os.environ["WHIMBREL_TEMPLATES"] = str(FOLDER / "templates")
    if live:
        if not os.environ.get("ANTHROPIC_API_KEY"):
            raise ConfigurationError("--live asks the real API, and there is no key for it", mend="set ANTHROPIC_API_KEY")
        yield f"The model is the [bold]real API[/]: at most ${LIVE_CAP} will be spent."
        return
    with ScriptedModel() as model:
        os.environ["ANTHROPIC_BASE_URL"] = model.base_url
        os.environ["ANTHROPIC_API_KEY"] = "scripted-model"
        yield (
            "The model is [bold]scripted[/]: an API of ours on this machine that plays real tool use from what it reads in "
            "the conversation. Nothing is spent; the costs are what the real prices would make of its tokens. --live asks "
            "the real one."
        )


def _look_further(services: Services) -> None:
    out = console()
    out.rule("[bold]afterwards")
    with services.database.reading() as tx:
        out.print(tables.quota_table(reports.quotas(tx)))
    out.print("Where to look next:")
    out.print(f"  [bold]export WHIMBREL_HOME={FOLDER}/.whimbrel WHIMBREL_POLICIES={FOLDER}/policies[/]")
    for command, what in (
        ("whimbrel status", "the campaigns"),
        ("whimbrel show RUN", "one run's timeline, diff, checks, cost (RUN is in the tables above)"),
        (f"whimbrel host pr list --org {ORG}", "the pull requests; `show`, `comment`, `merge`, `close` work on them"),
        ("whimbrel audit verify", "the audit trail's hash chain"),
        ("make demo", "once more: nothing is doubled"),
    ):
        out.print(f"  [bold]{command}[/]  {what}")
