"""What became of the pull requests that this bot opened: asked of the host, kept in SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from bot.domain.org_policies import OrgPolicy
from bot.domain.pull_requests import PullRequest, PullRequestState
from bot.domain.redaction import one_line, redact
from bot.domain.repositories import Repository
from bot.domain.selection import is_among
from bot.errors import NotFound
from bot.ports import Host
from bot.services import Services
from bot.store import audit, publications, runs
from bot.store.publications import Facts, Publication

WORDS_LIMIT = 500


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
    known = next((each for each in found if each.number == publication.number), None)
    if known is None:
        return settle(services, publication, PullRequestState.CLOSED, actor, "the repository is gone")
    return note(services, publication, known, actor)


def note(services: Services, publication: Publication, found: PullRequest, actor: str = "unknown") -> bool:
    """Record what the host tells of a pull request; was it settled, or reopened? `actor` as for `refresh`."""
    with services.database.transaction(durable=False) as tx:
        facts = _facts(tx, publication, found)
        for kind, who, words in happened(publication.facts, facts, found):
            publications.add_event(tx, publication.id, services.clock.now(), kind, who, words)
        publications.record_facts(tx, publication, facts, services.clock.now())
        if found.state is PullRequestState.OPEN and publication.facts.review != facts.review:
            publications.record_words(tx, publication, _words(found, found.objector()))
    if found.state == publication.state:
        return False
    by = found.closed_by or actor
    return settle(services, publication, found.state, by, words=_words(found, by))


def settle(
    services: Services, publication: Publication, state: PullRequestState, actor: str, reason: str = "", *, words: str = ""
) -> bool:
    """Record what became of a pull request, and who has made it so; False where that was known. `words` are that person's."""
    change = publication.change
    action = "reopened" if state is PullRequestState.OPEN else state.value
    with services.database.transaction() as tx:
        if not publications.record_state(tx, publication, state, services.clock.now(), by=actor, words=words or reason):
            return False
        audit.append(
            tx, services.audit_key, services.clock, org=change.org, actor=actor, action=f"pull_request.{action}",
            subject=f"{change.org}/{change.repository}#{publication.number}", reason=reason or words,
            details={"policy": change.policy},
        )  # fmt: skip
    return True


def happened(before: Facts, now: Facts, found: PullRequest) -> Iterator[tuple[str, str, str]]:
    """What is new, for the timeline: its kind, who did it where that is known, and words for people."""
    if now.edited > before.edited:
        yield "edited", "", f"{now.edited} commit{'s' if now.edited != 1 else ''} by people"
    if now.ci != before.ci and now.ci:
        yield "checks", "", f"checks {'have ' if now.ci != 'pending' else ''}{now.ci}"
    if now.review != before.review:
        objector = found.objector()
        words = _words(found, objector)
        said = f"{now.review.replace('_', ' ')}{': ' + words if words else ''}" if now.review else "reviews are taken back"
        yield "review", objector, said
    if now.conflicts is not None and bool(before.conflicts) != now.conflicts:
        yield "conflicts", "", f"conflicts with {found.base}" if now.conflicts else f"no conflict with {found.base} any more"
    if now.draft != before.draft:
        yield "draft", "", "is a draft again" if now.draft else "is ready for review"


def _facts(tx: Connection, publication: Publication, found: PullRequest) -> Facts:
    """An adopted one is all people's work: none of its commits is an edit."""
    edited = 0 if publication.adopted else len(runs.strangers(tx, found.commits))
    if found.state is not PullRequestState.OPEN:
        edited = max(edited, publication.facts.edited)  # a merged branch has nothing that its base has not
    return Facts(found.checks, found.review, found.conflicts, found.text.draft, found.head, edited)


def _words(found: PullRequest, author: str) -> str:
    """What they wrote last, on one line."""
    return one_line(redact(found.last_words(author)), WORDS_LIMIT) if author else ""


def _resolve(services: Services, publication: Publication, found: Sequence[PullRequest]) -> bool:
    """What was intended when its attempt died has come about, or it gives its place back."""
    opened = [each for each in found if each.state is PullRequestState.OPEN and each.base == publication.change.base]
    with services.database.transaction() as tx:
        if opened:
            publications.record_open(tx, publication, opened[-1], publication.revision, services.clock.now())
        else:
            publications.withdraw(tx, publication)
    return True
