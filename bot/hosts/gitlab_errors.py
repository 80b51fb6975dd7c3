"""What GitLab's refusals mean, in the words of `bot.errors`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.domain.redaction import one_line, redact
from bot.errors import HostError, HostLimited, HostUnavailable, NotFound
from bot.hosts.batches import TooMuch

_NOT_THERE = "it is not there (any more), or the bot may not see it"
_OVERLOADED = re.compile(r"timed? ?out|timeout|internal server error|try again", re.IGNORECASE)
_TOO_MUCH = re.compile(r"exceeds max complexity|size limit exceeded", re.IGNORECASE)
_UNSAID_SECONDS = 60.0


class Refused(HostError):
    """An answer of 4xx. `words` are GitLab's own, in lower case."""

    def __init__(self, message: str, *, status: int, words: str = "", mend: str = ""):
        super().__init__(message, mend=mend)
        self.status, self.words = status, words.lower()


def error_of(status: int, headers: Mapping[str, str], body: Any, what: str, now: datetime) -> HostError:
    """The error for an answer of 400 and above. `headers` are by lower-case names; `what` was asked: `GET /projects/7`."""
    words = _words(body)
    if status == 429:
        return HostLimited("GitLab's limits are reached", retry_after=_retry_after(headers, now))
    if status >= 500:
        return HostUnavailable(f"GitLab answered {status} to {what}")
    told = f"GitLab: {words or 'refused'} ({status}, {what})"
    if status in (404, 410):
        return NotFound(told, mend=_NOT_THERE)
    return Refused(told, status=status, words=words, mend=_mend(status, body))


def graphql_error(errors: Sequence[Mapping[str, Any]], what: str) -> HostError:
    """The error for a GraphQL answer that has `errors`. What is not there is null in an answer, and no error."""
    words = "; ".join(dict.fromkeys(_clean(str(error.get("message", ""))) for error in errors)) or "refused"
    if _OVERLOADED.search(words):
        return HostUnavailable(f"GitLab: {words} ({what})")
    if _TOO_MUCH.search(words):
        return TooMuch(f"GitLab: {words} ({what})")
    mend = "GitLab 17.10 is the oldest that the bot knows" if "doesn't exist on type" in words else ""
    return Refused(f"GitLab: {words} ({what})", status=422, words=words, mend=mend)


def _mend(status: int, body: Any) -> str:
    if status == 401:
        return "the token is wrong, has expired or was revoked: whimbrel setup gitlab takes a new one"
    if isinstance(body, Mapping) and body.get("error") == "insufficient_scope":
        return f"the token needs the scope {body.get('scope') or 'api'}"
    if status == 403:
        return "the token's account needs a higher role there: Developer to propose changes, Maintainer to have them merge"
    return ""


def _retry_after(headers: Mapping[str, str], now: datetime) -> float:
    given, reset = headers.get("retry-after", ""), headers.get("ratelimit-reset", "")
    if given.isdigit():
        return float(given)
    return max(1.0, float(reset) - now.timestamp()) if reset.isdigit() else _UNSAID_SECONDS


def _words(body: Any) -> str:
    """GitLab's `message` is a text, a list, or lists by field; of OAuth's kind of refusal it is the `error_description`."""
    if not isinstance(body, Mapping):
        return ""
    found = body.get("message") or body.get("error_description") or body.get("error") or ""
    return _clean("; ".join(_texts(found)))


def _texts(found: Any) -> list[str]:
    if isinstance(found, Mapping):
        return [f"{field} {text}" for field, value in found.items() for text in _texts(value)]
    if isinstance(found, list):
        return [text for each in found for text in _texts(each)]
    return [str(found)] if found else []


def _clean(text: str) -> str:
    return redact(one_line(text, 300))
