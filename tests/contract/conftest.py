"""A GitHub with an organization, three repositories, two people and an installed app; and ways to ask it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from tests.contract import gitlab_description
from tests.contract import gitlab_hub as gitlab_hub_parts
from tests.fakes.clock import ManualClock
from tests.fakes.forge.receivers import Receiver, receiving
from tests.fakes.github import FakeGitHub, Installation
from tests.fakes.gitlab import FakeGitLab

Ask = Callable[..., httpx.Response]


def populate(hub: FakeGitHub) -> Installation:
    """acme with one (files), two (auto-merge allowed) and three (without a commit); mia writes, ada owns."""
    hub.create_org("acme")
    hub.create_repository("acme", "one", files={"README.md": "hi\n", "src/a.py": "a = 1\n"}, languages={"Python": 9, "C": 2})
    hub.create_repository("acme", "two", allow_auto_merge=True, topics=["bots"], properties={"tier": "gold"})
    hub.create_repository("acme", "three", empty=True)
    hub.add_user("mia", permissions={"acme/one": "write", "acme/two": "write"})
    hub.add_user("ada", orgs={"acme": "admin"})
    return hub.install("acme")


@pytest.fixture
def hub(tmp_path: Path, clock: ManualClock) -> Iterator[FakeGitHub]:
    with FakeGitHub(tmp_path, clock=clock) as made:
        yield made


@pytest.fixture(scope="session")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, verify=False) as made:
        yield made


@pytest.fixture
def installation(hub: FakeGitHub) -> Installation:
    return populate(hub)


@pytest.fixture
def ask(hub: FakeGitHub, installation: Installation, client: httpx.Client) -> Ask:
    """Calls the REST API: as the installation, unless another token (or none) is given."""
    usual = hub.installation_token(installation)

    def call(method: str, path: str, body: Any = None, *, token: str | None = usual, **more: Any) -> httpx.Response:
        headers = {"Accept": "application/vnd.github+json"} | more.pop("headers", {})
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return client.request(method, hub.api_url + path, json=body, headers=headers, **more)

    return call


@pytest.fixture
def query(hub: FakeGitHub, installation: Installation, client: httpx.Client) -> Callable[..., dict[str, Any]]:
    """Asks GraphQL, as the installation unless another token is given."""
    usual = hub.installation_token(installation)

    def call(document: str, *, token: str = usual, **variables: Any) -> dict[str, Any]:
        asked = {"query": document, "variables": variables}
        headers = {"Authorization": f"bearer {token}"}
        answered: dict[str, Any] = client.post(f"{hub.url}/api/graphql", json=asked, headers=headers).json()
        return answered

    return call


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def app_token(hub: FakeGitHub, *, key: str | None = None, lasts: int = 540, at: float | None = None) -> str:
    """The JWT of the hub's app."""
    now = int(at if at is not None else time.time())
    return jwt.encode({"iat": now, "exp": now + lasts, "iss": str(hub.app.id)}, key or hub.app.pem, algorithm="RS256")


@pytest.fixture
def gitlab_hub(tmp_path: Path, clock: ManualClock) -> Iterator[FakeGitLab]:
    """Held against GitLab's own description, where that is here."""
    with FakeGitLab(tmp_path, clock=clock, guard=not gitlab_description.lacking()) as made:
        yield made


@pytest.fixture
def gitlab_token(gitlab_hub: FakeGitLab) -> str:
    """A group access token of the populated group."""
    return gitlab_hub_parts.populate(gitlab_hub)


@pytest.fixture
def gitlab_ask(gitlab_hub: FakeGitLab, gitlab_token: str, client: httpx.Client) -> Ask:
    """Calls the REST API by the group's token, unless another (or none) is given."""
    return gitlab_hub_parts.asking(gitlab_hub, client, gitlab_token)
