"""Repositories that people have the bot leave alone, each with who said so, and where. `.whimbrel.yaml` is none of these."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, select

from bot.domain.policies import OFF_LABEL
from bot.store.database import upsert
from bot.store.schema import opt_outs


@dataclass(frozen=True, slots=True)
class OptOut:
    """`place` is such as `a comment on #5`."""

    repository: str
    actor: str
    place: str
    at: datetime

    @property
    def reason(self) -> str:
        return f"{self.actor} has the bot leave it alone: {self.place}"


def label_on(number: int) -> str:
    """The place of the label on an issue or a pull request."""
    return f"the label {OFF_LABEL} on #{number}"


def record(tx: Connection, org: str, opt_out: OptOut) -> bool:
    """False where it was left alone already: whoever said so first is kept."""
    row = {"org": org, "repository": opt_out.repository, "actor": opt_out.actor, "place": opt_out.place, "at": opt_out.at}
    fresh = upsert(tx, opt_outs).values(row).on_conflict_do_nothing().returning(opt_outs.c.repository)
    return tx.execute(fresh).one_or_none() is not None


def lift(tx: Connection, org: str, repository: str, place: str = "") -> bool:
    """False where it was not left alone: with a `place`, because of that one."""
    mine = delete(opt_outs).where(opt_outs.c.org == org, opt_outs.c.repository == repository)
    return tx.execute(mine.where(opt_outs.c.place == place) if place else mine).rowcount == 1


def find(tx: Connection, org: str, repository: str) -> OptOut | None:
    found = tx.execute(select(opt_outs).where(opt_outs.c.org == org, opt_outs.c.repository == repository)).one_or_none()
    return None if found is None else _opt_out(found)


def of_org(tx: Connection, org: str) -> dict[str, OptOut]:
    """By the repository's name, in its order."""
    found = tx.execute(select(opt_outs).where(opt_outs.c.org == org).order_by(opt_outs.c.repository))
    return {row.repository: _opt_out(row) for row in found}


def _opt_out(row: Row[tuple[Any, ...]]) -> OptOut:
    return OptOut(row.repository, row.actor, row.place, row.at)
