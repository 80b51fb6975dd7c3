"""What is kept of an attempt beside its state: the timeline, the artifacts' index, and what templates rendered last."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, func, insert, select

from bot.domain.states import Outcome
from bot.store.database import upsert
from bot.store.schema import artifacts, attempts, campaigns, renderings, runs, timeline


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    id: int
    run_id: str
    target: str
    fence: int
    at: datetime
    stage: str
    message: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Artifact:
    """`file` is relative to the artifacts folder; `size` is in bytes."""

    kind: str
    file: str
    size: int
    sha256: str
    fence: int


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    fence: int
    worker: str
    base_head: str
    commit: str
    verdict: Mapping[str, Any] | None
    outcome: str | None
    reason: str
    started_at: datetime
    ended_at: datetime | None


def add_entry(
    tx: Connection, run_id: str, fence: int, *, at: datetime, stage: str, message: str, data: Mapping[str, Any]
) -> None:
    row = {"run_id": run_id, "fence": fence, "at": at, "stage": stage, "message": message, "data": json.dumps(dict(data))}
    tx.execute(insert(timeline).values(row))


def entries_of_run(tx: Connection, run_id: str) -> list[TimelineEntry]:
    return _entries(tx, timeline.c.run_id == run_id)


def entries_of_campaign(tx: Connection, campaign_id: str, *, after: int = 0) -> list[TimelineEntry]:
    """The campaign's timeline past the entry `after`, oldest first."""
    return _entries(tx, and_(runs.c.campaign_id == campaign_id, timeline.c.id > after))


def add_artifact(tx: Connection, run_id: str, artifact: Artifact, now: datetime) -> None:
    row = {"run_id": run_id, "fence": artifact.fence, "kind": artifact.kind, "file": artifact.file}
    tx.execute(insert(artifacts).values(row | {"size": artifact.size, "sha256": artifact.sha256, "at": now}))


def artifacts_of(tx: Connection, run_id: str) -> list[Artifact]:
    found = tx.execute(select(artifacts).where(artifacts.c.run_id == run_id).order_by(artifacts.c.id))
    return [Artifact(row.kind, row.file, row.size, row.sha256, row.fence) for row in found]


def attempts_of(tx: Connection, run_id: str) -> list[AttemptRecord]:
    found = tx.execute(select(attempts).where(attempts.c.run_id == run_id).order_by(attempts.c.fence))
    return [
        AttemptRecord(
            row.fence,
            row.worker,
            row.base_head,
            row.commit,
            json.loads(row.verdict) if row.verdict else None,
            row.outcome,
            row.reason,
            row.started_at,
            row.ended_at,
        )
        for row in found
    ]


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """What an attempt had made of its base when it came to nothing. `commit` is empty where nothing was to be changed."""

    fence: int
    commit: str
    made: Mapping[str, Any]


def left_behind(tx: Connection, run_id: str, base_head: str) -> LeftBehind | None:
    """The newest of the run, on this very base; nothing of what was attempted before the run has last ended."""
    own = attempts.c.run_id == run_id
    last_end = select(func.max(attempts.c.fence)).where(own, attempts.c.outcome.is_not(None)).scalar_subquery()
    unfinished = and_(attempts.c.outcome.is_(None), attempts.c.fence > func.coalesce(last_end, -1))
    found = tx.execute(
        select(attempts.c.fence, attempts.c.commit, attempts.c.made)
        .where(own, unfinished, attempts.c.made.is_not(None), attempts.c.base_head == base_head)
        .order_by(attempts.c.fence.desc())
        .limit(1)
    ).one_or_none()
    return None if found is None else LeftBehind(found.fence, found.commit, json.loads(found.made))


def has_ended_before(tx: Connection, run_id: str) -> bool:
    """Did an earlier attempt end the run, so that somebody has asked for this one?"""
    ended = select(attempts.c.fence).where(attempts.c.run_id == run_id, attempts.c.outcome.is_not(None)).limit(1)
    return tx.execute(ended).one_or_none() is not None


@dataclass(frozen=True, slots=True)
class Rejection:
    """A run whose change was refused, on the base commit `head`."""

    run_id: str
    head: str
    reason: str


def rejections(tx: Connection, org: str, policy: str, revision: str) -> dict[tuple[str, str, str], Rejection]:
    """The newest rejection of each target (repository, base, path) by this very revision; previews do not count."""
    found = tx.execute(
        select(runs.c.id, runs.c.repository, runs.c.base, runs.c.path, attempts.c.base_head, attempts.c.reason)
        .join(campaigns, campaigns.c.id == runs.c.campaign_id)
        .join(attempts, and_(attempts.c.run_id == runs.c.id, attempts.c.fence == runs.c.fence))
        .where(
            campaigns.c.org == org,
            campaigns.c.policy == policy,
            campaigns.c.revision == revision,
            campaigns.c.preview.is_(False),
            runs.c.outcome == Outcome.REJECTED,
        )
        .order_by(attempts.c.started_at)
    )
    return {(row.repository, row.base, row.path): Rejection(row.id, row.base_head, row.reason) for row in found}


def save_rendering(tx: Connection, key: tuple[str, str, str, str], content: bytes, now: datetime) -> None:
    """Remember what was last published for a file; `key` is (org, policy, repository, file)."""
    org, policy, repository, file = key
    row = {"org": org, "policy": policy, "repository": repository, "file": file, "content": content, "at": now}
    fresh = upsert(tx, renderings).values(row)
    tx.execute(fresh.on_conflict_do_update(index_elements=renderings.primary_key.columns, set_={"content": content, "at": now}))


def rendering(tx: Connection, key: tuple[str, str, str, str]) -> bytes | None:
    found: bytes | None = tx.execute(select(renderings.c.content).where(_rendering(key))).scalar_one_or_none()
    return found


def _rendering(key: tuple[str, str, str, str]) -> Any:
    org, policy, repository, file = key
    return and_(
        renderings.c.org == org,
        renderings.c.policy == policy,
        renderings.c.repository == repository,
        renderings.c.file == file,
    )


def _entries(tx: Connection, condition: Any) -> list[TimelineEntry]:
    found = tx.execute(
        select(timeline, runs.c.repository).join(runs, runs.c.id == timeline.c.run_id).where(condition).order_by(timeline.c.id)
    )
    return [
        TimelineEntry(row.id, row.run_id, row.repository, row.fence, row.at, row.stage, row.message, json.loads(row.data))
        for row in found
    ]
