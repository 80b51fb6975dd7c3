"""The one RQ queue: its jobs are messages that name a run and its fence; SQL decides what they mean."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from redis import Redis, WatchError
from rq import Queue
from rq.command import send_stop_job_command
from rq.exceptions import DuplicateJobError, InvalidJobOperation, NoSuchJobError
from rq.job import Job
from rq.utils import utcparse
from rq.worker_registration import get_keys

QUEUE = "whimbrel"
EXECUTE = "bot.worker.execute"
SERIALIZER = "json"
WORKER_TTL_SECONDS = 30

_RESULT_TTL_SECONDS = 60
_FAILURE_TTL_SECONDS = 24 * 3600


def job_id(run_id: str, fence: int) -> str:
    """The job of one dispatch of a run; RQ takes letters, digits, `_` and `-`."""
    return f"run-{run_id}-{fence}"


class JobQueue:
    """Jobs that call `function(run_id, fence)`, a dotted name, in a worker. Raises redis.RedisError when Redis is away."""

    def __init__(self, connection: Redis, *, function: str = EXECUTE):
        self._connection = connection
        self._function = function
        self._queue = Queue(QUEUE, connection=connection, serializer=SERIALIZER)

    def enqueue(self, run_id: str, fence: int, *, timeout_seconds: int) -> None:
        """Put the job on the queue, unless it is queued or started already; one that has ended is put there anew."""
        if self._put(run_id, fence, timeout_seconds):
            return
        self._forget_ended(job_id(run_id, fence))
        self._put(run_id, fence, timeout_seconds)

    def known(self, job_ids: Iterable[str]) -> set[str]:
        """Those of `job_ids` that Redis still has as queued or started; what is missing was lost, or has ended."""
        # One transaction: a job moves along these three, and is always in at least one of them.
        with self._connection.pipeline(transaction=True) as pipeline:
            pipeline.lrange(self._queue.key, 0, -1)
            pipeline.lrange(self._queue.intermediate_queue_key, 0, -1)
            pipeline.zrangebyscore(self._queue.started_job_registry.key, time.time(), "+inf")
            queued, taken, executions = pipeline.execute()
        started = [execution.partition(b":")[0] for execution in executions]
        return {name.decode() for name in (*queued, *taken, *started)} & set(job_ids)

    def depth(self) -> int:
        """How many jobs wait for a worker."""
        return self._queue.count

    def stop(self, run_id: str, fence: int) -> None:
        """Take the job off the queue, or kill the process that works on it (`on_lost` is not called then)."""
        name = job_id(run_id, fence)
        with suppress(NoSuchJobError):
            try:
                send_stop_job_command(self._connection, name, serializer=SERIALIZER)
            except InvalidJobOperation:  # no worker has it
                Job.fetch(name, connection=self._connection, serializer=SERIALIZER).delete()

    def workers(self) -> list[str]:
        """The names of the workers that gave a sign of life lately, sorted."""
        keys = sorted(get_keys(queue=self._queue))
        with self._connection.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.hget(key, "last_heartbeat")
            heartbeats = pipeline.execute()
        oldest = datetime.now(UTC) - timedelta(seconds=WORKER_TTL_SECONDS)
        alive = [key for key, beat in zip(keys, heartbeats, strict=True) if beat and utcparse(beat.decode()) > oldest]
        return [key.rpartition(":")[2] for key in alive]

    def _put(self, run_id: str, fence: int, timeout_seconds: int) -> bool:
        try:
            self._queue.enqueue_call(
                self._function,
                args=(run_id, fence),
                timeout=timeout_seconds,
                result_ttl=_RESULT_TTL_SECONDS,
                failure_ttl=_FAILURE_TTL_SECONDS,
                job_id=job_id(run_id, fence),
                unique=True,
            )
        except DuplicateJobError:
            return False
        return True

    def _forget_ended(self, name: str) -> None:
        """Drop what RQ keeps of a job that has ended, unless somebody else puts it back at this very moment."""
        key = Job.key_for(name)
        with self._connection.pipeline() as pipeline:
            pipeline.watch(key)  # type: ignore[no-untyped-call]
            if self.known([name]):
                return
            pipeline.multi()
            pipeline.delete(key)
            with suppress(WatchError):
                pipeline.execute()
