"""Tellings: what is to be shown on a host, kept as intents until it is: the comments that follow runs, and check reports.

Each is a row of `effects`, taken by one process at a time. Where that dies of it, another one takes it up when it is due again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, delete, or_, select, update

from bot.domain.pull_requests import Thread
from bot.store.database import upsert
from bot.store.effects import BEGUN, DONE
from bot.store.schema import effects

ANSWERS_KEPT = 10

Kind = Literal["status", "check", "proposal", "control"]


@dataclass(frozen=True, slots=True)
class Telling:
    """`data` of a status: `repository`, `number` and `kind` of the thread, `runs` (a note by run id), `asked` (how often),
    `told` (a digest of what is shown). Of a check: `run`, `fence`, `commit`.

    Of a proposal: `number`, `branch`, `head`, `said` (was anything shown?). Of a control issue: `campaign`, `repository`,
    `number` (0 before it is opened), `told`, `answers` (what came of each tick, the last ones, by its key).
    """

    org: str
    key: str
    data: Mapping[str, Any]
    due: datetime


def follow(tx: Connection, org: str, repository: str, thread: Thread, run_id: str, note: str, now: datetime) -> None:
    """From now on the bot's one comment on an issue or pull request tells of this run too, until it has ended."""
    key, fresh = _status_key(repository, thread), _nothing_asked(repository, thread)
    tx.execute(upsert(tx, effects).values(_row(org, key, fresh, now)).on_conflict_do_nothing())
    before = json.loads(tx.execute(_one(org, key).with_for_update()).one().result)
    runs = {name: said for name, said in before["runs"].items() if name != run_id} | {run_id: note}
    now_asked = {**before, "runs": runs, "asked": before["asked"] + 1}
    tx.execute(update(effects).where(*_is(org, key)).values(_row(org, key, now_asked, now)))


def followed(tx: Connection, org: str, repository: str, thread: Thread) -> list[str]:
    """The runs that the comment there tells of, the one that was asked for last at the end."""
    known = tx.execute(_one(org, _status_key(repository, thread))).one_or_none()
    return list(json.loads(known.result)["runs"]) if known else []


def intend_check(tx: Connection, org: str, repository: str, commit: str, run_id: str, fence: int, now: datetime) -> None:
    """What is known of this commit shall be shown beside it, once the run has ended."""
    row = _row(org, _key("check", repository, run_id, commit), {"run": run_id, "fence": fence, "commit": commit}, now)
    again = {name: row[name] for name in ("state", "result", "at")}
    tx.execute(upsert(tx, effects).values(row).on_conflict_do_update(index_elements=effects.primary_key.columns, set_=again))


def intend_proposal(tx: Connection, org: str, repository: str, number: int, branch: str, head: str, now: datetime) -> None:
    """What a proposal of policies would come to shall be told on its pull request, once for each commit that it is at."""
    key, fresh = _key("proposal", repository, str(number)), {"number": number, "branch": branch, "head": head, "said": False}
    tx.execute(upsert(tx, effects).values(_row(org, key, fresh, now)).on_conflict_do_nothing())
    known = json.loads(tx.execute(_one(org, key).with_for_update()).one().result)
    if known["head"] != head:
        anew = _row(org, key, fresh | {"said": known["said"]}, now)
        tx.execute(update(effects).where(*_is(org, key)).values(anew))


def intend_control(tx: Connection, org: str, campaign_id: str, repository: str, now: datetime) -> None:
    """A campaign has an issue; where that had told all there was, it goes on."""
    fresh = {"campaign": campaign_id, "repository": repository, "number": 0, "told": "", "answers": {}}
    row = _row(org, _key("control", campaign_id), fresh, now)
    again = {"state": BEGUN, "at": now}
    tx.execute(
        upsert(tx, effects)
        .values(row)
        .on_conflict_do_update(index_elements=effects.primary_key.columns, set_=again, where=effects.c.state == DONE)
    )


def is_told(tx: Connection, org: str, campaign_id: str) -> bool:
    """Is the campaign's control issue kept up already?"""
    known = tx.execute(_one(org, _key("control", campaign_id))).one_or_none()
    return known is not None and bool(known.state == BEGUN)


def control_of(tx: Connection, org: str, campaign_id: str) -> Telling | None:
    row = tx.execute(_one(org, _key("control", campaign_id))).one_or_none()
    return Telling(row.org, row.key, json.loads(row.result), row.at) if row else None


def answer_tick(tx: Connection, org: str, campaign_id: str, key: str, words: str, now: datetime) -> None:
    """What came of a tick is told in the issue at once, which also has the box open again; told twice, it is told once."""
    where = _is(org, _key("control", campaign_id))
    known = json.loads(tx.execute(select(effects).where(*where).with_for_update()).one().result)
    answers = dict([*((name, said) for name, said in known["answers"].items() if name != key), (key, words)][-ANSWERS_KEPT:])
    result = json.dumps(known | {"answers": answers, "told": ""})
    tx.execute(update(effects).where(*where).values(result=result, state=BEGUN, at=now))


def waiting(tx: Connection, kind: Kind, orgs: Iterable[str], now: datetime) -> list[Telling]:
    """What is to be told, the longest due first."""
    own = effects.c.key.between(f"{kind}:", f"{kind};")
    found = tx.execute(
        select(effects)
        .where(effects.c.org.in_(list(orgs)), own, effects.c.state == BEGUN, effects.c.at <= now)
        .order_by(effects.c.at)
    )
    return [Telling(row.org, row.key, json.loads(row.result), row.at) for row in found]


def take(tx: Connection, telling: Telling, until: datetime) -> bool:
    """Nobody else tells it before `until`; False where somebody else has taken it."""
    mine = update(effects).where(*_is(telling.org, telling.key), effects.c.at == telling.due)
    return tx.execute(mine.values(at=until)).rowcount == 1


def told(tx: Connection, telling: Telling, now: datetime, *, done: bool, **changes: Any) -> None:
    """It is shown; `done` when nothing more is to come. What was asked for meanwhile is not lost: it is told next time."""
    tx.execute(
        update(effects)
        .where(*_is(telling.org, telling.key), effects.c.result == json.dumps(dict(telling.data)))
        .values(result=json.dumps({**telling.data, **changes}), state=DONE if done else BEGUN, at=now)
    )


def rename(tx: Connection, org: str, old: str, new: str) -> int:
    """What is told in a repository is told under its new name. Where both have a comment of their own, that one goes on."""
    own = or_(effects.c.key.between("status:", "status;"), effects.c.key.between("control:", "control;"))
    named = effects.c.result.contains(f'"repository": {json.dumps(old)}', autoescape=True)
    found = tx.execute(select(effects).where(effects.c.org == org, own, named)).all()
    for row in found:
        data = json.loads(row.result)
        key = _status_key(new, Thread(data["number"], data["kind"])) if "kind" in data else row.key
        if key != row.key and tx.execute(_one(org, key)).one_or_none() is not None:
            tx.execute(delete(effects).where(*_is(org, row.key)))
        else:
            result = json.dumps(data | {"repository": new})
            tx.execute(update(effects).where(*_is(org, row.key)).values(key=key, result=result))
    return len(found)


def _nothing_asked(repository: str, thread: Thread) -> dict[str, Any]:
    return {"repository": repository, "number": thread.number, "kind": thread.kind, "runs": {}, "asked": 0, "told": ""}


def _status_key(repository: str, thread: Thread) -> str:
    return _key("status", repository, thread.kind, str(thread.number))


def _one(org: str, key: str) -> Select[Any]:
    return select(effects).where(*_is(org, key))


def _is(org: str, key: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return effects.c.org == org, effects.c.key == key


def _row(org: str, key: str, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"org": org, "key": key, "state": BEGUN, "result": json.dumps(dict(data)), "at": now}


def _key(kind: Kind, *parts: str) -> str:
    return f"{kind}:{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()}"
