"""A GitLab with a group, a subgroup, three projects and two people; and ways to ask it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gitlab
import httpx

from tests.fakes.gitlab import FakeGitLab

Ask = Callable[..., httpx.Response]
ONE, LIB = "/projects/acme%2Fone", "/projects/acme%2Fplatform%2Flib"


def populate(hub: FakeGitLab) -> str:
    """acme with one (files), three (without a commit) and platform/lib; mia develops, ada owns. The token of the bot."""
    hub.create_group("acme")
    hub.create_project("acme", "one", files={"README.md": "hi\n", "src/a.py": "a = 1\n"}, languages={"Python": 90.0, "C": 10.0})
    hub.create_group("acme/platform")
    hub.create_project("acme/platform", "lib", topics=["bots"])
    hub.create_project("acme", "three", empty=True)
    hub.add_user("mia", groups={"acme": "developer"})
    hub.add_user("ada", groups={"acme": "owner"})
    return hub.group_token("acme", "whimbrel", level="maintainer")


def client_of(hub: FakeGitLab, token: str) -> gitlab.Gitlab:
    return gitlab.Gitlab(hub.url, oauth_token=token, retry_transient_errors=False)


def asking(hub: FakeGitLab, client: httpx.Client, usual: str) -> Ask:
    """Calls the REST API: by `usual`, unless another token (or none) is given."""

    def call(method: str, path: str, body: Any = None, *, token: str | None = usual, **more: Any) -> httpx.Response:
        headers = more.pop("headers", {})
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return client.request(method, hub.api_url + path, json=body, headers=headers, **more)

    return call
