"""Where an org's own policies come from: the files that are in use, and what was found when they were last looked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, update

from bot.domain.org_policies import OrgPolicy
from bot.store.database import upsert
from bot.store.schema import policy_sources


@dataclass(frozen=True, slots=True)
class Source:
    """`commit` is what is in use, with its `files` by path; empty before the first that could be used.

    `seen` is the commit that was read last, `problem` why it is not in use, or why there is none; `told` whether that is shown
    beside it.
    """

    org: str
    repository: str
    commit: str
    files: Mapping[str, str]
    seen: str
    problem: str
    told: bool

    @property
    def name(self) -> str:
        """REPOSITORY@COMMIT."""
        return f"{self.org}/{self.repository}@{self.commit}"


def find(tx: Connection, org: OrgPolicy) -> Source | None:
    """As it is known of the place that the org policy names; None where that was not looked at yet."""
    if org.policies_from is None:
        return None
    found = tx.execute(select(policy_sources).where(policy_sources.c.org == org.org)).one_or_none()
    if found is None or (found.repository, found.folder, found.ref) != _place(org):
        return None
    return Source(
        found.org, found.repository, found.commit, json.loads(found.files), found.seen, found.problem, found.told
    )  # fmt: skip


def expect(tx: Connection, org: OrgPolicy, now: datetime) -> None:
    """Have the place that the org policy names be looked at; another one than before begins with nothing."""
    repository, folder, ref = _place(org)
    fresh = {"repository": repository, "folder": folder, "ref": ref, "commit": "", "files": "{}", "seen": ""}
    row = fresh | {"problem": "", "told": True, "look_at": now}
    tx.execute(upsert(tx, policy_sources).values(org=org.org, **row).on_conflict_do_nothing())
    elsewhere = (
        (policy_sources.c.repository != repository) | (policy_sources.c.folder != folder) | (policy_sources.c.ref != ref)
    )
    tx.execute(update(policy_sources).where(policy_sources.c.org == org.org, elsewhere).values(row))


def take_look(tx: Connection, org: str, *, now: datetime, every: timedelta) -> bool:
    """Is it time to look? Nobody else is told so before `every` has passed, or there is news."""
    due = update(policy_sources).where(policy_sources.c.org == org, policy_sources.c.look_at <= now)
    return tx.execute(due.values(look_at=now + every)).rowcount == 1


def expect_news(tx: Connection, org: str, now: datetime) -> None:
    """The host told of a change: it is time to look."""
    tx.execute(update(policy_sources).where(policy_sources.c.org == org).values(look_at=now))


def adopt(tx: Connection, source: Source, commit: str, files: Mapping[str, str]) -> bool:
    """From now on these files are in use; False where somebody else has read something since."""
    return _tell(tx, source, commit=commit, files=json.dumps(dict(files)), seen=commit, problem="", told=False)


def refuse(tx: Connection, source: Source, commit: str, problem: str) -> bool:
    """What is in use stays so; False where somebody else has read something since."""
    return _tell(tx, source, seen=commit, problem=problem, told=False)


def note_problem(tx: Connection, source: Source, problem: str) -> None:
    """There is nothing to be read."""
    _tell(tx, source, problem=problem)


def note_told(tx: Connection, source: Source) -> None:
    """What became of the commit that was read last is shown beside it."""
    _tell(tx, source, told=True)


def _tell(tx: Connection, source: Source, **values: Any) -> bool:
    return tx.execute(update(policy_sources).where(*_is(source)).values(values)).rowcount == 1


def _is(source: Source) -> tuple[ColumnElement[bool], ...]:
    own = (policy_sources.c.org == source.org, policy_sources.c.repository == source.repository)
    return (*own, policy_sources.c.commit == source.commit, policy_sources.c.seen == source.seen)


def _place(org: OrgPolicy) -> tuple[str, str, str]:
    assert org.policies_from is not None
    return org.policies_repository, org.policies_from.folder, org.policies_from.ref or ""
