"""The states of campaigns and runs, and the outcomes of a run."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How a run ended. Only `failed` makes a command exit with 1, only `budget_exhausted` with 3."""

    PUBLISHED = "published"
    REPORTED = "reported"
    NO_CHANGE = "no_change"
    REJECTED = "rejected"
    SKIPPED = "skipped"
    FAILED = "failed"
    BUDGET_EXHAUSTED = "budget_exhausted"


class RunState(StrEnum):
    """pending -> dispatched -> running -> ended; dispatched and running go back to pending when their lease expires."""

    PENDING = "pending"
    DISPATCHED = "dispatched"
    RUNNING = "running"
    ENDED = "ended"


class CampaignState(StrEnum):
    """running until every run has ended; then completed. `interrupted` is taken up again by the next `run`."""

    RUNNING = "running"
    COMPLETED = "completed"
    INTERRUPTED = "interrupted"


class Stage(StrEnum):
    """The stages of one attempt, in order."""

    CHECKOUT = "checkout"
    STEPS = "steps"
    COLLECT = "collect"
    CHECK = "check"
    PUBLISH = "publish"


RUN_TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    RunState.PENDING: frozenset({RunState.DISPATCHED, RunState.ENDED}),
    RunState.DISPATCHED: frozenset({RunState.RUNNING, RunState.PENDING}),
    RunState.RUNNING: frozenset({RunState.ENDED, RunState.PENDING}),
    RunState.ENDED: frozenset(),
}
