"""Pull requests that follow their base: which are to be brought up to date, and which are the bot's again."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, or_, select, update

from bot.store.publications import Publication, add_event, freeze
from bot.store.schema import publications


def take_over(tx: Connection, publication: Publication, head: str, actor: str, now: datetime) -> None:
    """A person gives the branch, as it is at `head`, to the bot."""
    tx.execute(update(publications).where(publications.c.id == publication.id).values(taken_over=head, adopted=False))
    add_event(tx, publication.id, now, "taken_over", actor, head)
    if publication.frozen:
        freeze(tx, publication, "", now)


def conflicting(tx: Connection, org: str, *, not_since: datetime) -> list[int]:
    """Open ones that conflict with their base, and have a head that the bot has not tried to refresh; by their ids.

    None that it has refreshed after `not_since`, and none that others have opened.
    """
    found = tx.execute(
        select(publications.c.id)
        .where(
            publications.c.org == org,
            publications.c.state == "open",
            publications.c.conflicts.is_(True),
            publications.c.adopted.is_(False),
            publications.c.seen_head != publications.c.refreshed_head,
            or_(publications.c.refreshed_at.is_(None), publications.c.refreshed_at <= not_since),
        )
        .order_by(publications.c.refreshed_at, publications.c.id)
    )
    return list(found.scalars())


def begin_refresh(tx: Connection, publication: Publication, now: datetime, *, not_since: datetime) -> bool:
    """Note that this head is refreshed now; False where somebody else has begun it."""
    mine = update(publications).where(
        publications.c.id == publication.id,
        publications.c.refreshed_head != publication.facts.seen_head,
        or_(publications.c.refreshed_at.is_(None), publications.c.refreshed_at <= not_since),
    )
    return tx.execute(mine.values(refreshed_at=now, refreshed_head=publication.facts.seen_head)).rowcount == 1
