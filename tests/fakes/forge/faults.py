"""Faults on demand: what a test has asked to go wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any


@dataclass
class Fault:
    """What goes wrong with the requests that fit, `times` times, at every `every`-th of them.

    `after_write`: the request is carried out first, and only its answer is lost. `delay` is in real seconds. `reset`: the
    connection is torn down without an answer. A `status` of None delays only.
    """

    method: str = ""
    path_pattern: str = ""
    status: int | None = None
    times: int = 1
    every: int = 1
    after_write: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    delay: float = 0.0
    reset: bool = False
    hits: int = 0
    """How often it has struck."""
    seen: int = 0

    def fits(self, method: str, path: str) -> bool:
        return self.method in ("", method) and re.search(self.path_pattern, path) is not None


class Faults:
    def __init__(self) -> None:
        self._lock, self._all = Lock(), list[Fault]()

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self._all.append(fault)
        return fault

    def strike(self, method: str, path: str) -> Fault | None:
        """The first that strikes this request."""
        with self._lock:
            for fault in self._all:
                if fault.hits < fault.times and fault.fits(method, path):
                    fault.seen += 1
                    if fault.seen % fault.every == 0:
                        fault.hits += 1
                        return fault
        return None
