"""What commands share: options, the console, and the policies on disk."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from typing import Any

import click
from rich.console import Console

from bot.config import Settings, read_catalogue
from bot.config import read_policies as load
from bot.domain.redaction import escaped
from bot.policy_store import Chosen, named

__all__ = ["Chosen", "actor", "as_json", "choose", "console", "load", "named", "print_json"]

as_json: Callable[..., Any] = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


def console() -> Console:
    return Console(highlight=False)


def print_json(value: object) -> None:
    click.echo(escaped(json.dumps(value, indent=2, ensure_ascii=False)))


def actor() -> str:
    """The person at the keyboard, as the operating system knows them."""
    return getpass.getuser()


def choose(settings: Settings, policy: str, org: str) -> Chosen:
    """Raises UsageError or PolicyError."""
    return read_catalogue(settings).choose(policy, org)
