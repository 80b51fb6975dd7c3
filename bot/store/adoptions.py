"""Pull requests that others have opened for a change of a policy: from then on they are that change's, and never pushed to."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, update

from bot.domain.pull_requests import PullRequest
from bot.store.publications import NOTHING_KNOWN, Change, add_event, find
from bot.store.schema import publications


def adopt(tx: Connection, change: Change, found: PullRequest, revision: str, actor: str, now: datetime) -> None:
    """It takes the place of whatever was settled before. It was opened already: the hour's ceiling does not count it."""
    opened: dict[str, Any] = {
        **NOTHING_KNOWN,
        "branch": found.branch,
        "state": "open",
        "number": found.number,
        "url": found.url,
        "head": "",
        "base_head": "",
        "revision": revision,
        "intended_at": now,
        "opened_at": None,
        "adopted": True,
        "frozen": f"{found.author} has opened it",
    }
    known = find(tx, change)
    if known is None:
        tx.execute(insert(publications).values(opened | asdict(change)))
    else:
        tx.execute(update(publications).where(publications.c.id == known.id).values(opened))
    made = find(tx, change)
    assert made is not None, "it was written just now"
    add_event(tx, made.id, now, "adopted", actor, f"{found.url}, opened by {found.author}")
