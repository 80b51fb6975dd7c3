"""What became of the pull requests that this bot opened: asked of the host, kept in SQL."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from bot.domain.org_policies import OrgPolicy
from bot.domain.policies import OFF_LABEL
from bot.domain.pull_requests import PullRequest, PullRequestRef, PullRequestState
from bot.domain.redaction import one_line, redact
from bot.domain.repositories import Repository
from bot.domain.selection import is_among
from bot.errors import HostError, HostUnavailable, NotFound, Renamed
from bot.ports import FollowsPullRequests, Host, KnowsItself
from bot.services import Services
from bot.store import audit, campaigns, following, opt_outs, own_commits, publications, runs
from bot.store.opt_outs import OptOut
from bot.store.publications import NOBODY, Facts, Publication
from bot.tracking.opting_out import SOMEBODY, leave_alone, take_up_again
from bot.tracking.renames import follow_error

BOT = "whimbrel"
"""Who did what the bot did."""
WORDS_LIMIT = 500
AT_ONCE = 50
SWEEP = 200
"""So many of an org are looked at in one sweep, at most: a few requests."""
LOOK_AGAIN = timedelta(minutes=2)
"""Where webhooks tell what happens, one is looked at no more often."""
LOOK_AT_CLOSED, CLOSED_FOR = timedelta(hours=1), timedelta(days=14)
"""A closed one is looked at now and then, for some time: it may have been opened again."""

log = logging.getLogger(__name__)


def refresh_publications(services: Services, host: Host, org: str, policy: str | None = None, only: Sequence[str] = ()) -> int:
    """Ask the host about every publication that is open, or was never recorded as such; return how many have changed.

    With `only`, about those in the repositories alone whose name matches one of the globs.
    """
    with services.database.reading() as tx:
        known = publications.unsettled(tx, org)
    mine = (each for each in known if policy is None or each.change.policy == policy)
    return refresh_many(services, host, [each for each in mine if is_among(each.change.repository, only)])


def refresh_all(services: Services, orgs: Sequence[OrgPolicy]) -> int:
    """The periodic sweep: of each org, some of those that were not looked at for longest, where there is news first."""
    now = services.clock.now()
    before = {org.org: now - (LOOK_AGAIN if org.host_kind != "local" else timedelta()) for org in orgs}
    since, hour_ago = now - CLOSED_FOR, now - LOOK_AT_CLOSED

    def waiting(tx: Connection, org: str) -> list[Publication]:
        closed = following.closed_lately(tx, org, since=since, before=hour_ago, limit=AT_ONCE)
        return following.due(tx, org, before[org], SWEEP) + closed

    return _refresh_each(services, orgs, waiting)


def refresh_news(services: Services, orgs: Sequence[OrgPolicy]) -> int:
    """Look at those alone of which something was told."""
    return _refresh_each(services, orgs, lambda tx, org: following.with_news(tx, org, SWEEP))


def _refresh_each(services: Services, orgs: Sequence[OrgPolicy], find: Callable[[Connection, str], list[Publication]]) -> int:
    """An org whose host is away keeps no other one waiting; what was told of its pull requests waits for the next sweep."""
    changed = 0
    for org in orgs:
        with services.database.reading() as tx:
            waiting = find(tx, org.org)
        try:
            changed += refresh_many(services, services.host(org), waiting) if waiting else 0
        except HostError as error:
            log.warning("the pull requests of %s will be looked at again: %s", org.org, error.explanation)
            with services.database.transaction(durable=False) as tx:
                following.looked_at(tx, waiting, services.clock.now() - LOOK_AGAIN)
    return changed


def refresh_many(services: Services, host: Host, waiting: Sequence[Publication]) -> int:
    """Ask the host about these, all of one org: many at once where it can. Return how many have changed.

    Raises HostUnavailable; what is wrong with one of them is logged, and it is looked at again after the others.
    """
    at_once = isinstance(host, FollowsPullRequests)
    opened = [each for each in waiting if at_once and each.state != "intent"]
    one_by_one = [each for each in waiting if not at_once or each.state == "intent"]
    changed = 0
    for start in range(0, len(opened), AT_ONCE):
        page = opened[start : start + AT_ONCE]
        known, lacking = _read_page(host, page)
        changed += note_many(services, known)
        one_by_one += lacking
    return changed + sum(_try_refresh(services, host, publication) for publication in one_by_one)


def refresh(services: Services, host: Host, publication: Publication, actor: str = "unknown") -> bool:
    """Ask the host about one; has it changed? `actor` is who did so, where the host does not say."""
    if publication.state != "intent":
        known, _ = _read_page(host, [publication])
        if known:
            heed_labels(services, known)
            return note(services, *known[0], actor)
    change, gone = publication.change, ""
    try:
        found = host.pull_requests(Repository(change.org, change.repository, change.base, None), publication.branch)
    except Renamed as error:
        return _refresh_renamed(services, host, publication, error, actor)
    except NotFound as error:
        found, gone = (), error.explanation
    if publication.state == "intent":
        return _resolve(services, host, publication, found)
    if gone:
        return settle_lost(services, publication, actor, f"the repository is gone: {gone}")
    this = next((each for each in found if each.number == publication.number), None)
    if this is None:
        return settle(services, publication, PullRequestState.CLOSED, actor, "the pull request is gone")
    return note(services, publication, _told(host, this), actor)


def _refresh_renamed(services: Services, host: Host, publication: Publication, error: Renamed, actor: str) -> bool:
    """Under the new name or, where it has left the org, as one that is gone."""
    change = publication.change
    try:
        name = follow_error(services, change.org, error)
    except NotFound as left:
        if publication.state == "intent":
            return _resolve(services, host, publication, ())
        return settle_lost(services, publication, actor, left.explanation)
    with services.database.reading() as tx:
        followed = publications.find(tx, replace(change, repository=name))
    return followed is not None and refresh(services, host, followed, actor)


def _read_page(host: Host, page: Sequence[Publication]) -> tuple[list[tuple[Publication, PullRequest]], list[Publication]]:
    """What the host tells of these at once, and those of which it tells nothing so."""
    if not isinstance(host, FollowsPullRequests):
        return [], list(page)
    refs = {_ref(each): each for each in page}
    found = host.pull_requests_now(page[0].change.org, list(refs))
    known = [(refs[ref], _told(host, this)) for ref, this in found.items()]
    return known, [each for ref, each in refs.items() if ref not in found]


def _told(host: Host, found: PullRequest) -> PullRequest:
    """What the bot itself has closed, or merged, and died before it could say so, was no person's doing."""
    own = isinstance(host, KnowsItself) and bool(found.closed_by) and found.closed_by == host.own_login
    return replace(found, closed_by=BOT) if own else found


def _ref(publication: Publication) -> PullRequestRef:
    return PullRequestRef(publication.change.repository, publication.number or 0)


def _try_refresh(services: Services, host: Host, publication: Publication) -> bool:
    try:
        return refresh(services, host, publication)
    except HostUnavailable:
        raise
    except HostError as error:
        change = publication.change
        log.warning("%s/%s#%s: %s", change.org, change.repository, publication.number, error.explanation)
        with services.database.transaction(durable=False) as tx:
            following.looked_at(tx, [publication], services.clock.now())
        return False


def note_many(services: Services, known: Sequence[tuple[Publication, PullRequest]]) -> int:
    """As `note` for each; those of which nothing is new are written at once."""
    heed_labels(services, known)
    with services.database.reading() as tx:
        same = [this for this, found in known if found.state == this.state and facts_of(tx, this, found) == this.facts]
    with services.database.transaction(durable=False) as tx:
        for when, some in itertools.groupby(same, lambda each: _looked_at(services, each.facts, each.state)):
            following.looked_at(tx, list(some), when)
    same_ids = {each.id for each in same}
    return sum(note(services, this, found) for this, found in known if this.id not in same_ids)


def note(services: Services, publication: Publication, found: PullRequest, actor: str = "unknown") -> bool:
    """Record what the host tells of a pull request; was it settled, or reopened? `actor` as for `refresh`."""
    with services.database.transaction(durable=False) as tx:
        facts = facts_of(tx, publication, found)
        for kind, who, words in happened(publication.facts, facts, found):
            publications.add_event(tx, publication.id, services.clock.now(), kind, who, words)
        publications.record_facts(tx, publication, facts, _looked_at(services, facts, found.state))
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
    with services.database.transaction() as tx:
        return _settle(tx, services, publication, state, actor, reason, words, by=actor)


def settle_lost(services: Services, publication: Publication, actor: str, reason: str) -> bool:
    """As `settle`, for one that went with its repository, for that `reason`: it is closed, and by nobody."""
    with services.database.transaction() as tx:
        return _settle(tx, services, publication, PullRequestState.CLOSED, actor, reason, by=NOBODY)


def _settle(
    tx: Connection, services: Services, publication: Publication, state: PullRequestState, actor: str, reason: str = "",
    words: str = "", *, by: str,
) -> bool:  # fmt: skip
    """`by` is who is told to have merged or closed it, `actor` who did what has led to that."""
    change = publication.change
    action = "reopened" if state is PullRequestState.OPEN else state.value
    if not publications.record_state(tx, publication, state, services.clock.now(), by=by, words=words or reason):
        return False
    audit.append(
        tx, services.audit_key, services.clock, org=change.org, actor=actor, action=f"pull_request.{action}",
        subject=f"{change.org}/{change.repository}#{publication.number}", reason=reason or words,
        details={"policy": change.policy},
    )  # fmt: skip
    return True


def heed_labels(services: Services, known: Sequence[tuple[Publication, PullRequest]]) -> None:
    """A label that has the bot leave a repository alone counts, and so does its end, though no webhook has told of it."""
    if not known:
        return
    org = known[0][0].change.org
    with services.database.reading() as tx:
        left_alone = opt_outs.of_org(tx, org)
    for publication, found in known:
        repository, place = publication.change.repository, opt_outs.label_on(found.number)
        is_off = OFF_LABEL in found.text.labels and found.state is PullRequestState.OPEN
        opt_out = left_alone.get(repository)
        if is_off and opt_out is None:
            leave_alone(services, org, OptOut(repository, SOMEBODY, place, services.clock.now()))
        elif opt_out is not None and opt_out.place == place and OFF_LABEL not in found.text.labels:
            take_up_again(services, org, repository, SOMEBODY, place)


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


def facts_of(tx: Connection, publication: Publication, found: PullRequest) -> Facts:
    """An adopted one is all people's work: none of its commits is an edit."""
    theirs = found.commits[_given(publication, found) :]
    edited = 0 if publication.adopted else len(own_commits.strangers(tx, theirs))
    if found.state is not PullRequestState.OPEN:
        edited = max(edited, publication.facts.edited)  # a merged branch has nothing that its base has not
    conflicts = found.conflicts
    if conflicts is None and found.head == publication.facts.seen_head:
        conflicts = publication.facts.conflicts  # what it was before, until the host knows again
    return Facts(found.checks, found.review, conflicts, found.text.draft, found.head, edited)


def _looked_at(services: Services, facts: Facts, state: str) -> datetime:
    """A host that does not know whether it conflicts finds out because it was asked: the next sweep asks again."""
    unknown = facts.conflicts is None and state == PullRequestState.OPEN
    return services.clock.now() - (LOOK_AGAIN if unknown else timedelta())


def _given(publication: Publication, found: PullRequest) -> int:
    """How many of its commits, the oldest ones, were given to the bot: they are nobody's edits any more."""
    return found.commits.index(publication.taken_over) + 1 if publication.taken_over in found.commits else 0


def _words(found: PullRequest, author: str) -> str:
    """What they wrote last, on one line."""
    return one_line(redact(found.last_words(author)), WORDS_LIMIT) if author else ""


def _resolve(services: Services, host: Host, publication: Publication, found: Sequence[PullRequest]) -> bool:
    """What was intended when its attempt died has come about, and may be settled since; or it gives its place back.

    One with a number that was known before is that of an earlier intent.
    """
    ours = [_told(host, each) for each in found if each.base == publication.change.base]
    opened = [each for each in ours if each.state is PullRequestState.OPEN]
    settled = [each for each in ours if each.number > (publication.number or 0)]
    with services.database.transaction() as tx:
        if opened:
            publications.record_open(tx, publication, opened[-1], publication.revision, services.clock.now())
        elif settled:
            _record_settled(tx, services, publication, max(settled, key=lambda each: each.number))
        else:
            publications.withdraw(tx, publication)
    return True


def _record_settled(tx: Connection, services: Services, publication: Publication, found: PullRequest) -> None:
    """It was opened by the change's newest run: closed by a person, it stays closed for that run's revision."""
    run, now = runs.newest(tx, publication.change), services.clock.now()
    revision = publication.revision if run is None else campaigns.get(tx, run.campaign_id).revision
    publications.record_open(tx, publication, found, revision, now)
    publications.record_facts(tx, publication, facts_of(tx, publication, found), now)
    by = found.closed_by or "unknown"
    _settle(tx, services, replace(publication, number=found.number), found.state, by, words=_words(found, by), by=by)
