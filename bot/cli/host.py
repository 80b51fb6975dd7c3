"""host pr ...: the pull requests of a local host, which has no pages of its own."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.markup import escape
from rich.table import Table

from bot.cli.common import actor, as_json, console, load, print_json
from bot.config import Settings, local_host
from bot.domain.policies import OrgPolicy
from bot.domain.pull_requests import PullRequest
from bot.domain.repositories import Repository
from bot.errors import UsageError
from bot.hosts.local import LocalHost

org_option = click.option("--org", required=True, help="The org policy, by its name.")


@click.group()
def host() -> None:
    """Work on a local host."""


@host.group()
def pr() -> None:
    """Its pull requests.

    \b
    whimbrel host pr list --org acme
    whimbrel host pr merge ledger-api 1 --org acme
    """


@pr.command("list")
@org_option
@click.option("--state", type=click.Choice(["open", "merged", "closed"]), help="Only those in this state.")
@as_json
def list_(org: str, state: str | None, as_json: bool) -> None:
    """Every pull request of an org."""
    found = [(repo, pull) for repo, pull in _host(org).list_pull_requests(org) if state is None or pull.state == state]
    if as_json:
        print_json([{"repository": repo, **_json(pull)} for repo, pull in found])
        return
    table = Table("repository", "#", "state", "title", "branch")
    for repo, pull in found:
        table.add_row(*map(escape, (repo, str(pull.number), pull.state.value, pull.text.title, pull.branch)))
    console().print(table)


@pr.command()
@click.argument("repository")
@click.argument("number", type=int)
@org_option
@as_json
def show(repository: str, number: int, org: str, as_json: bool) -> None:
    """One pull request, with its comments and reviews."""
    found = _host(org).pull_request(_repository(org, repository), number)
    if as_json:
        print_json(_json(found))
        return
    text = found.text
    click.echo(f"#{found.number} {text.title}\n{found.state.value}: {found.branch} -> {found.base} ({found.head[:12]})")
    click.echo(f"labels: {', '.join(text.labels) or 'none'}; reviewers: {', '.join(text.reviewers) or 'none'}\n\n{text.body}")
    for comment in found.comments:
        click.echo(f"\n{comment.author}, {comment.at}:\n{comment.body}")


@pr.command()
@click.argument("repository")
@click.argument("number", type=int)
@click.argument("words")
@org_option
def comment(repository: str, number: int, words: str, org: str) -> None:
    """Add a comment."""
    _host(org).add_comment(_repository(org, repository), number, words, author=actor())


@pr.command()
@click.argument("repository")
@click.argument("number", type=int)
@org_option
def merge(repository: str, number: int, org: str) -> None:
    """Merge it into its base branch."""
    merged = _host(org).merge(_repository(org, repository), number, by=actor())
    click.echo(f"#{merged.number} is merged into {merged.base}")


@pr.command()
@click.argument("repository")
@click.argument("number", type=int)
@org_option
def close(repository: str, number: int, org: str) -> None:
    """Close it without merging; it stays closed."""
    _host(org).close(_repository(org, repository), number, by=actor())
    click.echo(f"#{number} is closed")


def _host(org: str) -> LocalHost:
    orgs: dict[str, OrgPolicy] = dict(load(Settings.from_environment()).orgs)
    if org not in orgs:
        raise UsageError(f"there is no org policy {org!r} in policies/orgs/")
    return local_host(orgs[org])


def _repository(org: str, name: str) -> Repository:
    return Repository(org, name, "", None)


def _json(pull: PullRequest) -> dict[str, object]:
    return asdict(pull)
