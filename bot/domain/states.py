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
    """running until every run has ended; then completed.

    Nothing begins while it is interrupted (the next `run` of the policy takes it up), paused (`resume` does), or halted by the
    gate of a wave (`resume` goes on past it, and a new revision of the policy takes over).
    """

    RUNNING = "running"
    INTERRUPTED = "interrupted"
    PAUSED = "paused"
    HALTED = "halted"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class Stage(StrEnum):
    """The stages of one attempt, in order."""

    CHECKOUT = "checkout"
    STEPS = "steps"
    COLLECT = "collect"
    CHECK = "check"
    PUBLISH = "publish"
