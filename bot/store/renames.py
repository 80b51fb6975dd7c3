"""A repository that has another name now: what is kept by its name follows it, in one transaction.

Which repository it is, whatever its name, is told by the host's own id of it, as far as the host has one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, insert, select, update

from bot.store import tellings
from bot.store.schema import looked, opt_outs, publication_events, publications, renderings, repository_names, runs

_ASIDE = "/"
"""No repository's name begins so."""


def note_names(tx: Connection, org: str, listed: Mapping[str, str]) -> list[tuple[str, str]]:
    """Remember the names of repositories, by the host's id; return the (old, new) of those that have another one now.

    What was kept under the old names is under the new ones, also where two have changed theirs with each other.
    """
    found = tx.execute(select(repository_names).where(repository_names.c.org == org))
    known = {row.id: row.name for row in found}
    if fresh := [{"org": org, "id": each, "name": name} for each, name in listed.items() if each not in known]:
        tx.execute(insert(repository_names), fresh)
    moved = {each: (known[each], name) for each, name in listed.items() if known.get(each, name) != name}
    for each, (old, new) in moved.items():
        rename(tx, org, old, f"{_ASIDE}{each}")
        own = (repository_names.c.org == org, repository_names.c.id == each)
        tx.execute(update(repository_names).where(*own).values(name=new))
    for each, (_, new) in moved.items():
        rename(tx, org, f"{_ASIDE}{each}", new)
    return sorted(moved.values())


def rename(tx: Connection, org: str, old: str, new: str) -> bool:
    """Have what is kept by the name `old` follow to `new`; was there anything?"""
    moved = [
        _publications(tx, org, old, new),
        _runs(tx, org, old, new),
        _keyed(tx, renderings, ("policy", "file"), org, old, new),
        _keyed(tx, looked, ("policy", "base", "path"), org, old, new),
        _keyed(tx, opt_outs, (), org, old, new),
        tellings.rename(tx, org, old, new),
        _names(tx, org, old, new),
    ]
    return any(moved)


def _names(tx: Connection, org: str, old: str, new: str) -> int:
    same = update(repository_names).where(repository_names.c.org == org, repository_names.c.name == old)
    return tx.execute(same.values(name=new)).rowcount


def _publications(tx: Connection, org: str, old: str, new: str) -> int:
    """One row a change: where both names have one, an open pull request counts more, then the newer one."""
    theirs = {_change(row): row for row in tx.execute(_of(publications, org, new))}
    own = tx.execute(_of(publications, org, old)).all()
    for row in own:
        other = theirs.get(_change(row))
        if other is not None and _weight(other) > _weight(row):
            row, other = other, row  # noqa: PLW2901 - the other one is kept
        if other is not None:
            _give_up(tx, other.id, to=row.id)
        url = row.url.replace(f"/{org}/{old}/", f"/{org}/{new}/", 1)
        tx.execute(update(publications).where(publications.c.id == row.id).values(repository=new, url=url))
    return len(own)


def _give_up(tx: Connection, publication: int, *, to: int) -> None:
    for table in (runs, publication_events):
        tx.execute(update(table).where(table.c.publication_id == publication).values(publication_id=to))
    tx.execute(delete(publications).where(publications.c.id == publication))


def _change(row: Row[tuple[Any, ...]]) -> tuple[str, str, str]:
    return row.policy, row.base, row.path


def _weight(row: Row[tuple[Any, ...]]) -> tuple[bool, bool, Any]:
    return row.state == "open", row.number is not None, row.opened_at or row.intended_at


def _runs(tx: Connection, org: str, old: str, new: str) -> int:
    """Those that have ended too: what became of a change before is looked up by its repository's name."""
    found = tx.execute(_of(runs, org, old)).all()
    for row in found:
        facts = json.loads(row.facts)
        facts |= {"name": new, "url": facts["url"].replace(f"/{org}/{old}", f"/{org}/{new}", 1)}
        tx.execute(update(runs).where(runs.c.id == row.id).values(repository=new, facts=json.dumps(facts)))
    return len(found)


def _keyed(tx: Connection, table: Table, key: tuple[str, ...], org: str, old: str, new: str) -> int:
    """Rows whose primary key has the repository in it: of two with one key, the newer stays."""
    theirs = {tuple(getattr(row, each) for each in key): row for row in tx.execute(_of(table, org, new))}
    own = tx.execute(_of(table, org, old)).all()
    for row in own:
        values = tuple(getattr(row, each) for each in key)
        same = [table.c[each] == value for each, value in zip(key, values, strict=True)]
        mine, other = (table.c.org == org, table.c.repository == old, *same), theirs.get(values)
        if other is not None and other.at >= row.at:
            tx.execute(delete(table).where(*mine))
            continue
        if other is not None:
            tx.execute(delete(table).where(table.c.org == org, table.c.repository == new, *same))
        tx.execute(update(table).where(*mine).values(repository=new))
    return len(own)


def _of(table: Table, org: str, repository: str) -> Any:
    return select(table).where(table.c.org == org, table.c.repository == repository)
