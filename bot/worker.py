"""The worker process: takes jobs from the queue, and makes one attempt of a run a job.

`python -m bot.worker` is one worker; `whimbrel worker -n N` keeps N of them. Everything heavy is imported here, in the parent,
so that the process forked for a job starts at once.
"""

from __future__ import annotations

import contextlib
import os
import socket
from importlib import import_module

from bot.config import Settings, assemble
from bot.gateway.prices import load_prices
from bot.pipeline.execution import execute as execute_run
from bot.pipeline.housekeeping import discard_leftovers
from bot.queue.connection import connect
from bot.queue.server import redis_server
from bot.queue.worker import WhimbrelWorker
from bot.store import runs
from bot.tracking.leases import reclaim, reclaim_orphans
from bot.tracking.presence import present

IMPORTED_LATE = ("git.cmd", "httpcore", "anyio._backends._asyncio", "uvicorn.protocols.http.h11_impl")


def worker_name(pid: int) -> str:
    """The name that leases carry, of the worker whose process this is."""
    return f"{socket.gethostname()}-{pid}"


def execute(run_id: str, fence: int) -> None:
    """The job: one attempt of one run. Runs in a process of its own, forked by the worker's."""
    with assemble(Settings.from_environment()) as services:
        execute_run(services, run_id, fence, worker=worker_name(os.getppid()))


def hand_back(run_id: str, fence: int, reason: str, by_order: bool) -> None:
    """RQ tells that a job's process is gone: its run need not wait until the lease runs out."""
    with assemble(Settings.from_environment()) as services:
        with services.database.reading() as tx:
            run = runs.get(tx, run_id)
        if run.fence == fence:
            reclaim(services, run, reason, counts=not by_order)
        discard_leftovers(services)


def preload() -> None:
    """What is otherwise read at its first use, and so anew by each process forked for a job, for 0.1 s of CPU."""
    for name in IMPORTED_LATE:
        with contextlib.suppress(ImportError):  # git.cmd wants git installed: without it, each attempt says so
            import_module(name)
    load_prices()


def main() -> None:
    preload()
    settings = Settings.from_environment()
    with assemble(settings) as services:
        reclaim_orphans(services)
        discard_leftovers(services)
    with present(settings.home, worker_name(os.getpid())), redis_server(settings.home, settings.redis_url) as url:
        os.environ["REDIS_URL"] = url  # for the processes forked for a job: speed limits are counted there
        WhimbrelWorker(connect(url), hand_back).serve()


if __name__ == "__main__":
    # RQ finds the job's function as `bot.worker.execute`: run the module under that name, not as __main__.
    from bot.worker import main as run_as_module

    run_as_module()
