"""Which failures are followed by another attempt: what passes by itself, and an agent that may do better."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.retries import LONGEST_WAIT, SETBACKS_ALLOWED, Again, again
from bot.errors import (
    AgentCrashed,
    AgentFailed,
    CeilingReached,
    ChangeRefused,
    CommandFailed,
    GitError,
    HostLimited,
    HostUnavailable,
    LimitReached,
    QuotaRefused,
    SandboxError,
    StaleHead,
    WhimbrelError,
)

PASSES = [
    HostUnavailable("503"),
    GitError("reset", retryable=True),
    SandboxError("killed from outside", retryable=True),
    AgentFailed("the API is overloaded", retryable=True),
    StaleHead("moved"),
]
STAYS = [
    CommandFailed("exit 1", exit_status=1, tail=""),
    LimitReached("20 minutes"),
    AgentFailed("all turns used"),
    GitError("not found"),
    ChangeRefused(["a link"]),
    QuotaRefused("$1", scope="attempt"),
]


@pytest.mark.parametrize("error", STAYS, ids=lambda error: error.code)
def test_what_would_only_happen_again_is_not_tried_again(error: WhimbrelError) -> None:
    assert again(error, tries=0, setbacks=0, tries_allowed=20) is None


@pytest.mark.parametrize("error", PASSES, ids=lambda error: error.code)
def test_what_passes_by_itself_uses_up_no_try(error: WhimbrelError) -> None:
    assert again(error, tries=0, setbacks=0, tries_allowed=1) == Again(timedelta(seconds=15), "setbacks")
    assert again(error, tries=0, setbacks=2, tries_allowed=1) == Again(timedelta(seconds=60), "setbacks")
    assert again(error, tries=0, setbacks=SETBACKS_ALLOWED, tries_allowed=20) is None


@pytest.mark.parametrize("error", [CeilingReached("50 open"), HostLimited("until noon")], ids=lambda error: error.code)
def test_a_place_is_waited_for_however_long_it_takes(error: WhimbrelError) -> None:
    assert again(error, tries=9, setbacks=99, tries_allowed=1) == Again(timedelta(seconds=15), None)


def test_an_agent_that_ended_without_a_result_may_do_better_next_time() -> None:
    crashed = AgentCrashed("no result")
    assert again(crashed, tries=0, setbacks=5, tries_allowed=2) == Again(timedelta(seconds=15), "tries")
    assert again(crashed, tries=1, setbacks=5, tries_allowed=2) is None


@given(st.integers(0, SETBACKS_ALLOWED - 1), st.one_of(st.none(), st.floats(1, 1e6)))
def test_the_wait_is_what_was_asked_for_or_doubles_up_to_a_bound(setbacks: int, asked: float | None) -> None:
    following = again(HostUnavailable("503", retry_after=asked), tries=0, setbacks=setbacks, tries_allowed=1)
    assert following is not None
    if asked:
        assert following.after == timedelta(seconds=asked)
    else:
        assert following.after == min(LONGEST_WAIT, timedelta(seconds=15 * 2**setbacks))
