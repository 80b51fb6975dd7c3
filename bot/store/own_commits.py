"""Which commits are the bot's own: each attempt records those that it makes before anybody else can see them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, or_, select

from bot.store.schema import attempts, campaigns, runs

ASKED_AT_ONCE = 500
"""SQLite and Postgres take no endless lists."""


@dataclass(frozen=True, slots=True)
class Own:
    """What an attempt recorded: `commit` is the change by itself, on `base`; `head` what joins it with people's commits, or "".

    `revision` is the policy's, and `made` what the steps told besides.
    """

    commit: str
    base: str
    head: str
    revision: str
    made: Mapping[str, Any]


def own_among(tx: Connection, commits: Sequence[str]) -> dict[str, Own]:
    """Those of the commits (full ids) that are the bot's, by their id."""
    found: dict[str, Own] = {}
    wanted = set(commits) - {""}  # most attempts have joined nothing
    for own in _found(tx, sorted(wanted)):
        found |= {name: own for name in (own.commit, own.head) if name in wanted}
    return found


def strangers(tx: Connection, commits: Sequence[str]) -> list[str]:
    """Those of the commits that no attempt has recorded: people made them."""
    ours = own_among(tx, commits)
    return [commit for commit in commits if commit not in ours]


def _found(tx: Connection, commits: Sequence[str]) -> Iterator[Own]:
    recorded = (
        select(attempts.c.commit, attempts.c.base_head, attempts.c.head, attempts.c.made, campaigns.c.revision)
        .join(runs, runs.c.id == attempts.c.run_id)
        .join(campaigns, campaigns.c.id == runs.c.campaign_id)
    )
    for start in range(0, len(commits), ASKED_AT_ONCE):
        some = commits[start : start + ASKED_AT_ONCE]
        for row in tx.execute(recorded.where(or_(attempts.c.commit.in_(some), attempts.c.head.in_(some)))):
            yield Own(row.commit, row.base_head, row.head, row.revision, json.loads(row.made) if row.made else {})
