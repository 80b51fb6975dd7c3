"""What GitLab's refusals mean."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bot.errors import HostError, HostLimited, HostUnavailable, NotFound
from bot.hosts.batches import TooMuch
from bot.hosts.gitlab_errors import Refused, error_of, graphql_error

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
WHAT = "GET /projects/7"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Refused), (401, Refused), (403, Refused), (404, NotFound), (405, Refused), (409, Refused), (410, NotFound),
     (422, Refused), (429, HostLimited), (500, HostUnavailable), (502, HostUnavailable), (503, HostUnavailable)],
)  # fmt: skip
def test_a_status_is_an_error_of_ours(status: int, kind: type[HostError]) -> None:
    error = error_of(status, {}, {"message": "Because"}, WHAT, NOW)
    assert type(error) is kind
    assert error.retryable == (kind in (HostLimited, HostUnavailable))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"message": "401 Unauthorized"}, "401 Unauthorized"),
        ({"message": ["Another open one exists: !3", "more"]}, "Another open one exists: !3; more"),
        ({"message": {"title": ["is too long", "is odd"], "base": ["x"]}}, "title is too long; title is odd; base x"),
        ({"error": "insufficient_scope", "error_description": "It requires more."}, "It requires more."),
        ({"error": "title is missing"}, "title is missing"),
        ({"message": None}, "refused"),
        ([], "refused"),
        ("<html>Bad</html>", "refused"),
    ],
)
def test_a_refusal_is_told_in_gitlabs_own_words(body: Any, words: str) -> None:
    assert str(error_of(422, {}, body, WHAT, NOW)) == f"GitLab: {words} (422, {WHAT})"


def test_what_a_body_says_holds_no_secret_and_is_one_line() -> None:
    error = error_of(403, {}, {"message": "no\x1b[2J\n glpat-aaaaaaaaaaaaaaaaaaaa may not"}, WHAT, NOW)
    assert str(error) == f"GitLab: no [redacted] may not (403, {WHAT})"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "17", "ratelimit-reset": "1768478500"}, 17),
        ({"ratelimit-reset": str(int(NOW.timestamp()) + 30)}, 30),
        ({"ratelimit-reset": "1"}, 1),
        ({}, 60),
    ],
)
def test_a_limit_says_how_long_it_lasts(headers: dict[str, str], seconds: float) -> None:
    error = error_of(429, headers, "Retry later", WHAT, NOW)
    assert isinstance(error, HostLimited)
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    ("status", "body", "mend"),
    [
        (401, {"message": "401 Unauthorized"}, "the token is wrong, has expired or was revoked"),
        (403, {"error": "insufficient_scope", "scope": "api read_api"}, "the token needs the scope api read_api"),
        (403, {"message": "403 Forbidden"}, "a higher role"),
    ],
)
def test_a_mend_is_told(status: int, body: Any, mend: str) -> None:
    assert mend in error_of(status, {}, body, WHAT, NOW).mend


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Timeout on validation of query", HostUnavailable),
        ("Internal server error", HostUnavailable),
        ("Query has complexity of 1421, which exceeds max complexity of 300", TooMuch),
        ("Max blobs size limit exceeded (25 MB / 20 MB).", TooMuch),
        ("Field 'commit' doesn't exist on type 'Repository'", Refused),
    ],
)
def test_graphqls_errors_are_told_apart(message: str, kind: type[HostError]) -> None:
    error = graphql_error([{"message": message}, {"message": message}], "query Projects")
    assert type(error) is kind
    assert str(error) == f"GitLab: {message} (query Projects)"


def test_a_server_that_is_too_old_is_told_so() -> None:
    assert "17.10" in graphql_error([{"message": "Field 'commit' doesn't exist on type 'Repository'"}], "query P").mend
