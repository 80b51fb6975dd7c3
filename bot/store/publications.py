"""Publications: what this bot has published, or is about to: one row a (org, policy, repository, base, path), for ever.

The row is written as an intent, in a transaction that holds the ceilings, before anything is sent to the host.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, insert, or_, select, text, update

from bot.domain.org_policies import Ceilings
from bot.domain.pull_requests import ChecksState, PullRequest, PullRequestState, ReviewState
from bot.domain.rollout import Rollout
from bot.domain.states import RunState
from bot.errors import CeilingReached
from bot.store.schema import campaigns, publication_events, publications, runs

PUBLISH_LOCK = 7711003
HOUR = timedelta(hours=1)
EVERYTHING_AT_ONCE = Rollout()


@dataclass(frozen=True, slots=True)
class Change:
    """What a pull request is about: at most one of them is open."""

    org: str
    policy: str
    repository: str
    base: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a host told of a pull request. `conflicts` is None while it does not know; `seen_head` is where its branch is, and
    `edited` how many commits on it are not the bot's."""

    ci: ChecksState = ChecksState.NONE
    review: ReviewState = ReviewState.NONE
    conflicts: bool | None = None
    draft: bool = False
    seen_head: str = ""
    edited: int = 0


@dataclass(frozen=True, slots=True)
class Publication:
    """`state` is intent, open, merged or closed; `head` is the commit this bot last moved the branch to ("" before).

    `number`, `url` and `revision` are those of the pull request that was opened last: during an intent, of the one before.
    `frozen` is why nothing is pushed to it, "" while the bot may; `adopted` is one that others have opened. `closed_reason` are
    the last words of who closed it, or of who asked for changes. `taken_over` is the head that a person gave to the bot, with
    their commits; `done` is why the base needs it no more, "" while it does.
    """

    id: int
    change: Change
    branch: str
    state: str
    number: int | None
    url: str
    head: str
    base_head: str
    revision: str
    facts: Facts = Facts()
    frozen: str = ""
    adopted: bool = False
    closed_by: str = ""
    closed_reason: str = ""
    settled_at: datetime | None = None
    taken_over: str = ""
    done: str = ""


NOBODY = ""
"""By whom a pull request is closed that went with its repository."""
NOTHING_KNOWN: dict[str, Any] = {
    **asdict(Facts()),
    "frozen": "",
    "adopted": False,
    "closed_by": "",
    "closed_reason": "",
    "settled_at": None,
    "looked_at": None,
}
"""Of a pull request that is not opened yet."""


@dataclass(frozen=True, slots=True)
class Room:
    """How many more pull requests an org may open now, and why no more."""

    open_left: int
    hourly_left: int
    reason: str


def find(tx: Connection, change: Change) -> Publication | None:
    found = tx.execute(_where(change)).one_or_none()
    return None if found is None else publication_of(found)


def numbered(tx: Connection, org: str, repository: str, number: int) -> Publication | None:
    """The one whose pull request has this number in a repository."""
    found = tx.execute(
        select(publications).where(
            publications.c.org == org, publications.c.repository == repository, publications.c.number == number
        )
    )
    row = found.one_or_none()
    return None if row is None else publication_of(row)


def of_repository(tx: Connection, org: str, repository: str) -> list[Publication]:
    found = tx.execute(select(publications).where(publications.c.org == org, publications.c.repository == repository))
    return [publication_of(row) for row in found]


def of_policy(tx: Connection, org: str, policy: str) -> list[Publication]:
    found = tx.execute(select(publications).where(publications.c.org == org, publications.c.policy == policy))
    return [publication_of(row) for row in found]


def unsettled(tx: Connection, org: str) -> list[Publication]:
    """What the host must be asked about: the open ones, and intents whose run has ended without a word on them."""
    return [publication_of(row) for row in tx.execute(select(publications).where(publications.c.org == org, _unsettled()))]


def intend(
    tx: Connection, change: Change, *, branch: str, ceilings: Ceilings, now: datetime, rollout: Rollout = EVERYTHING_AT_ONCE
) -> Publication:
    """Write the intent to publish; an open one is returned as it is. Raises CeilingReached, with the figures.

    `branch` is a head, as `bot.domain.pull_requests.head_name` tells it.
    """
    if tx.dialect.name == "postgresql":
        tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": PUBLISH_LOCK})
    known = find(tx, change)
    if known is not None and known.state == "open":
        return known
    if known is not None and known.state == "intent":
        tx.execute(update(publications).where(publications.c.id == known.id).values(branch=branch))
        return replace(known, branch=branch)
    reason = room(tx, change.org, ceilings, now).reason or room_of_policy(tx, change.org, change.policy, rollout, now)
    if reason:
        raise CeilingReached(reason, retry_after=60)
    fresh: dict[str, Any] = {"branch": branch, "state": "intent", "intended_at": now, "opened_at": None, **NOTHING_KNOWN}
    if known is None:
        nothing = {"number": None, "url": "", "head": "", "base_head": "", "revision": ""}
        tx.execute(insert(publications).values(fresh | asdict(change) | nothing))
    else:
        tx.execute(update(publications).where(publications.c.id == known.id).values(fresh))
    return publication_of(tx.execute(_where(change)).one())


def room(tx: Connection, org: str, ceilings: Ceilings, now: datetime) -> Room:
    """What the org's ceilings leave; `reason` is empty while there is room for one more."""
    opened, recent = _count(tx, org, takes_a_place()), _count(tx, org, is_recent(now))
    open_left, hourly_left = ceilings.open_pull_requests - opened, ceilings.pull_requests_per_hour - recent
    reason = ""
    if open_left <= 0:
        reason = f"{opened} of {ceilings.open_pull_requests} pull requests of {org} are open: waiting until some are closed"
    elif hourly_left <= 0:
        oldest = tx.execute(
            select(func.min(publications.c.opened_at)).where(publications.c.org == org, publications.c.opened_at > now - HOUR)
        ).scalar_one()
        until = f" until {oldest + HOUR:%H:%M} UTC" if oldest else ""
        reason = f"{recent} of {ceilings.pull_requests_per_hour} pull requests of {org} were opened this hour: waiting{until}"
    return Room(open_left, hourly_left, reason)


def room_of_policy(tx: Connection, org: str, policy: str, rollout: Rollout, now: datetime) -> str:
    """Why the policy's own limits admit no more of its pull requests now; empty while they do."""
    own = publications.c.policy == policy
    opened, recent = _count(tx, org, and_(own, takes_a_place())), _count(tx, org, and_(own, is_recent(now)))
    if rollout.max_open is not None and opened >= rollout.max_open:
        return f"{opened} of {rollout.max_open} pull requests of {policy} are open: waiting until some are closed"
    if rollout.per_hour is not None and recent >= rollout.per_hour:
        return f"{recent} of {rollout.per_hour} pull requests of {policy} were opened this hour: waiting"
    return ""


def takes_a_place() -> ColumnElement[bool]:
    """It is open, or about to be."""
    return publications.c.state.in_(("intent", "open"))


def is_recent(now: datetime) -> ColumnElement[bool]:
    """Opened within the hour, or about to be."""
    return or_(publications.c.opened_at > now - HOUR, publications.c.state == "intent")


def record_push(tx: Connection, publication: Publication, *, head: str, base_head: str, now: datetime) -> None:
    """This bot has moved the branch: what was known of the commit before says nothing of this one."""
    _change(tx, publication, head=head, base_head=base_head)
    if head != publication.head:
        _change(tx, publication, seen_head=head, ci=ChecksState.NONE, conflicts=None, looked_at=None)
        add_event(tx, publication.id, now, "pushed", "whimbrel", head)


def record_open(tx: Connection, publication: Publication, pull_request: PullRequest, revision: str, now: datetime) -> None:
    """The pull request is open, and says what this revision of the policy has it say."""
    if publication.state != "open":
        add_event(tx, publication.id, now, "opened", "whimbrel", pull_request.url)
    _change(
        tx,
        publication,
        state="open",
        number=pull_request.number,
        url=pull_request.url,
        branch=pull_request.branch,
        revision=revision,
        draft=pull_request.text.draft,
        done="",
        opened_at=func.coalesce(publications.c.opened_at, now),
    )


def withdraw(tx: Connection, publication: Publication) -> None:
    """An intent that came to nothing gives its place back."""
    tx.execute(
        update(publications).where(publications.c.id == publication.id, publications.c.state == "intent").values(state="closed")
    )


def record_state(
    tx: Connection, publication: Publication, state: PullRequestState, now: datetime, *, by: str = "", words: str = ""
) -> bool:
    """False where it was known already. `by` is who made it so, `words` what they said of it."""
    settled = state is not PullRequestState.OPEN
    changed = update(publications).where(publications.c.id == publication.id, publications.c.state != state.value)
    values = {"closed_by": by, "closed_reason": words, "settled_at": now} if settled else _NOT_SETTLED
    if tx.execute(changed.values(state=state.value, **values)).rowcount != 1:
        return False
    add_event(tx, publication.id, now, state.value if settled else "reopened", by, words)
    return True


_NOT_SETTLED: dict[str, Any] = {"closed_by": "", "closed_reason": "", "settled_at": None, "looked_at": None, "done": ""}


def record_facts(tx: Connection, publication: Publication, facts: Facts, now: datetime) -> None:
    """What the host tells now; it counts as looked at."""
    _change(tx, publication, **asdict(facts), looked_at=now)


def record_words(tx: Connection, publication: Publication, words: str) -> None:
    """Why somebody asks for changes; empty where nobody does any more."""
    _change(tx, publication, closed_reason=words)


def forgive(tx: Connection, change: Change) -> None:
    """That its pull request was closed no longer keeps another one from being opened."""
    known = find(tx, change)
    if known is not None and known.state == "closed":
        _change(tx, known, revision="")


def freeze(tx: Connection, publication: Publication, reason: str, now: datetime) -> None:
    """Nothing more is pushed to it, for that reason; an empty one hands it back."""
    _change(tx, publication, frozen=reason)
    add_event(tx, publication.id, now, "frozen" if reason else "thawed", "whimbrel", reason)


def expect_news_everywhere(tx: Connection, org: str) -> None:
    """Nobody has heard of the org's open ones for a while: they are the first to be looked at."""
    tx.execute(update(publications).where(publications.c.org == org, publications.c.state == "open").values(looked_at=None))


@dataclass(frozen=True, slots=True)
class PublicationEvent:
    """What happened to a pull request: `kind` is opened, pushed, checks, review, conflicts, edited, draft, frozen, thawed,
    merged, closed, reopened or adopted; `words` say it to people."""

    at: datetime
    kind: str
    actor: str
    words: str


def add_event(tx: Connection, publication_id: int, now: datetime, kind: str, actor: str, words: str) -> None:
    row = {"publication_id": publication_id, "at": now, "kind": kind, "actor": actor, "words": words}
    tx.execute(insert(publication_events).values(row))


def events_of(tx: Connection, publication_id: int) -> list[PublicationEvent]:
    """Its timeline, oldest first."""
    of_it = publication_events.c.publication_id == publication_id
    found = tx.execute(select(publication_events).where(of_it).order_by(publication_events.c.id))
    return [PublicationEvent(row.at, row.kind, row.actor, row.words) for row in found]


def same_change() -> ColumnElement[bool]:
    """What joins a publication with the runs, and their campaigns, that are about the same change."""
    return and_(
        publications.c.org == runs.c.org,
        publications.c.policy == campaigns.c.policy,
        publications.c.repository == runs.c.repository,
        publications.c.base == runs.c.base,
        publications.c.path == runs.c.path,
    )


def _unsettled() -> ColumnElement[bool]:
    return or_(publications.c.state == "open", forgotten())


def forgotten() -> ColumnElement[bool]:
    """Intents whose run has ended without a word on them."""
    at_work = select(runs.c.id).join(campaigns, campaigns.c.id == runs.c.campaign_id)
    at_work = at_work.where(same_change(), runs.c.state != RunState.ENDED, campaigns.c.preview.is_(False))
    return and_(publications.c.state == "intent", ~at_work.correlate(publications).exists())


def _where(change: Change) -> Select[Any]:
    return select(publications).where(
        publications.c.org == change.org,
        publications.c.policy == change.policy,
        publications.c.repository == change.repository,
        publications.c.base == change.base,
        publications.c.path == change.path,
    )


def _change(tx: Connection, publication: Publication, **values: Any) -> None:
    tx.execute(update(publications).where(publications.c.id == publication.id).values(values))


def _count(tx: Connection, org: str, condition: Any) -> int:
    counted = select(func.count()).select_from(publications).where(publications.c.org == org, condition)
    return int(tx.execute(counted).scalar_one())


def publication_of(row: Row[tuple[Any, ...]]) -> Publication:
    return Publication(
        id=row.id,
        change=Change(row.org, row.policy, row.repository, row.base, row.path),
        branch=row.branch,
        state=row.state,
        number=row.number,
        url=row.url,
        head=row.head,
        base_head=row.base_head,
        revision=row.revision,
        facts=Facts(ChecksState(row.ci), ReviewState(row.review), row.conflicts, row.draft, row.seen_head, row.edited),
        frozen=row.frozen,
        adopted=row.adopted,
        closed_by=row.closed_by,
        closed_reason=row.closed_reason,
        settled_at=row.settled_at,
        taken_over=row.taken_over,
        done=row.done,
    )
