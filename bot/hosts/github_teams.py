"""Who is in a team: asked of GitHub, and remembered for as long as a person takes to write another comment."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from urllib.parse import quote

from bot.errors import NotFound
from bot.hosts.github_transport import Client
from bot.hosts.http_transport import Now

KEPT = timedelta(minutes=1)
_MOST = 1000


class Teams:
    """Threads may share it."""

    def __init__(self, now: Now):
        self._now, self._lock = now, threading.Lock()
        self._known: dict[tuple[str, str, str], tuple[datetime, bool]] = {}

    def has(self, client: Client, org: str, team: str, user: str) -> bool:
        """Also by a team below it. Raises NotFound without the team."""
        key = (org.lower(), team.lower(), user.lower())
        with self._lock:
            until, answer = self._known.get(key, (self._now(), False))
        if until <= self._now():
            answer = _ask(client, org, team, user)
            with self._lock:
                if len(self._known) >= _MOST:
                    self._known.clear()
                self._known[key] = self._now() + KEPT, answer
        return answer


def _ask(client: Client, org: str, team: str, user: str) -> bool:
    """Whoever was invited and has not come yet is `pending`."""
    path = f"/orgs/{quote(org, safe='')}/teams/{quote(team, safe='')}"
    try:
        _, found = client.requestJsonAndCheck("GET", f"{path}/memberships/{quote(user, safe='')}")
    except NotFound:
        _team(client, path, f"{org}/{team}")
        return False
    return bool(found["state"] == "active")


def _team(client: Client, path: str, name: str) -> None:
    try:
        client.requestJsonAndCheck("GET", path)
    except NotFound as error:
        raise NotFound(f"there is no team {name}", mend="name it as its address does; the App needs `members: read`") from error
