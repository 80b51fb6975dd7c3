"""What checks came to on untouched bases. A row is of one repository, and no other one's checks ever see it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, delete, select

from bot.domain.comparing import Baseline
from bot.store.database import upsert
from bot.store.schema import baselines

KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class BaselineKey:
    """`digest` is of the check, its limits, and of what is installed where it runs."""

    org: str
    repository: str
    commit: str
    digest: str


def find(tx: Connection, key: BaselineKey) -> Baseline | None:
    own = and_(*(baselines.c[name] == value for name, value in asdict(key).items()))
    found = tx.execute(select(baselines.c.result).where(own)).scalar_one_or_none()
    return None if found is None else Baseline.from_json(found)


def keep(tx: Connection, key: BaselineKey, baseline: Baseline, now: datetime) -> None:
    """In the place of what was kept; what nobody has renewed for a month is dropped."""
    assert not baseline.inconclusive
    fresh = {"result": baseline.to_json(), "at": now}
    statement = upsert(tx, baselines).values(asdict(key) | fresh)
    tx.execute(statement.on_conflict_do_update(index_elements=baselines.primary_key.columns, set_=fresh))
    tx.execute(delete(baselines).where(baselines.c.at < now - KEPT))
