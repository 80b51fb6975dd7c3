"""The pages that make a GitHub App: a token, one click here, one on GitHub, and the App's key is in the home.

They answer only while a setup is pending: what the token does not open is not there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from flask import Blueprint, Response, g, render_template, request

from bot.errors import HostError
from bot.hosts import github_credentials
from bot.hosts.github_credentials import GitHubApp
from bot.hosts.github_setup import PERMISSIONS, convert, creation_url, manifest
from bot.ports import Clock
from bot.web import pending

Keep = Callable[[str, GitHubApp], None]
"""Stores the App of the instance at a URL."""
Page = tuple[str, int]

PAGE = "/setup/github"
CALLBACK = f"{PAGE}/created"
_FORM_BYTES = 4096
_STYLE_SECONDS = 3600


def blueprint(home: Path, clock: Clock, keep: Keep | None = None) -> Blueprint:
    """The pages below /setup. Without `keep`, the App is stored in the home."""
    pages = Blueprint("setup", __name__, template_folder="templates", static_folder="static", static_url_path="/setup/static")
    stored = keep or partial(github_credentials.save, home)
    pages.add_url_rule(PAGE, "ask", partial(_ask, home, clock), methods=["GET"])
    pages.add_url_rule(PAGE, "offer", partial(_offer, home, clock), methods=["POST"])
    pages.add_url_rule(CALLBACK, "finish", partial(_finish, home, clock, stored), methods=["GET"])
    pages.after_request(_harden)
    return pages


def _ask(home: Path, clock: Clock) -> Page:
    """The form that asks for the token."""
    if not pending.is_pending(home, clock.now()):
        return _nothing()
    return render_template("setup/token.html", action=PAGE, wrong=False), 200


def _offer(home: Path, clock: Clock) -> Page:
    """What the App will be allowed, and the button that makes it: the browser posts the manifest to GitHub."""
    request.max_content_length = _FORM_BYTES
    if not pending.is_pending(home, clock.now()):
        return _nothing()
    entered = pending.enter(home, request.form.get("token", "").strip(), clock.now())
    if entered is None:
        return render_template("setup/token.html", action=PAGE, wrong=True), 403
    begun, state = entered
    g.form_target = begun.url
    described = manifest(begun.url, begun.org, callback=begun.callback, webhook_url=begun.webhook_url)
    page = render_template(
        "setup/offer.html",
        action=f"{creation_url(begun.url, begun.org)}?state={state}",
        manifest=described,
        permissions=PERMISSIONS,
        setup=begun,
    )
    return page, 200


def _finish(home: Path, clock: Clock, keep: Keep) -> Page:
    """GitHub has sent the browser back, with a code for the App's key."""
    if not pending.is_pending(home, clock.now()):
        return _nothing()
    try:
        with pending.finishing(home, request.args.get("state", ""), clock.now()) as begun:
            if begun is None:
                return _problem("This does not come from the page that was opened here.", 403)
            app = convert(begun.url, request.args.get("code", ""))
            keep(begun.url, app)
    except HostError as error:
        return _problem(error.explanation, 502)
    return render_template("setup/done.html", app=app, setup=begun), 200


def _nothing() -> Page:
    return _problem("No setup is under way. `whimbrel setup github` begins one, and prints a token for this page.", 404)


def _problem(words: str, status: int) -> Page:
    return render_template("setup/problem.html", words=words), status


def _harden(response: Response) -> Response:
    """No script, nothing from elsewhere, no frame around it; nothing that has a token or a code is kept or passed on."""
    targets = " ".join(["'self'", *([g.form_target] if "form_target" in g else [])])
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'self'; form-action {targets}; frame-ancestors 'none'; base-uri 'none'"
    )
    response.headers["Referrer-Policy"] = "strict-origin"  # stricter, and the form would reach GitHub from nowhere
    response.headers["X-Content-Type-Options"] = "nosniff"
    is_style = response.mimetype == "text/css"
    response.headers["Cache-Control"] = f"public, max-age={_STYLE_SECONDS}" if is_style else "no-store"
    return response
