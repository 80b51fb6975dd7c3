"""Which failed attempts are followed by another one, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from bot.errors import AgentCrashed, CeilingReached, HostLimited, StaleHead, WhimbrelError

FIRST_WAIT = timedelta(seconds=15)
LONGEST_WAIT = timedelta(minutes=15)
SETBACKS_ALLOWED = 10
"""With the waits between them more than an hour: what has not passed by then does not pass by itself."""

Counter = Literal["tries", "setbacks"]


@dataclass(frozen=True, slots=True)
class Again:
    """Another attempt, `after` the end of this one, which counts as one of the run's tries or setbacks, or as neither."""

    after: timedelta
    counts_as: Counter | None


def again(error: WhimbrelError, *, tries: int, setbacks: int, tries_allowed: int) -> Again | None:
    """What follows an attempt that `error` ended, after so many earlier `tries` and `setbacks`; None: the run has ended.

    Whoever waits for a place has done nothing wrong. What passes by itself (a host, an API, a branch that was moved meanwhile)
    uses up no try. An agent that ended without a result does. Everything else would only happen again.
    """
    match error:
        case CeilingReached() | HostLimited():
            return Again(_wait(error, 0), None)
        case AgentCrashed():
            return Again(_wait(error, tries), "tries") if tries + 1 < tries_allowed else None
        case StaleHead() | WhimbrelError(retryable=True):
            return Again(_wait(error, setbacks), "setbacks") if setbacks < SETBACKS_ALLOWED else None
        case _:
            return None


def _wait(error: WhimbrelError, before: int) -> timedelta:
    """What was asked for; else twice as long as the last time."""
    if error.retry_after:
        return timedelta(seconds=error.retry_after)
    return min(LONGEST_WAIT, FIRST_WAIT * (1 << before))
