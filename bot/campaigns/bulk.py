"""The pull requests of a campaign, many at once: which are touched is told first, and one that fails stops no other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bot.campaigns import control
from bot.domain.pull_requests import ChecksState, PullRequestState, ReviewState
from bot.domain.repositories import Repository
from bot.domain.selection import is_among
from bot.errors import HostError, HostLimited, UsageError
from bot.ports import DecidesPullRequests
from bot.services import Services
from bot.store import audit, following, runs, targets
from bot.store.campaigns import Campaign
from bot.store.publications import Publication
from bot.tracking.pull_requests import refresh_many, settle


class Action(StrEnum):
    MERGE = "merge"
    CLOSE = "close"
    COMMENT = "comment"
    REBASE = "rebase"
    READY = "ready"


STATES: Mapping[str, Callable[[Publication], bool]] = {
    "open": lambda each: each.state == "open",
    "merged": lambda each: each.state == "merged",
    "closed": lambda each: each.state == "closed",
    "draft": lambda each: each.state == "open" and each.facts.draft,
    "passed": lambda each: each.state == "open" and each.facts.ci is ChecksState.PASSED,
    "failed": lambda each: each.state == "open" and each.facts.ci is ChecksState.FAILED,
    "pending": lambda each: each.state == "open" and each.facts.ci is ChecksState.PENDING,
    "approved": lambda each: each.state == "open" and each.facts.review is ReviewState.APPROVED,
    "changes_requested": lambda each: each.state == "open" and each.facts.review is ReviewState.CHANGES_REQUESTED,
    "conflicts": lambda each: each.state == "open" and bool(each.facts.conflicts),
    "edited": lambda each: each.facts.edited > 0,
    "frozen": lambda each: each.state == "open" and bool(each.frozen),
    "adopted": lambda each: each.adopted,
}
"""What `--state` may ask for."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What an action would touch, and what it leaves out, each with the reason."""

    action: Action
    touched: tuple[Publication, ...]
    left_out: tuple[tuple[Publication, str], ...]


@dataclass(frozen=True, slots=True)
class Result:
    """`error` is empty for what was done."""

    publication: Publication
    error: str


def chosen(services: Services, campaign: Campaign, states: Sequence[str], only: Sequence[str]) -> list[Publication]:
    """The campaign's pull requests that are in all of the given states, in repositories that one of the globs matches.

    Raises HostUnavailable: they are as the host has them now.
    """
    with services.database.reading() as tx:
        known = [each for each in targets.pull_requests_of(tx, campaign.id) if is_among(each.change.repository, only)]
    opened = [each for each in known if each.state == "open"]
    if opened:
        refresh_many(services, services.host(campaign.org_policy), opened)
    with services.database.reading() as tx:
        found = [each for each in targets.pull_requests_of(tx, campaign.id) if is_among(each.change.repository, only)]
    return [each for each in found if all(STATES[state](each) for state in states)]


def preview(action: Action, some: Sequence[Publication]) -> Preview:
    reasons = [(each, why_not(action, each)) for each in some]
    touched = tuple(each for each, reason in reasons if not reason)
    return Preview(action, touched, tuple((each, reason) for each, reason in reasons if reason))


def why_not(action: Action, publication: Publication) -> str:
    """Why an action leaves this one out; empty where it does not."""
    if publication.state != PullRequestState.OPEN:
        return f"it is {publication.state} already"
    if publication.adopted and action not in (Action.MERGE, Action.COMMENT):
        return f"it is not the bot's: {publication.frozen}"
    match action:
        case Action.MERGE:
            return _why_not_merged(publication)
        case Action.REBASE:
            return publication.frozen
        case Action.READY:
            return "" if publication.facts.draft else "it is no draft"
        case Action.CLOSE | Action.COMMENT:
            return ""


def _why_not_merged(publication: Publication) -> str:
    """What its host would let pass without a rule of the base's is still not merged by the dozen."""
    facts = publication.facts
    if facts.draft:
        return "it is a draft"
    if facts.conflicts:
        return "it conflicts with its base"
    if facts.review is ReviewState.CHANGES_REQUESTED:
        return f"changes are asked for: {publication.closed_reason}" if publication.closed_reason else "changes are asked for"
    if facts.ci in (ChecksState.FAILED, ChecksState.PENDING):
        return "its checks have failed" if facts.ci is ChecksState.FAILED else "its checks have not ended"
    return ""


def carry_out(services: Services, campaign: Campaign, wanted: Preview, *, actor: str, words: str = "") -> Iterator[Result]:
    """Do it, one after the other; each is told as it is done. Once the host's limits are met, the rest is told as not done."""
    _record(services, campaign, wanted, actor)
    limited = ""
    for publication in wanted.touched:
        if limited:
            yield Result(publication, limited)
            continue
        try:
            _do(services, campaign, wanted.action, publication, actor, words)
            yield Result(publication, "")
        except HostLimited as error:
            wait = f"; in {error.retry_after:.0f} seconds they let it pass" if error.retry_after else ""
            limited = f"not tried: {error.explanation}{wait}"
            yield Result(publication, limited)
        except (HostError, UsageError) as error:
            yield Result(publication, error.explanation)


def _do(services: Services, campaign: Campaign, action: Action, publication: Publication, actor: str, words: str) -> None:
    number = publication.number or 0
    place = Repository(campaign.org, publication.change.repository, publication.change.base, None)
    host = services.host(campaign.org_policy)
    match action:
        case Action.MERGE:
            _decides(host).merge_pull_request(place, number, head=publication.facts.seen_head)
            settle(services, publication, PullRequestState.MERGED, actor, f"with others of {campaign.id}")
        case Action.CLOSE:
            services.conversation(campaign.org_policy).close_pull_request(place, number)
            settle(services, publication, PullRequestState.CLOSED, actor, words or f"with others of {campaign.id}")
        case Action.COMMENT:
            host.comment(place, number, words, marker=f"<!-- whimbrel said {_digest(campaign.id, words)} -->")
        case Action.READY:
            _decides(host).mark_ready(place, number)
            with services.database.transaction() as tx:
                following.expect_news(tx, campaign.org, publication.change.repository, number=number)
        case Action.REBASE:
            _rebase(services, publication, actor)


def _rebase(services: Services, publication: Publication, actor: str) -> None:
    with services.database.transaction() as tx:
        run = runs.newest(tx, publication.change)
        if run is None:
            raise UsageError("no run of the bot's is behind it")
        control.rebase_alone(tx, services, run, actor=actor)


def _decides(host: object) -> DecidesPullRequests:
    if not isinstance(host, DecidesPullRequests):
        raise UsageError("this host lets nobody do that but by its own pages")
    return host


def _record(services: Services, campaign: Campaign, wanted: Preview, actor: str) -> None:
    """Who has asked for it, before any of it is done."""
    touched = [f"{each.change.repository}#{each.number}" for each in wanted.touched]
    with services.database.transaction() as tx:
        audit.append(
            tx, services.audit_key, services.clock, org=campaign.org, actor=actor, action=f"bulk.{wanted.action}",
            subject=campaign.id, details={"pull_requests": touched},
        )  # fmt: skip


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
