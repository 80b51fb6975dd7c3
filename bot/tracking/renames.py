"""Repositories that were renamed: all that is kept about them follows, whoever notices first.

An event tells of it; or a host that is asked by the old name does; or a listing, which has another name under a known id.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sqlalchemy import Connection

from bot.domain.repositories import Repository
from bot.errors import GitError, NotFound, Renamed, WhimbrelError
from bot.git import move_mirror
from bot.services import Services
from bot.store import audit, renames

log = logging.getLogger(__name__)


def follow(services: Services, org: str, old: str, new: str, *, actor: str = "whimbrel") -> None:
    """Everything under the name `old` is under `new` from now on; both are names below the org."""
    with services.database.transaction() as tx:
        if renames.rename(tx, org, old, new):
            _record(tx, services, org, old, new, actor)
    _move_mirror(services, org, old, new)


def follow_error(services: Services, org: str, error: Renamed) -> str:
    """Follow what a host has told; return the new name below the org. Raises NotFound for one that has left the org."""
    old, new = below(org, error.old), below(org, error.new)
    if old is None or new is None:
        raise NotFound(f"{error.old} was transferred: it is {error.new} now", mend="a policy for its new place finds it there")
    follow(services, org, old, new)
    return new


def follow_listed(services: Services, org: str, listed: Sequence[Repository]) -> None:
    """Where a listing has a known repository under another name, that is followed."""
    names = {each.id: each.name for each in listed if each.id}
    if not names:
        return
    with services.database.transaction() as tx:
        moved = renames.note_names(tx, org, names)
        for old, new in moved:
            _record(tx, services, org, old, new, "whimbrel")
    for old, new in moved:
        _move_mirror(services, org, old, new)


def followed(services: Services, org: str, error: WhimbrelError) -> WhimbrelError:
    """The error as it is, after a rename was followed; of a repository that has left the org, that it is not there."""
    if not isinstance(error, Renamed):
        return error
    try:
        follow_error(services, org, error)
    except NotFound as left:
        return left
    return error


def below(org: str, full_name: str) -> str | None:
    """The name below the org; None for what is elsewhere. Hosts tell no names apart by their case."""
    inside = full_name.casefold().startswith(f"{org}/".casefold())
    return full_name[len(org) + 1 :] if inside else None


def _move_mirror(services: Services, org: str, old: str, new: str) -> None:
    try:
        move_mirror(services.mirrors, org, old, new)
    except GitError as error:  # it costs a fetch, and nothing else
        log.warning("the mirror of %s/%s stays behind: %s", org, old, error.explanation)


def _record(tx: Connection, services: Services, org: str, old: str, new: str, actor: str) -> None:
    audit.append(
        tx, services.audit_key, services.clock, org=org, actor=actor, action="repository.renamed",
        subject=f"{org}/{new}", details={"from": f"{org}/{old}"},
    )  # fmt: skip
