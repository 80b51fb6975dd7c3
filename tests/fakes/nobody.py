"""Root reads and writes whatever its mode: what a mode keeps others from is tested as `nobody`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

NOBODY = 65534


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root steps down for as long as this lasts; anybody else stays who he is. Only files that all may reach are reached."""
    user = os.geteuid()
    if user == 0:
        os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(user, user, user)
