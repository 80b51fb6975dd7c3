"""What commands share: options, the console, and the policies on disk."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from typing import Any

import click
from rich.console import Console

from bot.campaigns import sources
from bot.config import read_policies as load
from bot.domain.redaction import escaped
from bot.policy_store import Chosen, named
from bot.services import Services

__all__ = ["Chosen", "actor", "as_json", "choose", "console", "load", "named", "print_json"]

as_json: Callable[..., Any] = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


def console() -> Console:
    return Console(highlight=False)


def print_json(value: object) -> None:
    click.echo(escaped(json.dumps(value, indent=2, ensure_ascii=False)))


def actor() -> str:
    """The person at the keyboard, as the operating system knows them."""
    return getpass.getuser()


def choose(services: Services, policy: str, org: str) -> Chosen:
    """The policy as it is now, also where it comes from the org's own repository. Raises UsageError or PolicyError."""
    catalogue = services.catalogue()
    on = catalogue.policies.orgs.get(org)
    if on is not None and on.policies_from is not None:
        sources.look(services, catalogue, on)
        catalogue = services.catalogue()
    return catalogue.choose(policy, org)
