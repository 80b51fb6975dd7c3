"""Where a pull request is, as people write it: its URL, or ORG/NAME#NUMBER."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from bot.errors import UsageError

_WEB = re.compile(
    r"https?://(?:[^/@]*@)?(?P<host>[^/:]+)(?::\d+)?/(?P<path>.+?)/(?:pull|-/merge_requests)/(?P<number>\d+)(?:[/?#].*)?"
)
_FILE = re.compile(r"file://(?P<path>/.+)\.meta/pulls/(?P<number>\d+)\.json")
_SHORT = re.compile(r"(?P<path>[^#/\s]+/[^#\s]+)[#!](?P<number>\d+)")


@dataclass(frozen=True, slots=True)
class Address:
    """`host` is a network name, `local` for a file of the local host, empty where none is named. `path` ends with ORG/NAME."""

    host: str
    path: str
    number: int


def parse_address(text: str) -> Address:
    """Raises UsageError for what is none."""
    for form, host in ((_WEB, None), (_FILE, "local"), (_SHORT, "")):
        found = form.fullmatch(text.strip())
        if found is not None:
            return Address(found["host"] if host is None else host, unquote(found["path"]).strip("/"), int(found["number"]))
    raise UsageError(f"{text!r} is no pull request", mend="give its URL, or ORG/NAME#NUMBER")
