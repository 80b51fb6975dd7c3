"""Webhooks as GitHub sends them: payloads of the few fields that matter, signed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from hypothesis import strategies as st

from bot.hosts import github_credentials
from bot.hosts.github_credentials import GitHubApp
from bot.hosts.webhooks import sign_github

SECRET, OLD_SECRET = "a secret of this year", "a secret of last year"
JSON = "application/json"
LOCAL = "https://local"
"""The instance that the payloads are of."""

Payload = dict[str, Any]

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
"""Whatever may be in a payload."""


def know_secrets(home: Path, *secrets: str, url: str = LOCAL) -> None:
    """Let the home have an App of that instance with these webhook secrets."""
    home.mkdir(parents=True, exist_ok=True)
    github_credentials.save(home, url, GitHubApp(1, "whimbrel", "PEM", secrets or (SECRET, OLD_SECRET), url))


def headers(body: bytes, event: str, *, delivery: str | None = None, secret: str = SECRET) -> dict[str, str]:
    return {
        "Content-Type": JSON,
        "X-GitHub-Delivery": delivery or str(uuid4()),
        "X-GitHub-Event": event,
        "X-Hub-Signature-256": sign_github(secret, body),
    }


def encode(payload: Mapping[str, Any]) -> bytes:
    return json.dumps(payload).encode()


def user(login: str, kind: str = "User") -> Payload:
    return {"login": login, "type": kind, "html_url": f"https://local/{login}"}


def about(action: str, actor: str = "alice", name: str = "tool", **more: Any) -> Payload:
    """What `actor` did in the repository acme/`name` of the host `local`."""
    repository = {"name": name, "owner": user("acme"), "html_url": f"https://local/acme/{name}", "default_branch": "main"}
    return {"action": action, "repository": repository, "sender": user(actor), **more}


def labelled(label: str, number: int = 7, at: str = "2026-01-15T12:00:00Z", actor: str = "alice") -> Payload:
    return about("labeled", actor, issue={"number": number, "updated_at": at}, label={"name": label})


def commented(body: str, comment: int = 1, number: int = 7, actor: str = "alice") -> Payload:
    issue = {"number": number, "updated_at": "2026-01-15T12:00:00Z"}
    return about("created", actor, issue=issue, comment={"id": comment, "body": body})


def pull_request(action: str, number: int = 1, *, merged: bool = False, **more: Any) -> Payload:
    changed = {"number": number, "head": {"sha": "a" * 40}, "updated_at": "2026-01-15T12:00:00Z", "merged": merged}
    return about(action, pull_request=changed, **more)


def installation(action: str, org: str = "acme", number: int = 5, at: str = "2026-01-15T12:00:00Z", **more: Any) -> Payload:
    made = {"id": number, "account": user(org), "permissions": {"contents": "write"}, "updated_at": at}
    return {"action": action, "installation": made, "sender": user("alice"), **more}
