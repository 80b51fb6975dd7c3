"""The folders of headless runs. A lock beside each tells whether its process lives: what a killed one left is cleared away."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.errors import StoreError
from bot.pipeline.workspaces import discard, workspace
from bot.ports import Workspace
from bot.services import Services
from bot.store import audit, campaigns, ledger


@contextmanager
def own_folders(services: Services, org: str, actor: str) -> Iterator[tuple[str, Workspace]]:
    """A new id and its folders, which are gone at the end."""
    exec_id = campaigns.new_id("x")
    lock, descriptor = _lock(services, exec_id, f"{org}\n{actor}\n")
    settled = True
    try:
        with workspace(services.execs / exec_id, services.sandbox.user) as place:
            yield exec_id, place
    except StoreError:
        settled = False  # the lock stays behind: whoever clears up settles what could not be settled here
        raise
    finally:
        if settled:
            lock.unlink()
        os.close(descriptor)


def clear_dead(services: Services) -> None:
    """Settle what killed runs had reserved, say in the audit trail that they are dead, and remove their folders."""
    for lock in sorted(services.execs.glob("x*.lock")):
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if lock.exists():  # nobody else was faster
                _bury(services, lock)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)


def _lock(services: Services, exec_id: str, text: str) -> tuple[Path, int]:
    """It gets its name when it is held and written: a lock of that name which nobody holds is a dead one's."""
    services.execs.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = services.execs / f"{exec_id}.lock"
    fresh = lock.with_suffix(".new")
    descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.write(descriptor, text.encode())
    fresh.rename(lock)
    return lock, descriptor


def _bury(services: Services, lock: Path) -> None:
    exec_id = lock.stem
    org, actor = lock.read_text().splitlines()
    with services.database.transaction() as tx:
        account = ledger.account(tx, "attempt", exec_id)
        if account is not None and (account.left or account.reserved):
            ledger.close_attempt(tx, exec_id, clock=services.clock)
            audit.append(
                tx, services.audit_key, services.clock, org=org, actor=actor, action="exec.failed", subject=exec_id,
                reason="its process was killed", details={"outcome": "failed", "error": "killed"},
            )  # fmt: skip
    discard(services.execs / exec_id)
    lock.unlink()
