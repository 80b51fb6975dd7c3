"""The command line. Commands are imported when they are called, so that `whimbrel --help` starts at once.

Exit status: 0 no run failed; 1 some failed; 2 bad usage, policy or set-up; 3 refused by a quota; 130 interrupted.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from bot import __version__
from bot.domain.redaction import visible
from bot.errors import ConfigurationError, NotFound, QuotaRefused, StoreError, UsageError, WhimbrelError

COMMANDS = {
    "demo": ("bot.cli.demo:demo", "Build an organization of 12 repositories here, and migrate it."),
    "init": ("bot.cli.setup:init", "Write policies/ and templates/ to start from."),
    "setup": ("bot.cli.setup_hosts:setup", "Connect an organization of a host."),
    "doctor": ("bot.cli.setup:doctor", "Check what this machine needs, and name the mend."),
    "plan": ("bot.cli.campaigns:plan", "What a policy would do, to which repositories, at what cost."),
    "estimate": ("bot.cli.estimate:estimate", "What a policy may cost: by its history, by its prompts, by its budget."),
    "preview": ("bot.cli.campaigns:preview", "Attempt a policy on one repository; publish nothing."),
    "run": ("bot.cli.campaigns:run", "Run a policy on an org, and wait until all have ended."),
    "exec": ("bot.cli.exec:exec_", "One headless run on a folder: its change as a diff, or written."),
    "schedule": ("bot.cli.schedule:schedule", "What starts by itself: when next, and what came of it last."),
    "status": ("bot.cli.reports:status", "One campaign, or all of them."),
    "runs": ("bot.cli.reports:runs", "Every run of a campaign."),
    "show": ("bot.cli.reports:show", "One run: timeline, diff, checks, transcript, cost."),
    "prs": ("bot.cli.pull_requests:prs", "The pull requests of a campaign: list, merge, close, comment, rebase."),
    "adopt": ("bot.cli.pull_requests:adopt", "Follow pull requests that others have opened for a policy."),
    "report": ("bot.cli.report:report", "The reports of a campaign that makes some: one document, or a folder."),
    "quota": ("bot.cli.reports:quota", "What each org may spend in a month, and has spent."),
    "pause": ("bot.cli.control:pause", "Begin nothing more of a campaign."),
    "resume": ("bot.cli.control:resume", "Let a paused campaign go on."),
    "approve": ("bot.cli.control:approve", "Begin the next wave of a campaign."),
    "cancel": ("bot.cli.control:cancel", "End a campaign."),
    "retry": ("bot.cli.control:retry", "Attempt ended runs once more."),
    "audit": ("bot.cli.audit:audit", "Verify or export the audit trail."),
    "host": ("bot.cli.host:host", "The pull requests of a local host."),
    "worker": ("bot.cli.processes:worker", "Attempt what is in the queue, until SIGTERM."),
    "scheduler": ("bot.cli.processes:scheduler", "Start and dispatch what is due, take back what was lost."),
    "web": ("bot.cli.web:web", "Receive webhooks, and set the bot up on a host."),
    "schema": ("bot.cli.schema:schema", "JSON Schema of the policy files, for editors."),
    "db": ("bot.cli.setup:db", "Upgrade the database."),
}
"""Where each command is, and what it does: the overview is printed without importing any of them."""


class LazyGroup(click.Group):
    """Knows its commands by name; imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


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
        click.echo(visible(f"whimbrel: {error}"), err=True)
        if error.mend:
            click.echo(visible(f"  mend: {error.mend}"), err=True)
        sys.exit(exit_status(error))
    sys.exit(status if isinstance(status, int) else 0)
