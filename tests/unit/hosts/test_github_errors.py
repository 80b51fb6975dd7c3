"""What GitHub's refusals mean."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bot.errors import HostError, HostLimited, HostUnavailable, NotFound
from bot.hosts.github_errors import Refused, Stale, error_of, graphql_error

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
WHAT = "GET /repos/acme/one"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Refused), (401, Refused), (403, Refused), (404, NotFound), (409, Refused), (410, NotFound), (422, Refused),
     (429, HostLimited), (451, NotFound), (500, HostUnavailable), (502, HostUnavailable), (503, HostUnavailable)],
)  # fmt: skip
def test_a_status_is_an_error_of_ours(status: int, kind: type[HostError]) -> None:
    error = error_of(status, {}, {"message": "Because"}, WHAT, NOW)
    assert type(error) is kind
    assert error.retryable == (kind in (HostLimited, HostUnavailable))


def test_a_refusal_says_what_was_wrong_and_with_what() -> None:
    body = {"message": "Validation Failed", "errors": [{"field": "head", "code": "invalid"}, {"message": "No commits"}, "text"]}
    error = error_of(422, {}, body, WHAT, NOW)
    assert isinstance(error, Refused)
    assert str(error) == f"GitHub: Validation Failed: head invalid; No commits; text (422, {WHAT})"
    assert error.blames("head")
    assert not error.blames("base")


@pytest.mark.parametrize("body", [None, {}, [], "<html>Bad</html>", {"message": None}, {"message": "x", "errors": "one text"}])
def test_a_body_may_be_anything(body: Any) -> None:
    assert WHAT in str(error_of(422, {}, body, WHAT, NOW))


def test_what_a_body_says_holds_no_secret_and_is_one_line() -> None:
    error = error_of(403, {}, {"message": "no\x1b[2J\n ghs_12_secret.x.y may not"}, WHAT, NOW)
    assert str(error) == f"GitHub: no [redacted] may not (403, {WHAT})"


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "17"}, {}, 17),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}, {}, 1),
        ({}, {"message": "You have exceeded a secondary rate limit."}, 60),
        ({"x-ratelimit-remaining": "4999"}, {"message": "You have triggered an abuse detection mechanism."}, 60),
    ],
)
def test_a_limit_says_how_long_it_lasts(headers: dict[str, str], body: Any, seconds: float) -> None:
    error = error_of(403, headers, body, WHAT, NOW)
    assert isinstance(error, HostLimited)
    assert error.retry_after == seconds


def test_a_reset_is_in_seconds_from_now() -> None:
    error = error_of(403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp()) + 1000)}, {}, WHAT, NOW)
    assert error.retry_after == 1000


@pytest.mark.parametrize(
    ("status", "headers", "message", "mend"),
    [
        (401, {}, "Bad credentials", "credential is wrong"),
        (403, {}, "Repository was archived so is read-only.", "unarchive"),
        (403, {}, "This installation has been suspended", "suspended"),
        (403, {"x-accepted-github-permissions": "checks=write"}, "Resource not accessible by integration", "checks=write"),
        (403, {}, "Resource not accessible by personal access token", "the permission"),
    ],
)
def test_it_says_what_to_do(status: int, headers: dict[str, str], message: str, mend: str) -> None:
    assert mend in error_of(status, headers, {"message": message}, WHAT, NOW).mend


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ([{"type": "NOT_FOUND", "message": "Could not resolve"}], NotFound),
        ([{"type": "NOT_FOUND", "message": "a"}, {"type": "FORBIDDEN", "message": "b"}], Refused),
        ([{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}], HostLimited),
        ([{"message": "You have exceeded a secondary rate limit"}], HostLimited),
        ([{"type": "STALE_DATA", "message": "Expected branch to point to"}], Stale),
        ([{"message": "Something went wrong while executing your query."}], HostUnavailable),
        ([{"message": "Field 'x' doesn't exist"}], Refused),
        ([], Refused),
    ],
)
def test_graphql_has_errors_of_its_own(errors: list[dict[str, Any]], kind: type[HostError]) -> None:
    assert type(graphql_error(errors, "query Repositories")) is kind
