"""What commands share: options, the console, and the policies on disk."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
from rich.console import Console

from bot.config import Settings, packaged
from bot.domain.policies import CampaignPolicy, OrgPolicy
from bot.domain.policy_files import check_ceilings, revision
from bot.errors import UsageError
from bot.policy_store import Policies, load_policies, load_templates, nearest

T = TypeVar("T")

as_json: Callable[..., Any] = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


def console() -> Console:
    return Console(highlight=False)


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def actor() -> str:
    """The person at the keyboard, as the operating system knows them."""
    return getpass.getuser()


class Chosen:
    """A campaign policy on an org, with the templates and the revision that they make."""

    def __init__(self, settings: Settings, policy: str, org: str):
        policies = load(settings)
        self.org: OrgPolicy = named(policies.orgs, org, "org policy", "policies/orgs")
        self.policy: CampaignPolicy = named(policies.campaigns, policy, "campaign policy", "policies/campaigns")
        check_ceilings(self.org, self.policy)
        self.templates = load_templates([packaged("templates"), settings.templates])
        self.revision = revision(self.policy, {name: text.encode() for name, text in self.templates.items()})


def load(settings: Settings) -> Policies:
    """Raises PolicyError for the first broken file, UsageError where there are none."""
    if not settings.policies.is_dir():
        raise UsageError(f"there is no folder {settings.policies}", mend="whimbrel init writes one to start from")
    return load_policies(settings.policies)


def named(known: Mapping[str, T], name: str, kind: str, place: str) -> T:
    """The policy of that name. Raises UsageError, with the nearest one."""
    if name in known:
        return known[name]
    hint = nearest(name, known)
    raise UsageError(f"there is no {kind} {name!r} in {place}/", mend=f"did you mean {hint}?" if hint else "")
