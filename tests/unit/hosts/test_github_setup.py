from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bot.cli.setting_up import instance_url
from bot.cli.setup_hosts import github
from bot.errors import UsageError
from bot.hosts.github_app import CHECK, DISCUSS, FETCH, LOOK, PUSH, PUSH_WORKFLOWS
from bot.hosts.github_setup import EVENTS, LEVELS, PERMISSIONS, creation_url, manifest, missing

GITHUB = "https://github.com"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        (GITHUB, GITHUB),
        ("https://GHES.Example.com/", "https://ghes.example.com"),
        ("https://ghes.example.com:8443", "https://ghes.example.com:8443"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
    ],
)
def test_an_instance_is_known_by_one_url(given: str, url: str) -> None:
    assert instance_url(given) == url


@pytest.mark.parametrize(
    "given",
    ["", "github.com", "ftp://github.com", "https://", "https://ghes.example.com/api/v3", "https://u:p@ghes.example.com",
     "https://ghes.example.com?x", "http://ghes.example.com"],
)  # fmt: skip
def test_what_is_no_instance_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="is no server's URL"):
        instance_url(given)


def test_the_manifest_asks_for_what_the_adapter_mints_its_tokens_with() -> None:
    asked = json.loads(manifest(GITHUB, "acme", callback="https://b/c", webhook_url="https://b/w"))["default_permissions"]
    for purpose in (LOOK, FETCH, PUSH, PUSH_WORKFLOWS, DISCUSS, CHECK):
        for name, level in purpose.items():
            assert LEVELS.index(asked[name]) >= LEVELS.index(level), name


def test_the_manifest_is_private_and_has_the_webhook() -> None:
    described = json.loads(manifest(GITHUB, "acme", callback="https://b/c", webhook_url="https://b/w"))
    assert described["hook_attributes"] == {"url": "https://b/w", "active": True}
    assert described["default_events"] == list(EVENTS)
    assert described["redirect_url"] == "https://b/c"
    assert described["public"] is False


def test_without_a_webhook_it_subscribes_to_nothing() -> None:
    described = json.loads(manifest(GITHUB, "acme", callback="https://b/c", webhook_url=""))
    assert not {"hook_attributes", "default_events"} & described.keys()


@pytest.mark.parametrize(
    ("org", "name"), [("Acme", "whimbrel-acme"), ("a" * 39, "whimbrel-" + "a" * 25), ("x.y", "whimbrel-x-y")]
)
def test_its_name_is_one_that_github_takes(org: str, name: str) -> None:
    assert json.loads(manifest(GITHUB, org, callback="c", webhook_url=""))["name"] == name
    assert len(name) <= 34


def test_the_browser_posts_it_to_the_organization_s_settings() -> None:
    assert creation_url(GITHUB, "acme") == "https://github.com/organizations/acme/settings/apps/new"
    assert creation_url(GITHUB, "a/b?c") == "https://github.com/organizations/a%2Fb%3Fc/settings/apps/new"


def test_what_is_missing_is_named_with_what_there_is() -> None:
    granted = {name: permission.level for name, permission in PERMISSIONS.items()}
    assert missing(granted) == []
    assert missing(granted | {"administration": "write", "members": "write"}) == []
    del granted["checks"]
    assert missing(granted | {"contents": "read"}) == ["contents: write (it has read)", "checks: write (it has none)"]


def test_the_page_on_github_lists_every_permission_and_event() -> None:
    page = (Path(__file__).parents[3] / "docs" / "github.md").read_text()
    rows = re.findall(r"^\| (\w+) \| (\w+) \| (to .+) \|$", page, re.MULTILINE)
    assert rows == [(name, permission.level, permission.why) for name, permission in PERMISSIONS.items()]
    said = " ".join(page.split())
    assert f"`{'`, `'.join(EVENTS[:-1])}` and `{EVENTS[-1]}`" in said


def test_every_command_on_the_page_has_options_that_there_are() -> None:
    page = (Path(__file__).parents[3] / "docs" / "github.md").read_text()
    known = {option for parameter in github.params for option in parameter.opts}
    written = [line for line in page.splitlines() if line.startswith("whimbrel setup github")]
    assert written
    assert {word for line in written for word in line.split() if word.startswith("--")} <= known
