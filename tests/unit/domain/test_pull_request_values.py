"""What checks and reviews come to, and who has the last word."""

from __future__ import annotations

import pytest

from bot.domain.pull_requests import (
    ChecksState,
    Comment,
    PullRequest,
    PullRequestState,
    PullRequestText,
    Review,
    ReviewState,
    checks_state,
    review_state,
)


@pytest.mark.parametrize(
    ("results", "state"),
    [
        ({}, ChecksState.NONE),
        ({"whimbrel/notes": True}, ChecksState.NONE),
        ({"ci": True, "whimbrel/notes": False}, ChecksState.PASSED),
        ({"ci": True, "lint": None}, ChecksState.PENDING),
        ({"ci": False, "lint": None}, ChecksState.FAILED),
    ],
)
def test_checks(results: dict[str, bool | None], state: ChecksState) -> None:
    assert checks_state(results) is state


@pytest.mark.parametrize(
    ("verdicts", "state"),
    [
        ("", ReviewState.NONE),
        ("a:commented", ReviewState.NONE),
        ("a:approved", ReviewState.APPROVED),
        ("a:approved b:changes_requested", ReviewState.CHANGES_REQUESTED),
        ("a:changes_requested a:commented", ReviewState.CHANGES_REQUESTED),
        ("a:changes_requested a:approved", ReviewState.APPROVED),
        ("a:changes_requested a:dismissed", ReviewState.NONE),
    ],
)
def test_reviews(verdicts: str, state: ReviewState) -> None:
    pairs = [each.split(":") for each in verdicts.split()]
    assert review_state([Review(author, verdict, "", str(at)) for at, (author, verdict) in enumerate(pairs)]) is state


def test_the_last_word_is_in_a_comment_or_in_a_review() -> None:
    found = PullRequest(
        1,
        PullRequestState.CLOSED,
        "b",
        "main",
        "f" * 40,
        PullRequestText("T", "B"),
        comments=(Comment("ann", "First.", "1"), Comment("bob", "Mine.", "4"), Comment("ann", " ", "5")),
        reviews=(Review("ann", "changes_requested", "Last.", "3"), Review("bob", "approved", "", "2")),
    )
    assert (found.last_words("ann"), found.last_words("bob"), found.last_words("eve")) == ("Last.", "Mine.", "")
    assert found.objector() == "ann"
