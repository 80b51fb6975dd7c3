"""What dead attempts left on this machine's disk."""

from __future__ import annotations

import contextlib
from functools import partial

from bot.domain.states import RunState
from bot.errors import NotFound
from bot.git import forget_dead
from bot.pipeline.oneshot_folders import clear_dead
from bot.pipeline.workspaces import discard
from bot.services import Services
from bot.store import runs


def discard_leftovers(services: Services) -> None:
    """Remove the folders that nobody works in any more; what cannot be removed now stays until the next time.

    What a dead attempt had made stays in the mirror, for the next one: no mirror is ever rid of objects.
    """
    clear_dead(services)
    forget_dead(services.mirrors, partial(_under_way, services))
    if not services.attempts.is_dir():
        return
    for folder in sorted(services.attempts.iterdir()):
        if not _under_way(services, folder.name):
            with contextlib.suppress(OSError):  # who has lost the run may be at work there still
                discard(folder)


def _under_way(services: Services, name: str) -> bool:
    """Is `RUN.FENCE` the attempt that has the run?"""
    run_id, _, fence = name.rpartition(".")
    try:
        with services.database.reading() as tx:
            run = runs.get(tx, run_id)
    except NotFound:
        return False
    return run.state is RunState.RUNNING and str(run.fence) == fence
