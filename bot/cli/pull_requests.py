"""prs, adopt: the pull requests of a campaign, many at once, and those that others have opened for it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from bot.campaigns import adopting, bulk
from bot.campaigns.adopting import Adoption
from bot.campaigns.bulk import STATES, Action, Preview, Result
from bot.cli.common import actor, as_json, choose, console, load, print_json
from bot.cli.pull_request_tables import pull_requests_table
from bot.config import Settings, assemble
from bot.domain.addresses import Address, parse_address
from bot.domain.events import RepositoryRef
from bot.domain.pull_requests import PullRequestRef
from bot.domain.redaction import visible
from bot.errors import UsageError
from bot.policy_store import Policies
from bot.services import Services
from bot.store import campaigns
from bot.store.campaigns import Campaign
from bot.store.publications import Publication

LIST = "list"


@click.command(
    epilog="""\b
Examples:
  whimbrel prs c0ffee1234
  whimbrel prs c0ffee1234 --state failed --repo 'service-*'
  whimbrel prs c0ffee1234 merge --state approved --state passed
  whimbrel prs c0ffee1234 comment -m 'The freeze ends on Monday.' --yes"""
)
@click.argument("campaign")
@click.argument("action", type=click.Choice([LIST, *(each.value for each in Action)]), default=LIST)
@click.option("--state", "states", multiple=True, type=click.Choice(list(STATES)), help="Only those; several must all hold.")
@click.option("--repo", "repos", multiple=True, metavar="GLOB", help="Only in repositories whose name matches.")
@click.option("-m", "--message", default="", help="What `comment` says, or why `close` closes.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@as_json
def prs(
    campaign: str, action: str, states: Sequence[str], repos: Sequence[str], message: str, yes: bool, as_json: bool
) -> None:
    """The pull requests of CAMPAIGN: list them, or merge, close, comment on, rebase or make ready those that are open.

    What an action touches, and what it leaves out with the reason, is shown before it is done. With --json nothing is done
    without --yes. Exit status: 0 all was done, 1 some could not be, 2 nothing was tried.
    """
    if action == Action.COMMENT and not message.strip():
        raise UsageError("there is nothing to say", mend="-m 'WORDS'")
    with assemble(Settings.from_environment()) as services:
        with services.database.reading() as tx:
            about = campaigns.get(tx, campaign)
        found = bulk.chosen(services, about, states, repos)
        if action == LIST:
            _show(found, as_json)
            return
        failed = _act(services, about, bulk.preview(Action(action), found), message, yes, as_json)
    sys.exit(1 if failed else 0)


@click.command(
    epilog="""\b
Examples:
  whimbrel adopt standardize https://github.com/acme/tool/pull/12 https://github.com/acme/lib/pull/7
  whimbrel adopt standardize acme/tool#12"""
)
@click.argument("policy")
@click.argument("urls", metavar="URL...", nargs=-1, required=True)
@as_json
def adopt(policy: str, urls: Sequence[str], as_json: bool) -> None:
    """Take up pull requests that others have opened for the change of POLICY: followed, counted, not doubled, never pushed to.

    A URL may be ORG/NAME#NUMBER too. Exit status: 0 all were adopted, 1 some could not be.
    """
    settings = Settings.from_environment()
    by_org = _by_org(load(settings), [parse_address(url) for url in urls])
    with assemble(settings) as services:
        found = {
            org: adopting.adopt(services, choose(services, policy, org), refs, actor=actor()) for org, refs in by_org.items()
        }
    adopted = [(org, each) for org, some in found.items() for each in some]
    if as_json:
        print_json([_adoption(org, each) for org, each in adopted])
    else:
        for org, each in adopted:
            said = f"not adopted: {each.error}" if each.error else each.words
            click.echo(visible(f"{org}/{each.ref.repository}#{each.ref.number}: {said}"))
    sys.exit(1 if any(each.error for _, each in adopted) else 0)


def _show(found: Sequence[Publication], as_json: bool) -> None:
    rows = [describe(each) for each in found]
    if as_json:
        print_json(rows)
    else:
        console().print(pull_requests_table(rows))


def _act(services: Services, campaign: Campaign, wanted: Preview, words: str, yes: bool, as_json: bool) -> bool:
    """Is there one that could not be done?"""
    if as_json:
        return _act_silently(services, campaign, wanted, words, yes)
    if wanted.touched:
        console().print(pull_requests_table([describe(each) for each in wanted.touched]))
    for publication, reason in wanted.left_out:
        click.echo(visible(f"left out: {_name(publication)}: {reason}"))
    if not wanted.touched:
        click.echo("nothing to do")
        return False
    _require_consent(f"{wanted.action} these {len(wanted.touched)}?", yes)
    failed = False
    for result in bulk.carry_out(services, campaign, wanted, actor=actor(), words=words):
        click.echo(visible(f"{_name(result.publication)}: {result.error or 'done'}"), err=bool(result.error))
        failed = failed or bool(result.error)
    if wanted.action is Action.REBASE:
        click.echo("whimbrel scheduler and worker, or whimbrel run of its policy, do the work")
    return failed


def _act_silently(services: Services, campaign: Campaign, wanted: Preview, words: str, yes: bool) -> bool:
    results: list[Result] = list(bulk.carry_out(services, campaign, wanted, actor=actor(), words=words)) if yes else []
    print_json(
        {
            "action": wanted.action,
            "touched": [describe(each) for each in wanted.touched],
            "left_out": [describe(each) | {"reason": reason} for each, reason in wanted.left_out],
            "done": [describe(each.publication) for each in results if not each.error],
            "failed": [describe(each.publication) | {"reason": each.error} for each in results if each.error],
        }
    )
    return any(each.error for each in results)


def _require_consent(question: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody is here to be asked", mend="--yes does it without asking")
    click.confirm(question, abort=True)


def describe(publication: Publication) -> dict[str, Any]:
    """A pull request, JSON-ready."""
    facts = publication.facts
    return {
        "repository": publication.change.repository,
        "number": publication.number,
        "url": publication.url,
        "state": publication.state,
        "branch": publication.branch,
        "base": publication.change.base,
        "head": facts.seen_head,
        "checks": facts.ci,
        "review": facts.review,
        "conflicts": facts.conflicts,
        "draft": facts.draft,
        "edited": facts.edited,
        "frozen": publication.frozen,
        "adopted": publication.adopted,
        "closed_by": publication.closed_by,
        "closed_reason": publication.closed_reason,
    }


def _by_org(policies: Policies, addresses: Sequence[Address]) -> Mapping[str, list[PullRequestRef]]:
    found: dict[str, list[PullRequestRef]] = {}
    for address in addresses:
        org, repository = _place(policies, address)
        found.setdefault(org, []).append(PullRequestRef(repository, address.number))
    return found


def _place(policies: Policies, address: Address) -> tuple[str, str]:
    """The org policy's name, and the repository below it."""
    for org in policies.orgs.values() if address.host in ("", "local") else ():
        head, found, name = f"/{address.path}".rpartition(f"/{org.org}/")
        if found and (address.host == org.network_name or (not address.host and not head)):
            return org.org, name
    org_name, _, name = address.path.partition("/")
    place = policies.place_of(RepositoryRef(address.host, org_name, name)) if name else None
    if place is None:
        raise UsageError(f"no org policy is for {address.path}" + (f" on {address.host}" if address.host else ""))
    return place[0].org, place[1].name


def _adoption(org: str, adoption: Adoption) -> dict[str, Any]:
    where = {"org": org, "repository": adoption.ref.repository, "number": adoption.ref.number}
    return where | {"adopted": not adoption.error, "reason": adoption.error or adoption.words}


def _name(publication: Publication) -> str:
    return f"{publication.change.org}/{publication.change.repository}#{publication.number}"
