"""setup gitlab: take a token for a group, and have the group tell of what happens in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.setting_up import SECRETS_AT_ONCE, instance_url, require_reachable
from bot.clock import SystemClock
from bot.config import Settings, prepare_home
from bot.errors import ConfigurationError, HostError, UsageError
from bot.hosts.gitlab_credentials import GITLAB, GitLabAccess, load, of_environment, save

if TYPE_CHECKING:
    from bot.hosts.gitlab_setup import Account
    from bot.hosts.gitlab_transport import Client  # python-gitlab takes its time: it is imported where it is used

Keep = Callable[[GitLabAccess], None]
_File = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(
    epilog="""\b
Examples:
  whimbrel setup gitlab --group acme --public-url https://bot.example.com --token-file token.txt
  whimbrel setup gitlab --group acme --public-url https://bot.example.com --token-file bot.txt --owner-token-file mine.txt
  whimbrel setup gitlab --group acme/platform --url https://gitlab.example.com --webhook-url https://smee.io/abc
  whimbrel setup gitlab --group acme --rotate-secret"""
)
@click.option("--group", required=True, help="The group, such as acme, or acme/platform.")
@click.option("--url", default=GITLAB, show_default=True, help="The GitLab instance.")
@click.option("--public-url", default="", help="Where `whimbrel web` is reached by GitLab.")
@click.option("--webhook-url", default="", help="Where GitLab is to send webhooks, where that is another address.")
@click.option("--token-file", type=_File, help="The access token. Or WHIMBREL_GITLAB_TOKEN.")
@click.option("--owner-token-file", type=_File, help="Another one, for the webhooks alone; it is not kept.")
@click.option("--print-env", is_flag=True, help="Print it all as environment lines, for a secret store; keep nothing.")
@click.option("--rotate-secret", is_flag=True, help="Give the webhooks a new secret; the old one still counts.")
def gitlab(
    group: str,
    url: str,
    public_url: str,
    webhook_url: str,
    token_file: Path | None,
    owner_token_file: Path | None,
    print_env: bool,
    rotate_secret: bool,
) -> None:
    """Take an access token for a group, and make the webhooks that it needs, or mend them."""
    _require_one_way(public_url, webhook_url, token_file, print_env, rotate_secret)
    home, url, group = Settings.from_environment().home, instance_url(url), group.strip("/")
    owner = _read(owner_token_file) if owner_token_file else ""
    prepare_home(home)
    if rotate_secret:
        _rotate(home, url, group, owner)
        return
    kept = _kept(home, url, group)
    access = replace(kept or GitLabAccess(""), token=_token(url, group, token_file, kept), group=group)
    if public_url or webhook_url:
        access = replace(access, webhook_url=webhook_url or f"{public_url.rstrip('/')}/webhooks/gitlab")
    _set_up(home, url, access, owner, print_env, old_webhook_url=kept.webhook_url if kept else "")


def _kept(home: Path, url: str, group: str) -> GitLabAccess | None:
    """What an earlier setup of this very group has left; the one of a group above it is another's."""
    found = load(home, url, group, {})
    return found if found and found.group.casefold() == group.casefold() else None


def _require_one_way(public_url: str, webhook_url: str, token_file: Path | None, print_env: bool, rotate_secret: bool) -> None:
    """Raises UsageError for options that do not go together."""
    if public_url and webhook_url:
        raise UsageError("these do not go together", mend="--public-url or --webhook-url")
    if rotate_secret and (public_url or webhook_url or token_file or print_env):
        raise UsageError("--rotate-secret goes with --group and --url alone")
    require_reachable("GitLab", public_url, webhook_url)


def _token(url: str, group: str, file: Path | None, kept: GitLabAccess | None) -> str:
    """Of the file, the environment, or the home, in that order. Raises UsageError where there is none."""
    if file is not None:
        return _read(file)
    given = of_environment(url, os.environ) or kept
    if given is None:
        mend = f"make one with the role Owner and the scope api, at {url}/groups/{group}/-/settings/access_tokens"
        raise UsageError("there is no access token: --token-file or WHIMBREL_GITLAB_TOKEN gives one", mend=mend)
    return given.token


def _read(file: Path) -> str:
    token = file.read_text().strip()
    if not token:
        raise UsageError(f"{file} is empty")
    return token


def _set_up(home: Path, url: str, access: GitLabAccess, owner: str, print_env: bool, old_webhook_url: str) -> None:
    from bot.hosts.gitlab_setup import full_path
    from bot.hosts.gitlab_transport import Client

    client = Client(url, access.token)
    who = _checked(client, access.group)
    access = replace(access, group=full_path(client, access.group))
    keep: Keep = (lambda _: None) if print_env else lambda known: save(home, url, known)
    if access.webhook_url:
        access = _with_hooks(Client(url, owner or access.token), access, keep, old_webhook_url)
    keep(access)
    if print_env:
        click.echo(environment_lines(url, access))
    _say_farewell(url, access, who)


def _checked(client: Client, group: str) -> Account:
    """Whose the token is, once it is good for the group. Raises HostError, with the mend."""
    from bot.hosts.gitlab_setup import DEVELOPER, account, full_path, role, role_name

    who = account(client, SystemClock().now())
    if lacking := who.missing():
        raise HostError(f"the token lacks the scope {', '.join(lacking)}", mend="make another one that has it")
    full_path(client, group)
    level = role(client, group, who)
    if level < DEVELOPER:
        raise HostError(
            f"{who.login}, whose token it is, is {role_name(level)} in {group}",
            mend="it has to be Developer to propose changes, Owner to keep the group's webhook",
        )
    return who


def _with_hooks(client: Client, access: GitLabAccess, keep: Keep, old_webhook_url: str) -> GitLabAccess:
    """Each secret is known here before GitLab uses it: no delivery is refused in between."""
    from bot.hosts.gitlab_hooks import GroupHooks, is_unsigned, new_secret
    from bot.hosts.gitlab_setup import version

    hooks, fresh = GroupHooks(client, access.group, access.webhook_url, old_webhook_url), not access.webhook_secrets
    if fresh:
        access = replace(access, webhook_secrets=(new_secret(version(client)),))
    while True:
        keep(access)
        changes = list(hooks.keep(access.webhook_secrets[0], anew=fresh))
        for change in changes:
            click.echo(f"the webhook of {change.where} is {change.what}: {change.why}", err=True)
        if changes and all(change.what == "refused" for change in changes):
            raise HostError("no webhook could be made", mend="the reasons are above; then run this command again")
        if not is_unsigned(access.webhook_secrets[0], hooks):
            return access
        # The server is new enough, and yet has signing switched off.
        access, fresh = replace(access, webhook_secrets=(new_secret((0, 0)), *access.webhook_secrets)), True


def _rotate(home: Path, url: str, group: str, owner: str) -> None:
    from bot.hosts.gitlab_hooks import GroupHooks, new_secret
    from bot.hosts.gitlab_setup import version
    from bot.hosts.gitlab_transport import Client

    access = _kept(home, url, group)
    if access is None or not access.webhook_url:
        raise ConfigurationError(
            f"no webhook for {group} on {url} is kept in {home}", mend=f"whimbrel setup gitlab --group {group} --public-url URL"
        )
    if load(home, url, group, os.environ) != access:
        mend = "put a new secret before the old one in WHIMBREL_GITLAB_WEBHOOK_SECRET, by a comma, then into the webhook"
        raise ConfigurationError("the token that is used comes from the environment", mend=mend)
    client = Client(url, owner or access.token)
    access = replace(access, webhook_secrets=(new_secret(version(client)), *access.webhook_secrets))
    save(home, url, access)
    changed = list(GroupHooks(client, access.group, access.webhook_url).keep(access.webhook_secrets[0], anew=True))
    save(home, url, replace(access, webhook_secrets=access.webhook_secrets[:SECRETS_AT_ONCE]))
    click.echo(
        f"GitLab has a new secret for {len(changed)} webhook{'' if len(changed) == 1 else 's'}. "
        "What comes with the one before it is taken until the next rotation."
    )


def environment_lines(url: str, access: GitLabAccess) -> str:
    """As `load` finds it in the environment; what is not known is left out."""
    lines = {
        "WHIMBREL_GITLAB_URL": url,
        "WHIMBREL_GITLAB_TOKEN": access.token,
        "WHIMBREL_GITLAB_WEBHOOK_SECRET": ",".join(access.webhook_secrets),
        "WHIMBREL_GITLAB_WEBHOOK_URL": access.webhook_url,
    }
    return "\n".join(f"{name}={value}" for name, value in lines.items() if value)


def _say_farewell(url: str, access: GitLabAccess, who: Account) -> None:
    host = "gitlab" if url == GITLAB else f"gitlab:{url}"
    click.echo(f"{access.group} is set up, by the token {who.token} of {who.login}{_until(who.expires_at)}.", err=True)
    click.echo(f"Its policy in policies/orgs/ says `org: {access.group}` and `host: {host}`.", err=True)
    if not access.webhook_url:
        click.echo("It has no webhook: labels and comments start nothing until --public-url makes one.", err=True)
    click.echo("Then `whimbrel doctor` checks that nothing is missing.", err=True)


def _until(ends: datetime | None) -> str:
    return "" if ends is None else f", which ends on {ends:%Y-%m-%d}"
