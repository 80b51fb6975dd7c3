"""Which pull requests the host is asked about next: never all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, and_, or_, select, update

from bot.store.publications import NOBODY, Publication, forgotten, publication_of
from bot.store.schema import publications


def due(tx: Connection, org: str, before: datetime, limit: int) -> list[Publication]:
    """Of what the host must be asked about: those with news, and then those that were last looked at longest ago.

    None that was looked at after `before`.
    """
    waits = or_(publications.c.looked_at.is_(None), publications.c.looked_at <= before)
    opened = select(publications).where(publications.c.org == org, publications.c.state == "open", waits)
    longest = opened.order_by(publications.c.looked_at.nulls_first()).limit(limit)
    left = select(publications).where(publications.c.org == org, forgotten(), waits).limit(limit)
    return [publication_of(row) for each in (longest, left) for row in tx.execute(each)]


def closed_lately(tx: Connection, org: str, *, since: datetime, before: datetime, limit: int) -> list[Publication]:
    """Those that were closed after `since`, and not looked at after `before`: somebody may have opened one again.

    One that went with its repository may still be open there, where nobody can merge it: it comes back with the repository.
    """
    of_it = and_(
        publications.c.org == org,
        publications.c.state == "closed",
        publications.c.number.is_not(None),
        publications.c.closed_by != NOBODY,
    )
    found = select(publications).where(of_it, publications.c.settled_at > since, publications.c.looked_at <= before)
    return [publication_of(row) for row in tx.execute(found.order_by(publications.c.looked_at).limit(limit))]


def with_news(tx: Connection, org: str, limit: int) -> list[Publication]:
    """The open ones of which something was told, or nothing is known yet."""
    of_it = and_(publications.c.org == org, publications.c.state == "open", publications.c.looked_at.is_(None))
    return [
        publication_of(row) for row in tx.execute(select(publications).where(of_it).order_by(publications.c.id).limit(limit))
    ]


def expect_news(tx: Connection, org: str, repository: str, *, number: int | None = None, head: str = "") -> None:
    """Something has happened to the open ones of a repository, to that one alone, or to those at a commit: they are the first
    to be looked at."""
    told = update(publications).where(
        publications.c.org == org, publications.c.repository == repository, publications.c.state == "open"
    )
    if number is not None:
        told = told.where(publications.c.number == number)
    if head:
        told = told.where(or_(publications.c.seen_head == head, publications.c.head == head))
    tx.execute(told.values(looked_at=None))


def looked_at(tx: Connection, some: Sequence[Publication], now: datetime) -> None:
    """The host tells nothing new of them."""
    tx.execute(update(publications).where(publications.c.id.in_([each.id for each in some])).values(looked_at=now))
