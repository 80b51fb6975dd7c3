"""What dead attempts left on this machine's disk."""

from __future__ import annotations

from bot.domain.states import RunState
from bot.errors import NotFound
from bot.pipeline.workspaces import discard
from bot.services import Services
from bot.store import runs


def discard_leftovers(services: Services) -> list[str]:
    """Remove the folders of attempts that nobody is working on any more; return their names."""
    if not services.attempts.is_dir():
        return []
    leftovers = [folder for folder in sorted(services.attempts.iterdir()) if not _under_way(services, folder.name)]
    for folder in leftovers:
        discard(folder)
    return [folder.name for folder in leftovers]


def _under_way(services: Services, name: str) -> bool:
    """Is `RUN.FENCE`, or its `.check`, the attempt that has the run?"""
    run_id, _, fence = name.removesuffix(".check").rpartition(".")
    try:
        with services.database.reading() as tx:
            run = runs.get(tx, run_id)
    except NotFound:
        return False
    return run.state is RunState.RUNNING and str(run.fence) == fence
