"""host pr ...: the pull requests of a local host, which has no pages of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

import click
from rich.table import Table
from rich.text import Text

from bot.campaigns.triggers import handle
from bot.cli.common import actor, as_json, console, load, print_json
from bot.config import Settings, assemble
from bot.domain.commands import parse
from bot.domain.events import Commented, RepositoryRef
from bot.domain.org_policies import OrgPolicy
from bot.domain.pull_requests import CheckReport, CommentRef, PullRequest, PullRequestText, Review, Thread
from bot.domain.redaction import one_line, visible
from bot.domain.repositories import Repository
from bot.errors import UsageError
from bot.hosting import local_host
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
        cells = (repo, str(pull.number), pull.state.value, pull.text.title, pull.branch)
        table.add_row(*(Text(one_line(cell)) for cell in cells))
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
    click.echo(visible("\n".join(_lines(found))))


@pr.command()
@click.argument("repository")
@click.argument("number", type=int)
@click.argument("words")
@org_option
def comment(repository: str, number: int, words: str, org: str) -> None:
    """Add a comment. One that begins with /whimbrel is a command: /whimbrel help says which there are."""
    found = _host(org).add_comment(_repository(org, repository), number, words, author=actor())
    if parse(words) is None:
        return
    place, written = RepositoryRef("local", org, repository), CommentRef(Thread(number, "pull_request"), len(found.comments))
    event = Commented(place, written, words, actor(), actor_is_bot=False)
    with assemble(Settings.from_environment()) as services:
        refused = handle(services, event)
    click.echo(refused or f"whimbrel host pr show {repository} {number} --org {org} has the answer, and how the work goes on")


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


@pr.command("open")
@click.argument("repository")
@click.argument("branch")
@org_option
@click.option("--title", required=True, help="What it is called.")
@click.option("--body", default="", help="What it says.")
def open_(repository: str, branch: str, org: str, title: str, body: str) -> None:
    """Open one of a branch of yours."""
    host, place = _host(org), _repository(org, repository)
    base = host.repository(org, repository).default_branch
    made = host.open_pull_request(place, branch=branch, base=base, text=PullRequestText(title, body), author=actor())
    click.echo(f"#{made.number} is open: {made.url}")


@pr.command()
@click.argument("repository")
@click.argument("number", type=int)
@click.argument("labels", nargs=-1)
@org_option
def label(repository: str, number: int, labels: Sequence[str], org: str) -> None:
    """Give it these labels, in the place of those that it has. whimbrel:off has the bot leave the repository alone."""
    host, place = _host(org), _repository(org, repository)
    text = replace(host.pull_request(place, number).text, labels=tuple(labels))
    host.update_pull_request(place, number, text)
    click.echo(f"#{number}: {', '.join(labels) or 'no label'}")


@pr.command()
@click.argument("repository")
@click.argument("number", type=int)
@org_option
def reopen(repository: str, number: int, org: str) -> None:
    """Open a closed one again."""
    _host(org).reopen(_repository(org, repository), number)
    click.echo(f"#{number} is open")


@pr.command()
@click.argument("repository")
@click.argument("number", type=int)
@click.argument("verdict", type=click.Choice(["approved", "changes_requested", "commented"]))
@click.argument("words", default="")
@org_option
def review(repository: str, number: int, verdict: str, words: str, org: str) -> None:
    """Hand in a review."""
    reviewed = _host(org).review(_repository(org, repository), number, author=actor(), verdict=verdict, body=words)
    click.echo(f"#{number} is reviewed: {reviewed.review.replace('_', ' ') or 'no verdict'}")


@pr.command()
@click.argument("repository")
@click.argument("number", type=int)
@click.argument("result", type=click.Choice(["pending", "passed", "failed"]))
@click.option("--name", default="ci", show_default=True, help="The check's name.")
@org_option
def check(repository: str, number: int, result: str, name: str, org: str) -> None:
    """Report what CI says of its head."""
    host, place = _host(org), _repository(org, repository)
    passed = {"pending": None, "passed": True, "failed": False}[result]
    host.report_check(place, host.pull_request(place, number).head, CheckReport(name, passed, result, ""))
    click.echo(f"#{number}: checks {host.pull_request(place, number).checks}")


def _lines(pull: PullRequest) -> Iterator[str]:
    text = pull.text
    yield f"#{pull.number} {text.title}"
    yield f"{pull.state.value}: {pull.branch} -> {pull.base} ({pull.head[:12]})"
    yield f"labels: {', '.join(text.labels) or 'none'}; reviewers: {', '.join(text.reviewers) or 'none'}"
    checks, conflicts = f"checks {pull.checks}" if pull.checks else "", "conflicts" if pull.conflicts else ""
    if told := [*filter(None, (checks, pull.review.replace("_", " "), conflicts))]:
        yield "; ".join(told)
    yield f"\n{text.body}"
    for each in pull.conversation:
        verdict = f" ({each.verdict.replace('_', ' ')})" if isinstance(each, Review) else ""
        yield f"\n{each.author}{verdict}, {each.at}:\n{each.body}"


def _host(org: str) -> LocalHost:
    orgs: dict[str, OrgPolicy] = dict(load(Settings.from_environment()).orgs)
    if org not in orgs:
        raise UsageError(f"there is no org policy {org!r} in policies/orgs/")
    return local_host(orgs[org])


def _repository(org: str, name: str) -> Repository:
    return Repository(org, name, "", None)


def _json(pull: PullRequest) -> dict[str, object]:
    return asdict(pull)
