"""How a repository's people write their commits, told from its log."""

from __future__ import annotations

import re
from collections.abc import Sequence

_CONVENTIONAL = re.compile(
    r"(?:feat|fix|chore|docs|ci|build|refactor|tests?|style|perf|revert)(?:\([\w ./,@-]{1,60}\))?!?: \S", re.IGNORECASE
)
FEWEST = 3


def prefix_of(subjects: Sequence[str]) -> str:
    """`chore: ` where most of the subjects are Conventional Commits; empty where they are not, or are too few to tell."""
    conventional = sum(_CONVENTIONAL.match(subject) is not None for subject in subjects)
    return "chore: " if conventional >= FEWEST and conventional * 2 > len(subjects) else ""
