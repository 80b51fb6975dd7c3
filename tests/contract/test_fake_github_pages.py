"""The pages of the fake: an app registered by its manifest, and installed."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.contract.conftest import Ask, app_token
from tests.fakes.clock import ManualClock
from tests.fakes.forge.receivers import Receiver
from tests.fakes.github import FakeGitHub


def manifest(receiver: Receiver, **changed: Any) -> dict[str, Any]:
    usual = {
        "name": "Acme's bird",
        "url": "https://bot.example.com",
        "hook_attributes": {"url": receiver.url},
        "redirect_url": "https://bot.example.com/setup/github/callback",
        "setup_url": "https://bot.example.com/setup/github/installed",
        "public": False,
        "default_permissions": {"contents": "write", "pull_requests": "write", "issues": "write"},
        "default_events": ["issue_comment", "pull_request"],
    }
    return {**usual, **changed}


def submit(hub: FakeGitHub, client: httpx.Client, asked: dict[str, Any]) -> httpx.Response:
    page = f"{hub.url}/organizations/acme/settings/apps/new"
    return client.post(page, params={"state": "s1"}, data={"manifest": json.dumps(asked)})


def code_of(answer: httpx.Response) -> str:
    assert answer.status_code == 302, answer.text
    query = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert query["state"] == ["s1"]
    return query["code"][0]


def test_a_manifest_makes_an_app_whose_keys_are_told_once(
    hub: FakeGitHub, ask: Ask, client: httpx.Client, receiver: Receiver
) -> None:
    code = code_of(submit(hub, client, manifest(receiver)))
    made = ask("POST", f"/app-manifests/{code}/conversions", token=None)
    assert made.status_code == 201
    told = made.json()
    assert (told["slug"], told["owner"]["login"], told["events"]) == ("acme-s-bird", "acme", ["issue_comment", "pull_request"])
    app = hub.use_app(told["id"])
    assert (told["pem"], told["webhook_secret"]) == (app.pem, app.webhook_secret)
    assert ask("GET", "/app", token=app_token(hub)).json()["permissions"]["contents"] == "write"
    assert ask("POST", f"/app-manifests/{code}/conversions", token=None).status_code == 404
    hub.drain()
    assert receiver.events == ["ping"]


def test_the_code_is_good_for_an_hour(
    hub: FakeGitHub, ask: Ask, client: httpx.Client, receiver: Receiver, clock: ManualClock
) -> None:
    code = code_of(submit(hub, client, manifest(receiver)))
    clock.advance(3600)
    assert ask("POST", f"/app-manifests/{code}/conversions", token=None).status_code == 404


def test_a_manifest_that_github_would_not_take_is_refused(
    hub: FakeGitHub, ask: Ask, client: httpx.Client, receiver: Receiver
) -> None:
    wrong: list[dict[str, Any]] = [
        {"name": "n" * 35},
        {"redirect_url": ""},
        {"permissions": {}},
        {"default_permissions": {"content": "write"}},
        {"default_events": ["installation"]},
        {"default_events": ["check_suite"]},
        {"hook_attributes": {"url": "bot.example.com"}},
    ]
    assert [submit(hub, client, manifest(receiver, **each)).status_code for each in wrong] == [422] * len(wrong)


def test_the_install_page_installs_and_goes_back(hub: FakeGitHub, ask: Ask, client: httpx.Client, receiver: Receiver) -> None:
    code = code_of(submit(hub, client, manifest(receiver)))
    app = hub.use_app(ask("POST", f"/app-manifests/{code}/conversions", token=None).json()["id"])
    page = f"{hub.url}/apps/{app.slug}/installations/new"
    back = client.get(page, params={"state": "s2"}).headers["Location"]
    found = ask("GET", "/orgs/acme/installation", token=app_token(hub)).json()
    assert parse_qs(urlsplit(back).query) == {
        "installation_id": [str(found["id"])],
        "setup_action": ["install"],
        "state": ["s2"],
    }
    assert "setup_action=update" in client.get(page).headers["Location"]
    hub.drain()
    assert receiver.events == ["ping", "installation.created"]
