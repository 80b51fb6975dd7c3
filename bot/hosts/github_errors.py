"""What GitHub's refusals mean, in the words of `bot.errors`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.domain.redaction import one_line, redact
from bot.errors import HostError, HostLimited, HostUnavailable, NotFound

_LIMITED = re.compile(r"rate limit|abuse detection|wait a few minutes|retry your request again later", re.IGNORECASE)
_UNSAID_SECONDS = 60.0


class Refused(HostError):
    """An answer of 4xx. `problems` are GitHub's own: mappings of resource, field, code and message, each of which may lack."""

    def __init__(self, message: str, *, status: int, problems: Sequence[Mapping[str, str]] = (), mend: str = ""):
        super().__init__(message, mend=mend)
        self.status, self.problems = status, tuple(problems)

    def blames(self, field: str) -> bool:
        """Is this field of the request what GitHub takes as invalid?"""
        return any(problem.get("field") == field for problem in self.problems)


class Stale(Refused):
    """The branch is not where a GraphQL mutation expected it."""


def is_limit(status: int, headers: Mapping[str, str], body: Any) -> bool:
    """Was a request refused because of GitHub's limits? Not every such 403 says so in its headers."""
    if status == 429:
        return True
    if status != 403:
        return False
    return "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0" or bool(_LIMITED.search(_message(body)))


def error_of(status: int, headers: Mapping[str, str], body: Any, what: str, now: datetime) -> HostError:
    """The error for an answer of 400 and above. `headers` are by lower-case names; `what` was asked: `GET /repos/acme/tool`."""
    if is_limit(status, headers, body):
        seconds = _retry_after(headers, now)
        return HostLimited(f"GitHub's limits are reached: {_message(body)}", retry_after=seconds)
    if status >= 500:
        return HostUnavailable(f"GitHub answered {status} to {what}")
    words = f"{_words(body) or 'refused'} ({status}, {what})"
    if status in (404, 410, 451) or _message(body).startswith("No commit found"):
        return NotFound(f"GitHub: {words}", mend="it is not there (any more), or the bot may not see it")
    return Refused(f"GitHub: {words}", status=status, problems=_problems(body), mend=_mend(status, headers, body))


def graphql_error(errors: Sequence[Mapping[str, Any]], what: str) -> HostError:
    """The error for a GraphQL answer that has `errors`."""
    kinds = {str(error.get("type", "")) for error in errors}
    words = "; ".join(dict.fromkeys(_clean(str(error.get("message", ""))) for error in errors)) or "refused"
    if "RATE_LIMITED" in kinds or any(_LIMITED.search(str(error.get("message", ""))) for error in errors):
        return HostLimited(f"GitHub's limits are reached: {words}", retry_after=_UNSAID_SECONDS)
    if kinds & {"STALE_DATA"}:
        return Stale(f"GitHub: {words}", status=409)
    if kinds == {"NOT_FOUND"}:
        return NotFound(f"GitHub: {words} ({what})", mend="it is not there (any more), or the bot may not see it")
    if kinds & {"SERVICE_UNAVAILABLE", "INTERNAL"} or re.search(r"something went wrong|timed? ?out", words, re.IGNORECASE):
        return HostUnavailable(f"GitHub: {words} ({what})")
    status = 403 if kinds & {"FORBIDDEN", "INSUFFICIENT_SCOPES"} else 422
    return Refused(f"GitHub: {words} ({what})", status=status, mend=_mend(status, {}, {"message": words}))


def _mend(status: int, headers: Mapping[str, str], body: Any) -> str:
    message = _message(body).lower()
    if status == 401:
        return "the credential is wrong, has ended or was revoked: check the App's key, or the token"
    if "archived" in message:
        return "unarchive the repository, or leave archived ones out of the policy's selection"
    if "suspended" in message:
        return "an owner of the organization has suspended the App's installation"
    if needed := headers.get("x-accepted-github-permissions"):
        return f"grant the App, or the token, one of these permissions: {needed}; an owner has to accept a change"
    if "not accessible by" in message:
        return "grant the App, or the token, the permission; an owner has to accept a change"
    return ""


def _retry_after(headers: Mapping[str, str], now: datetime) -> float:
    given, reset = headers.get("retry-after", ""), headers.get("x-ratelimit-reset", "")
    if given.isdigit():
        return float(given)
    if headers.get("x-ratelimit-remaining") == "0" and reset.isdigit():
        return max(1.0, float(reset) - now.timestamp())
    return _UNSAID_SECONDS


def _message(body: Any) -> str:
    message = body.get("message") if isinstance(body, dict) else body
    return _clean(message) if isinstance(message, str) else ""


def _words(body: Any) -> str:
    """The message, and what its `errors` add to it."""
    said = [problem.get("message") or _blame(problem) for problem in _problems(body)]
    return ": ".join(filter(None, [_message(body), "; ".join(dict.fromkeys(map(_clean, filter(None, said))))]))


def _blame(problem: Mapping[str, str]) -> str:
    return " ".join(filter(None, (problem.get("field"), problem.get("code"))))


def _problems(body: Any) -> list[dict[str, str]]:
    """GitHub's `errors`: mappings, a list of texts, or a single text."""
    found = body.get("errors") if isinstance(body, dict) else None
    entries = found if isinstance(found, list) else [found] if found else []
    return [
        {str(key): str(value) for key, value in entry.items()} if isinstance(entry, dict) else {"message": str(entry)}
        for entry in entries
    ]


def _clean(text: str) -> str:
    return redact(one_line(text, 300))
