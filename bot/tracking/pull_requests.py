"""What became of the pull requests that this bot opened: asked of the host, kept in SQL."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.org_policies import OrgPolicy
from bot.domain.pull_requests import PullRequest, PullRequestState
from bot.domain.repositories import Repository
from bot.domain.selection import is_among
from bot.errors import NotFound
from bot.ports import Host
from bot.services import Services
from bot.store import audit, publications
from bot.store.publications import Publication


def refresh_publications(services: Services, host: Host, org: str, policy: str | None = None, only: Sequence[str] = ()) -> int:
    """Ask the host about every publication that is open, or was never recorded as such; return how many have changed.

    With `only`, about those in the repositories alone whose name matches one of the globs.
    """
    with services.database.reading() as tx:
        known = publications.unsettled(tx, org)
    mine = (each for each in known if policy is None or each.change.policy == policy)
    waiting = [each for each in mine if is_among(each.change.repository, only)]
    return sum(refresh(services, host, publication) for publication in waiting)


def refresh_all(services: Services, orgs: Sequence[OrgPolicy]) -> int:
    """The periodic sweep over all orgs that have open pull requests."""
    with services.database.reading() as tx:
        waiting = set(publications.orgs_with_unsettled(tx))
    return sum(refresh_publications(services, services.host(org), org.org) for org in orgs if org.org in waiting)


def refresh(services: Services, host: Host, publication: Publication, actor: str = "unknown") -> bool:
    """Ask the host about one; has it changed? `actor` is who did so, where the host does not say."""
    change = publication.change
    repository = Repository(change.org, change.repository, change.base, None)
    try:
        found = host.pull_requests(repository, publication.branch)
    except NotFound:
        found = ()
    if publication.state == "intent":
        return _resolve(services, publication, found)
    state, by = _state_of(found, publication)
    if state == publication.state:
        return False
    settle(services, publication, state, by or actor)
    return True


def settle(services: Services, publication: Publication, state: PullRequestState, actor: str, reason: str = "") -> None:
    """Record what became of a pull request, and who has made it so."""
    change, happened = publication.change, "reopened" if state is PullRequestState.OPEN else state.value
    with services.database.transaction() as tx:
        publications.record_state(tx, publication, state)
        audit.append(
            tx, services.audit_key, services.clock, org=change.org, actor=actor, action=f"pull_request.{happened}",
            subject=f"{change.org}/{change.repository}#{publication.number}", reason=reason, details={"policy": change.policy},
        )  # fmt: skip


def _resolve(services: Services, publication: Publication, found: Sequence[PullRequest]) -> bool:
    """What was intended when its attempt died has come about, or it gives its place back."""
    opened = [each for each in found if each.state is PullRequestState.OPEN and each.base == publication.change.base]
    with services.database.transaction() as tx:
        if opened:
            publications.record_open(tx, publication, opened[-1], publication.revision, services.clock.now())
        else:
            publications.withdraw(tx, publication)
    return True


def _state_of(found: Sequence[PullRequest], publication: Publication) -> tuple[PullRequestState, str]:
    for pull_request in found:
        if pull_request.number == publication.number:
            return pull_request.state, pull_request.closed_by
    return PullRequestState.CLOSED, "the repository is gone"
