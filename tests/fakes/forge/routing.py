"""What an operation answers, whichever host it is of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Reply:
    """`body` is JSON, bytes as they are, or None for none."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
