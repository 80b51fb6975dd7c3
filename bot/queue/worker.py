"""The RQ worker of a run: it forks a process, the work-horse, for each job, and tells when one is lost."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from importlib import import_module

from redis import Redis
from rq import Queue, Worker
from rq.job import Job

from bot.queue.jobs import EXECUTE, QUEUE, SERIALIZER, WORKER_TTL_SECONDS

OnLost = Callable[[str, int, str, bool], None]

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that forked it, in process `parent`, ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before we asked
        os.kill(os.getpid(), signal.SIGKILL)


class WhimbrelWorker(Worker):
    """Works on the queue; `on_lost(run_id, fence, reason, by_order)` is called when a work-horse did not finish its job.

    `by_order` tells that this worker was asked to stop: nothing is wrong with the job.
    The module of `function` is imported here, before any fork: an import in every work-horse costs seconds of CPU.
    SIGTERM or SIGINT once: finish the job, then end. Twice: kill the work-horse, call `on_lost`, end.
    """

    def __init__(self, connection: Redis, on_lost: OnLost, *, function: str = EXECUTE):
        import_module(function.rpartition(".")[0])
        self._on_lost = on_lost
        super().__init__(
            [QUEUE],
            connection=connection,
            serializer=SERIALIZER,
            worker_ttl=WORKER_TTL_SECONDS,
            job_monitoring_interval=5,
            maintenance_interval=15,
            log_job_description=False,
            work_horse_killed_handler=self._horse_killed,
        )

    def serve(self) -> None:
        """Work until a signal says to stop. Without RQ's scheduler: what is due is decided in SQL."""
        self.work(logging_level="WARNING")

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        # Else the work-horse of a killed worker works on, in parallel with the next attempt.
        die_with_parent(self.pid or 0)
        super().main_work_horse(job, queue)

    def execute_job(self, job: Job, queue: Queue) -> None:
        try:
            super().execute_job(job, queue)
        except SystemExit:
            # RQ killed the work-horse on the second signal, and leaves the job `started`.
            self._tell_lost(job, "the worker was told to stop at once", by_order=True)
            raise

    def _horse_killed(self, job: Job, _pid: int | None, wait_status: int | None, _usage: object) -> None:
        self._tell_lost(job, _why(job, wait_status))

    def _tell_lost(self, job: Job, reason: str, *, by_order: bool = False) -> None:
        run_id, fence = job.args
        self._on_lost(run_id, fence, reason, by_order)


def _why(job: Job, wait_status: int | None) -> str:
    if wait_status is None:
        return f"its process did not end by itself after {job.timeout} seconds, and was killed"
    if os.WIFSIGNALED(wait_status):
        number = os.WTERMSIG(wait_status)
        return f"its process was killed by signal {number} ({signal.strsignal(number)})"
    return f"its process ended with status {os.waitstatus_to_exitcode(wait_status)}"
