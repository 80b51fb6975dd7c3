"""How requests travel to a host that is reached by HTTP: a governor, timeouts, and no retry that could write twice."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any, Protocol

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

CONNECT_SECONDS, READ_SECONDS = 10, 60

Now = Callable[[], datetime]
"""The time, timezone-aware."""


class Governor(Protocol):
    """Asked before a request, told after it."""

    def request(self, *, points: int = 1, creates: bool = False) -> AbstractContextManager[None]: ...
    def observe(self, status: int, headers: Mapping[str, str]) -> None: ...


class Unlimited:
    """The governor of who has the instance for himself."""

    @contextmanager
    def request(self, *, points: int = 1, creates: bool = False) -> Iterator[None]:  # noqa: ARG002
        yield

    def observe(self, status: int, headers: Mapping[str, str]) -> None: ...


class Connections:
    """Kept between requests; threads may share them. A work-horse gets its own: it must not share its parent's sockets."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[int, requests.Session] = {}

    def session(self) -> requests.Session:
        with self._lock:
            if os.getpid() not in self._sessions:
                self._sessions = {os.getpid(): _new_session()}
            return self._sessions[os.getpid()]


def lower(headers: Mapping[str, str]) -> dict[str, str]:
    """By lower-case names."""
    return {name.lower(): value for name, value in headers.items()}


def json_of(answer: requests.Response) -> Any:
    """The body; an empty mapping where it is no JSON."""
    with contextlib.suppress(ValueError):
        return answer.json()
    return {}


def _new_session() -> requests.Session:
    session = requests.Session()
    session.auth = _as_it_is  # else a ~/.netrc would replace the token
    # A request that cannot have been heard may be sent again; of those that were heard, only a GET.
    again = Retry(total=1, connect=1, read=1, status=0, redirect=0, other=0, allowed_methods=["GET"], raise_on_status=False)
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=again))
    return session


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
