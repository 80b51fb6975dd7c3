"""Pull requests that follow their base: which are to be brought up to date, and which are the bot's again."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update

from bot.store.publications import Change, Publication, add_event, find, freeze, publication_of
from bot.store.schema import publications


def take_over(tx: Connection, publication: Publication, head: str, actor: str, now: datetime) -> None:
    """A person gives the branch, as it is at `head`, to the bot. No revision of the policy has worked on an adopted one."""
    values = {"taken_over": head, "adopted": False} | ({"revision": ""} if publication.adopted else {})
    tx.execute(update(publications).where(publications.c.id == publication.id).values(values))
    add_event(tx, publication.id, now, "taken_over", actor, head)
    if publication.frozen:
        freeze(tx, publication, "", now)


def needed_no_more(tx: Connection, change: Change, reason: str, now: datetime) -> bool:
    """An open pull request for the change is to be closed, with these words; False where there is none, or that is known."""
    known = find(tx, change)
    if known is None or known.state != "open" or known.adopted or known.done:
        return False
    tx.execute(update(publications).where(publications.c.id == known.id).values(done=reason))
    add_event(tx, known.id, now, "done", "whimbrel", reason)
    return True


def needed_again(tx: Connection, change: Change) -> None:
    """It was to be closed, and is not: the base needs it."""
    known = find(tx, change)
    if known is not None and known.state == "open" and known.done:
        tx.execute(update(publications).where(publications.c.id == known.id).values(done=""))


def to_be_closed(tx: Connection, org: str) -> list[Publication]:
    own = and_(publications.c.org == org, publications.c.state == "open", publications.c.done != "")
    return [publication_of(row) for row in tx.execute(select(publications).where(own).order_by(publications.c.id))]


def closed_as_done(tx: Connection, publication: Publication) -> None:
    """Whatever was noted meanwhile: it was closed because it was not needed, not by a person."""
    tx.execute(update(publications).where(publications.c.id == publication.id).values(done=publication.done))


def conflicting(tx: Connection, org: str, *, not_since: datetime) -> list[Publication]:
    """Open ones that conflict with their base, and have a head that the bot has not brought up to date by itself.

    None that it has refreshed after `not_since`, and none that others have opened.
    """
    found = tx.execute(
        select(publications)
        .where(
            publications.c.org == org,
            publications.c.state == "open",
            publications.c.conflicts.is_(True),
            publications.c.adopted.is_(False),
            *_may_begin(not_since),
        )
        .order_by(publications.c.refreshed_at, publications.c.id)
    )
    return [publication_of(row) for row in found]


def begin(tx: Connection, publication: Publication, now: datetime, *, not_since: datetime) -> bool:
    """Note that the head which was seen is brought up to date now; False where that has been begun already."""
    mine = update(publications).where(publications.c.id == publication.id, *_may_begin(not_since))
    return tx.execute(mine.values(refreshed_at=now, refreshed_head=publications.c.seen_head)).rowcount == 1


def _may_begin(not_since: datetime) -> tuple[ColumnElement[bool], ...]:
    rested = or_(publications.c.refreshed_at.is_(None), publications.c.refreshed_at <= not_since)
    return publications.c.seen_head != publications.c.refreshed_head, rested
