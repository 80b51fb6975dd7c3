"""What a host tells of the bot's pull requests, their repositories and its installations, taken up at once."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import Connection

from bot.domain.events import ChecksChanged, InstallationChanged, PullRequestChanged, Pushed, RepositoryChanged, Reviewed
from bot.domain.org_policies import OrgPolicy
from bot.errors import NotFound
from bot.services import Services
from bot.store import audit, following, installations, publications
from bot.store.publications import Publication
from bot.tracking.pull_requests import refresh, settle_lost
from bot.tracking.renames import below, follow


def pull_request_changed(services: Services, org: OrgPolicy, event: PullRequestChanged) -> None:
    """Ask what became of a pull request, where it is the bot's: at once where it was closed or reopened. Raises HostError."""
    if event.what in ("synchronized", "edited"):
        news_of(services, org, event)
        return
    with services.database.reading() as tx:
        publication = publications.numbered(tx, org.org, event.repository.name, event.number)
    if publication is not None and publication.state in ("open", "closed"):
        refresh(services, services.host(org), publication, event.actor)


def news_of(services: Services, org: OrgPolicy, event: PullRequestChanged | Reviewed | ChecksChanged | Pushed) -> None:
    """Have the pull requests looked at soon that an event is about: what it says itself is not believed.

    A base that was moved may conflict with any of them. Many events, and many pull requests, are one question to the host.
    """
    place = event.repository.name
    with services.database.transaction(durable=False) as tx:
        match event:
            case PullRequestChanged() | Reviewed():
                following.expect_news(tx, org.org, place, number=event.number)
            case ChecksChanged():
                following.expect_news(tx, org.org, place, head=event.head)
            case Pushed():
                following.expect_news(tx, org.org, place)


def repository_changed(services: Services, org: OrgPolicy, event: RepositoryChanged) -> None:
    """Look after what the bot has open in it: nobody can merge or close a pull request of an archived one. Raises HostError."""
    match event.what:
        case "archived":
            for publication in _known(services, org, event, "open"):
                settle_lost(services, publication, event.actor, "the repository was archived")
        case "unarchived" | "deleted":
            for publication in _known(services, org, event, "open", "closed"):
                refresh(services, services.host(org), publication, event.actor)
        case "renamed" | "transferred":
            _renamed(services, org, event)
        case "created" | "edited":
            pass  # the next plan sees it


def _renamed(services: Services, org: OrgPolicy, event: RepositoryChanged) -> None:
    """Follow a rename within the org: unless another repository has the old name by now, of which this is old news."""
    old = below(org.org, event.old_name)
    if old is None or old == event.repository.name:
        return
    with suppress(NotFound):
        services.host(org).repository(org.org, old)
        return
    follow(services, org.org, old, event.repository.name, actor=event.actor)


def installation_changed(tx: Connection, services: Services, event: InstallationChanged) -> None:
    """Keep where the bot is installed, with the audit event that says so: unless something newer is known."""
    if not installations.record(tx, event):
        return
    audit.append(
        tx, services.audit_key, services.clock, org=event.org, actor=event.actor, action=f"installation.{event.what}",
        subject=f"{event.host}/{event.org}",
        details={"number": event.number, "permissions": dict(event.permissions), "repositories": event.repositories},
    )  # fmt: skip


def _known(services: Services, org: OrgPolicy, event: RepositoryChanged, *states: str) -> list[Publication]:
    with services.database.reading() as tx:
        found = publications.of_repository(tx, org.org, event.repository.name)
    return [publication for publication in found if publication.state in states]
