"""The boxes of a campaign's control issue: which there are, how they are written, and which of them an edit has ticked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

_BOX = re.compile(
    r"^[ \t]*[-*][ \t]+\[(?P<mark>[ xX])\].*<!-- whimbrel box: (?P<act>[a-z]+)(?: (?P<subject>\S+))? -->[ \t\r]*$", re.MULTILINE
)
_CAMPAIGN = re.compile(r"<!-- whimbrel control (?P<id>c[0-9a-f]{1,40}) -->")


class Act(StrEnum):
    APPROVE = "approve"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    SKIP = "skip"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Box:
    """`subject` is the number of the wave to approve, the repository to skip, else empty."""

    act: Act
    subject: str = ""

    @property
    def marker(self) -> str:
        """At the end of its line, where a host shows nothing of it."""
        return f"<!-- whimbrel box: {self.act}{f' {self.subject}' if self.subject else ''} -->"


def control_marker(campaign_id: str) -> str:
    return f"<!-- whimbrel control {campaign_id} -->"


def campaign_of(text: str) -> str:
    """The campaign whose control issue has this text; empty for any other text."""
    found = _CAMPAIGN.search(text)
    return found["id"] if found else ""


def ticked(before: str, after: str) -> Sequence[Box]:
    """The boxes that were open in the one text and are ticked in the other, each once. One that was not shown is none."""
    shown = {box for box, mark in _boxes(before) if mark == " "}
    return list(dict.fromkeys(box for box, mark in _boxes(after) if mark != " " and box in shown))


def _boxes(text: str) -> list[tuple[Box, str]]:
    acts = {act.value: act for act in Act}
    found = [each for each in _BOX.finditer(text) if each["act"] in acts]
    return [(Box(acts[each["act"]], each["subject"] or ""), each["mark"]) for each in found]
