from __future__ import annotations

import html
import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from bot.hosts.github_credentials import GitHubApp, load
from bot.hosts.github_setup import PERMISSIONS
from bot.web import pending
from bot.web.setup import CALLBACK, PAGE, blueprint
from tests.fakes.clock import ManualClock
from tests.fakes.github import FakeGitHub

BASE = "http://127.0.0.1:8080"
WEBHOOK = "https://bot.example.com/webhooks/github"


class Visitor:
    """A browser, as far as this flow needs one."""

    def __init__(self, home: Path, hub: FakeGitHub, clock: ManualClock):
        self.home, self.hub, self.clock = home, hub, clock
        app = Flask("test")
        app.register_blueprint(blueprint(home, clock))
        self.pages: FlaskClient = app.test_client()

    def begin(self, *, webhook_url: str = WEBHOOK) -> str:
        return pending.begin(
            self.home, url=self.hub.url, org="acme", callback=f"{BASE}{CALLBACK}", webhook_url=webhook_url, now=self.clock.now()
        )

    def enter(self, token: str) -> TestResponse:
        return self.pages.post(PAGE, data={"token": token})

    def press(self, offered: TestResponse) -> str:
        """Press the offer's button, and agree on GitHub; return where it sends the browser to, below BASE."""
        target, manifest = form_of(offered)
        created = httpx.post(target, data={"manifest": manifest})
        assert created.status_code == 302, created.text
        return created.headers["Location"].removeprefix(BASE)

    def stored(self) -> object:
        return load(self.home, self.hub.url, {})


def form_of(offered: TestResponse) -> tuple[str, str]:
    """Where the offer's form goes to, and the manifest in it."""
    form = re.search(r'action="([^"]+)">\s*<input type="hidden" name="manifest" value="([^"]+)">', offered.text)
    assert form is not None
    target, manifest = map(html.unescape, form.groups())
    return target, manifest


@pytest.fixture
def hub(tmp_path: Path, clock: ManualClock) -> Iterator[FakeGitHub]:
    with FakeGitHub(tmp_path / "hub", clock=clock) as hub:
        hub.create_org("acme")
        yield hub


@pytest.fixture
def visitor(tmp_path: Path, hub: FakeGitHub, clock: ManualClock) -> Visitor:
    home = tmp_path / "home"
    home.mkdir()
    return Visitor(home, hub, clock)


def test_a_token_a_click_and_the_app_s_key_is_in_the_home(visitor: Visitor) -> None:
    token = visitor.begin()
    done = visitor.pages.get(visitor.press(visitor.enter(token)))
    assert done.status_code == 200
    stored = visitor.stored()
    assert isinstance(stored, GitHubApp)
    assert stored.slug == "whimbrel-acme"
    assert "BEGIN RSA PRIVATE KEY" in stored.private_key
    assert [len(secret) for secret in stored.webhook_secrets] == [40]
    assert f'href="{stored.html_url}/installations/new"' in done.text
    for file in (visitor.home / "github").rglob("*.*"):
        assert file.is_dir() or stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_offer_says_what_the_app_may_and_why_before_anything_is_made(visitor: Visitor) -> None:
    offered = visitor.enter(visitor.begin())
    assert offered.status_code == 200
    for name, permission in PERMISSIONS.items():
        assert name in offered.text
        assert permission.why in html.unescape(offered.text)
    assert WEBHOOK in offered.text
    target, manifest = form_of(offered)
    assert target.startswith(f"{visitor.hub.url}/organizations/acme/settings/apps/new?state=")
    assert json.loads(manifest)["hook_attributes"]["url"] == WEBHOOK


def test_an_app_without_a_webhook_is_told_of_as_one(visitor: Visitor) -> None:
    offered = visitor.enter(visitor.begin(webhook_url=""))
    assert "It has no webhook" in offered.text
    visitor.pages.get(visitor.press(offered))
    assert isinstance(visitor.stored(), GitHubApp)


def test_afterwards_the_pages_are_closed(visitor: Visitor) -> None:
    token = visitor.begin()
    callback = visitor.press(visitor.enter(token))
    assert visitor.pages.get(callback).status_code == 200
    for answer in (visitor.pages.get(PAGE), visitor.enter(token), visitor.pages.get(callback)):
        assert answer.status_code == 404
        assert "whimbrel setup github" in answer.text


def test_without_a_setup_there_are_no_pages(visitor: Visitor) -> None:
    for answer in (visitor.pages.get(PAGE), visitor.enter("x"), visitor.pages.get(f"{CALLBACK}?code=c&state=s")):
        assert answer.status_code == 404


def test_the_pages_close_by_themselves(visitor: Visitor) -> None:
    token = visitor.begin()
    callback = visitor.press(visitor.enter(token))
    visitor.clock.advance(pending.LIFE.total_seconds())
    assert visitor.pages.get(PAGE).status_code == 404
    assert visitor.pages.get(callback).status_code == 404
    assert visitor.stored() is None


def test_a_wrong_token_sees_nothing_of_the_setup(visitor: Visitor) -> None:
    visitor.begin()
    for answer in (visitor.pages.get(PAGE), visitor.enter(""), visitor.enter("x"), visitor.pages.post(PAGE)):
        assert answer.status_code in (200, 403)
        assert "acme" not in answer.text
        assert 'type="password"' in answer.text
    assert visitor.enter("x").status_code == 403


@pytest.mark.parametrize("state", ["", "x", None])
def test_a_code_that_does_not_come_from_our_page_is_refused(visitor: Visitor, state: str | None) -> None:
    """Somebody else's link would give the bot somebody else's app."""
    callback = visitor.press(visitor.enter(visitor.begin()))
    code = parse_qs(urlsplit(callback).query)["code"][0]
    answer = visitor.pages.get(CALLBACK, query_string={"code": code} | ({} if state is None else {"state": state}))
    assert answer.status_code == 403
    assert visitor.stored() is None
    assert visitor.pages.get(callback).status_code == 200


def test_a_code_that_github_does_not_know_is_told_of(visitor: Visitor) -> None:
    callback = visitor.press(visitor.enter(visitor.begin()))
    state = parse_qs(urlsplit(callback).query)["state"][0]
    answer = visitor.pages.get(CALLBACK, query_string={"code": "0" * 40, "state": state})
    assert answer.status_code == 502
    assert "GitHub does not know this code" in answer.text
    assert visitor.stored() is None


def test_while_github_is_down_nothing_is_lost(visitor: Visitor) -> None:
    """The code can be used once, and for an hour: the page is opened again."""
    callback = visitor.press(visitor.enter(visitor.begin()))
    visitor.hub.fail(path_pattern="conversions$", status=503)
    assert visitor.pages.get(callback).status_code == 502
    assert visitor.pages.get(callback).status_code == 200
    assert isinstance(visitor.stored(), GitHubApp)


def test_no_page_runs_a_script_is_kept_or_framed(visitor: Visitor) -> None:
    token = visitor.begin()
    asked, offered = visitor.pages.get(PAGE), visitor.enter(token)
    done = visitor.pages.get(visitor.press(offered))
    for page in (asked, offered, done, visitor.pages.get(PAGE)):
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "<script" not in page.text
        assert " style=" not in page.text
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["Referrer-Policy"] == "strict-origin"
    assert f"form-action 'self' {visitor.hub.url};" in offered.headers["Content-Security-Policy"]
    assert "form-action 'self';" in asked.headers["Content-Security-Policy"]


def test_the_pages_style_is_there(visitor: Visitor) -> None:
    style = re.search(r'rel="stylesheet" href="([^"]+)"', visitor.pages.get(PAGE).text)
    assert style is not None
    answer = visitor.pages.get(style[1])
    assert (answer.status_code, answer.mimetype) == (200, "text/css")


def test_every_page_has_its_language_its_heading_and_a_label_for_what_is_asked(visitor: Visitor) -> None:
    asked = visitor.enter(visitor.begin() + "x").text
    for part in ('<html lang="en">', "<h1>", '<label for="token">', 'id="token"', 'role="alert"', "autofocus"):
        assert part in asked


def test_a_long_form_is_refused_unread(visitor: Visitor) -> None:
    visitor.begin()
    assert visitor.pages.post(PAGE, data={"token": "x" * 100_000}).status_code == 413


def test_the_org_s_name_is_escaped(visitor: Visitor) -> None:
    token = pending.begin(
        visitor.home, url=visitor.hub.url, org='<b>"', callback=f"{BASE}{CALLBACK}", webhook_url="", now=visitor.clock.now()
    )
    assert "<b>" not in visitor.enter(token).text
