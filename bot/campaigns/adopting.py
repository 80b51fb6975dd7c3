"""Pull requests that a person, or another tool, opened for the same change are adopted: tracked, counted, and not doubled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.domain.pull_requests import PullRequest, PullRequestRef, PullRequestState
from bot.domain.repositories import Repository
from bot.errors import HostError, HostUnavailable, NotFound, UsageError
from bot.policy_store import Chosen
from bot.ports import FollowsPullRequests, Host
from bot.services import Services
from bot.store import adoptions, audit, publications
from bot.store.publications import Change
from bot.tracking.pull_requests import note
from bot.tracking.stopping import stop_runs


@dataclass(frozen=True, slots=True)
class Adoption:
    """`error` is why it was not adopted; `words` say what is so now."""

    ref: PullRequestRef
    words: str = ""
    error: str = ""


def adopt(services: Services, chosen: Chosen, refs: Sequence[PullRequestRef], *, actor: str) -> list[Adoption]:
    """One after the other; one that cannot be adopted keeps no other from it. Raises HostUnavailable."""
    host = services.host(chosen.org)
    if not isinstance(host, FollowsPullRequests):
        raise UsageError(f"{chosen.org.host} tells of no pull request by its number")
    found = host.pull_requests_now(chosen.org.org, refs)
    return [_try(services, chosen, host, ref, found.get(ref), actor) for ref in refs]


def _try(
    services: Services, chosen: Chosen, host: Host, ref: PullRequestRef, found: PullRequest | None, actor: str
) -> Adoption:
    try:
        if found is None:
            raise NotFound("there is none, or the bot may not see it")
        return Adoption(ref, words=_adopt(services, chosen, host, ref, found, actor))
    except HostUnavailable:
        raise
    except (HostError, UsageError) as error:
        return Adoption(ref, error=error.explanation)


def _adopt(services: Services, chosen: Chosen, host: Host, ref: PullRequestRef, found: PullRequest, actor: str) -> str:
    org, policy = chosen.org.org, chosen.policy.name
    change = Change(org, policy, ref.repository, found.base)
    _require_fit(services, chosen, host, ref, found)
    now = services.clock.now()
    with services.database.transaction() as tx:
        known = publications.find(tx, change)
        if known is not None and known.state == "open" and known.number == found.number:
            return "it is followed already"
        if known is not None and known.state in ("open", "intent"):
            what = f"#{known.number} is open for it already" if known.state == "open" else "the bot is about to open one"
            raise UsageError(f"{what}: there is at most one")
        adoptions.adopt(tx, change, found, chosen.revision, actor, now)
        audit.append(
            tx, services.audit_key, services.clock, org=org, actor=actor, action="pull_request.adopted",
            subject=f"{org}/{ref.repository}#{found.number}", details={"policy": policy, "author": found.author},
        )  # fmt: skip
    with services.database.reading() as tx:
        made = publications.find(tx, change)
    assert made is not None, "it was adopted just now"
    note(services, made, found)
    stop_runs(services, org, ref.repository, f"#{found.number} is open for it: {made.frozen}", change=change)
    return f"{found.author}'s, into {found.base}: followed from now on"


def _require_fit(services: Services, chosen: Chosen, host: Host, ref: PullRequestRef, found: PullRequest) -> None:
    if found.state is not PullRequestState.OPEN:
        raise UsageError(f"it is {found.state} already")
    if found.author.casefold() == services.conversation(chosen.org).own_login.casefold():
        raise UsageError("the bot has opened it itself")
    with services.database.reading() as tx:
        other = publications.numbered(tx, chosen.org.org, ref.repository, found.number)
    if other is not None and other.change.policy != chosen.policy.name:
        raise UsageError(f"it is followed for {other.change.policy} already")
    target: Repository = host.repository(chosen.org.org, ref.repository)
    if found.base != target.default_branch:
        raise UsageError(f"it goes into {found.base}, the policy's target is {target.default_branch}")
