"""What a kind of host has not, or not in full: the conformance suites look here, and docs/host-compatibility.md tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lack:
    """`test` is the one that would show it; `words` are what the page says of it instead of a mere yes."""

    test: str
    words: str


LACKS: Mapping[str, Mapping[str, Lack]] = {
    "local": {
        "issues": Lack("test_one_of_its_own_is_opened_once_written_and_closed", "no: a folder has no issues"),
    },
    "github": {},
    "gitlab": {
        "properties": Lack("test_its_orgs_own_properties_are_told", "no: a group gives its projects none"),
        "templates": Lack("test_one_is_described", "yes, but for templates: no project is marked as one"),
        "summaries": Lack("test_the_newest_of_a_name_is_shown", "yes, in one line: a commit status has no summary"),
    },
}


def lacks_of(kind: str) -> frozenset[str]:
    return frozenset(LACKS[kind])
