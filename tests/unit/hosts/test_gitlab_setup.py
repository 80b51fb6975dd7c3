"""What setup asks of GitLab: which version, which group; and that its page tells of all that it asks for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.cli.setup_gitlab import gitlab
from bot.errors import HostError, NotFound
from bot.hosts.gitlab_hooks import GROUP_EVENTS, new_secret
from bot.hosts.gitlab_setup import SCOPES, account, full_path, role, role_name, version
from bot.hosts.gitlab_transport import Client
from tests.fakes.gitlab import FakeGitLab

PAGE = (Path(__file__).parents[3] / "docs" / "gitlab.md").read_text()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeGitLab]:
    with FakeGitLab(tmp_path / "hub") as hub:
        hub.create_group("acme/Platform")
        yield hub


@pytest.fixture
def client(hub: FakeGitLab) -> Client:
    return Client(hub.url, hub.group_token("acme", "whimbrel", level="developer"))


@pytest.mark.parametrize(
    ("told", "known"), [("19.0.0-ee", (19, 0)), ("18.11.2", (18, 11)), ("19.1.0-pre", (19, 1)), ("19.2", (19, 2))]
)
def test_the_version(hub: FakeGitLab, client: Client, told: str, known: tuple[int, int]) -> None:
    hub.state.version = told
    assert version(client) == known


@pytest.mark.parametrize("told", ["", "nineteen", "19"])
def test_what_is_no_version(hub: FakeGitLab, client: Client, told: str) -> None:
    hub.state.version = told
    with pytest.raises(HostError, match="calls its version"):
        version(client)


def test_a_server_that_signs_gets_a_signing_token() -> None:
    assert new_secret((19, 0)).startswith("whsec_")
    assert not new_secret((18, 11)).startswith("whsec_")
    assert len({new_secret(version) for version in ((19, 0), (20, 1), (18, 11), (17, 10)) for _ in range(3)}) == 12


def test_a_group_is_written_as_gitlab_writes_it(client: Client) -> None:
    assert full_path(client, "ACME/platform") == "acme/Platform"
    with pytest.raises(NotFound):
        full_path(client, "other")


def test_a_role_is_inherited(hub: FakeGitLab, client: Client) -> None:
    hub.create_group("other")
    who = account(client, datetime.now(UTC))
    assert [role_name(role(client, group, who)) for group in ("acme", "acme/Platform")] == ["Developer"] * 2
    assert role_name(role(client, "other", who)) == "no member"
    assert role_name(25) == "a role of level 25"


def test_every_command_on_the_page_has_options_that_there_are() -> None:
    known = {option for parameter in gitlab.params for option in parameter.opts}
    written = [line for line in PAGE.splitlines() if line.strip().startswith("whimbrel setup gitlab")]
    assert len(written) > 3
    assert {word for line in written for word in line.split() if word.startswith("--")} <= known


def test_the_page_tells_of_every_scope_and_event() -> None:
    for scope, why in SCOPES.items():
        assert f"| {scope} | {why} |" in PAGE
    for event in GROUP_EVENTS:
        assert f"`{event}`" in PAGE
