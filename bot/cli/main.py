"""The command line. Commands are imported when they are called, so that `whimbrel --help` starts at once.

Exit status: 0 no run failed; 1 some failed; 2 bad usage, policy or set-up; 3 refused by a quota; 130 interrupted.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from bot import __version__
from bot.errors import ConfigurationError, NotFound, QuotaRefused, StoreError, UsageError, WhimbrelError

COMMANDS = {
    "demo": "bot.cli.demo:demo",
    "init": "bot.cli.setup:init",
    "doctor": "bot.cli.setup:doctor",
    "plan": "bot.cli.campaigns:plan",
    "preview": "bot.cli.campaigns:preview",
    "run": "bot.cli.campaigns:run",
    "status": "bot.cli.reports:status",
    "runs": "bot.cli.reports:runs",
    "show": "bot.cli.reports:show",
    "quota": "bot.cli.reports:quota",
    "audit": "bot.cli.audit:audit",
    "host": "bot.cli.host:host",
    "worker": "bot.cli.processes:worker",
    "scheduler": "bot.cli.processes:scheduler",
    "db": "bot.cli.setup:db",
}


class LazyGroup(click.Group):
    """Knows its commands by name; imports one only to run it, or to say what it does."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="whimbrel")
def cli() -> None:
    """Migrate every repository of an organization: one policy, reviewable pull requests, a budget that holds.

    \b
    whimbrel demo                                    see it work, on this machine alone
    whimbrel init                                    policies/ and templates/ to start from
    whimbrel plan standardize --org acme             what would be done, and what it may cost
    whimbrel preview standardize --org acme --repo x one repository's diff, nothing published
    whimbrel run standardize --org acme              do it
    """


def exit_status(error: WhimbrelError) -> int:
    match error:
        case QuotaRefused():
            return 3
        case UsageError() | ConfigurationError() | StoreError() | NotFound():
            return 2
        case _:
            return 1


def main(arguments: list[str] | None = None) -> None:
    """The `whimbrel` command."""
    try:
        status: Any = cli.main(args=arguments, prog_name="whimbrel", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except WhimbrelError as error:
        click.echo(f"whimbrel: {error}", err=True)
        if error.mend:
            click.echo(f"  mend: {error.mend}", err=True)
        sys.exit(exit_status(error))
    sys.exit(status if isinstance(status, int) else 0)
