"""A setup that somebody at the command line has begun and a browser is to finish: one at a time, in a file of the home.

The file has the hashes of its two secrets alone. The token, which the command line prints, opens the page; the state, made anew
each time it is opened, comes back with the browser from GitHub. Whoever brings the state takes the setup away: it ends once.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

LIFE = timedelta(hours=1)
"""GitHub's own code for the key of a new App lives as long."""


class Pending(BaseModel):
    """`url` is the instance; `callback` is where it sends the browser back to; an empty `webhook_url` is none."""

    model_config = ConfigDict(frozen=True)

    url: str
    org: str
    callback: str
    webhook_url: str
    expires_at: AwareDatetime
    token_hash: str
    state_hash: str = ""


def begin(home: Path, *, url: str, org: str, callback: str, webhook_url: str, now: datetime) -> str:
    """Begin a setup in the place of an earlier one; return its token."""
    token = secrets.token_urlsafe(32)
    pending = Pending(
        url=url, org=org, callback=callback, webhook_url=webhook_url, expires_at=now + LIFE, token_hash=_hash(token)
    )
    with _locked(home):
        _write(home, pending)
    return token


def is_pending(home: Path, now: datetime) -> bool:
    with _locked(home):
        return _read(home, now) is not None


def enter(home: Path, token: str, now: datetime) -> tuple[Pending, str] | None:
    """The setup that this token opens, with a new state; None for another token."""
    with _locked(home):
        pending = _read(home, now)
        if pending is None or not _matches(token, pending.token_hash):
            return None
        state = secrets.token_urlsafe(32)
        _write(home, pending.model_copy(update={"state_hash": _hash(state)}))
        return pending, state


@contextmanager
def finishing(home: Path, state: str, now: datetime) -> Iterator[Pending | None]:
    """Take the setup with this state away, None for another state; an error in the block puts it back, to be tried again."""
    with _locked(home):
        pending = _read(home, now)
        if pending is not None and not _matches(state, pending.state_hash):
            pending = None
        if pending is not None:
            _file(home).unlink()
    try:
        yield pending
    except BaseException:
        with _locked(home):
            if pending is not None and not _file(home).exists():
                _write(home, pending)
        raise


def abandon(home: Path, token: str) -> None:
    """End the setup of this token, if it is still there."""
    with _locked(home):
        pending = _parse(home)
        if pending is not None and _matches(token, pending.token_hash):
            _file(home).unlink()


def _read(home: Path, now: datetime) -> Pending | None:
    pending = _parse(home)
    return pending if pending is not None and now < pending.expires_at else None


def _parse(home: Path) -> Pending | None:
    try:
        return Pending.model_validate_json(_file(home).read_bytes())
    except (FileNotFoundError, ValidationError):  # the latter: one that was killed while it wrote
        return None


def _write(home: Path, pending: Pending) -> None:
    descriptor = os.open(_file(home), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(pending.model_dump_json())


def _file(home: Path) -> Path:
    return home / "setup-github.json"


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    descriptor = os.open(home / "setup-github.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def _matches(given: str, known_hash: str) -> bool:
    return compare_digest(_hash(given), known_hash)
