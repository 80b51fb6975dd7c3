"""What doctor checks of GitHub, for the instances that the org policies name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import urlsplit

from bot.config import Settings
from bot.domain.org_policies import OrgPolicy
from bot.errors import ConfigurationError, HostError, NotFound
from bot.hosts.github_app import PUSH_WORKFLOWS
from bot.hosts.github_credentials import GITHUB, GitHubApp, Token, load, webhook_signers
from bot.hosts.github_setup import EVENTS, AppSettings, login_of, missing

Check = Callable[[], str]
"""What it found, in words; raises WhimbrelError, with the mend, for what is wrong."""

RECENT = timedelta(hours=24)


def instances(orgs: Iterable[OrgPolicy]) -> Mapping[str, list[str]]:
    """The orgs on GitHub, by the URL of their instance."""
    found: dict[str, list[str]] = {}
    for org in orgs:
        if org.host_kind == "github":
            found.setdefault(org.host_url, []).append(org.org)
    return found


def fork_owners(orgs: Iterable[OrgPolicy], url: str) -> list[str]:
    """Where the forks of the orgs on that instance go, as far as their policies say."""
    return sorted({org.forks for org in orgs if org.forks and org.host_kind == "github" and org.host_url == url})


def checks(settings: Settings, url: str, orgs: Iterable[str], forks: Iterable[str] = ()) -> Iterator[tuple[str, Check]]:
    """Each check of an instance with its subject. Raises ConfigurationError where there is no way to ask it anything."""
    name = urlsplit(url).netloc
    match load(settings.home, url, os.environ):
        case GitHubApp() as app:
            heard = any(each.instance == urlsplit(url).hostname for each in webhook_signers(settings.home, os.environ))
            yield from _app_checks(name, url, app, orgs, heard=heard)
            for owner in forks:
                yield f"{name} forks to {owner}", partial(_forks, AppSettings(url, app), owner)
        case Token() as token:
            yield f"{name} token", partial(_token, url, token)
        case _:
            mend = f"whimbrel setup github --org {next(iter(orgs))}{'' if url == GITHUB else f' --url {url}'}"
            raise ConfigurationError("there is neither an app nor a token", mend=f"{mend}, or set WHIMBREL_GITHUB_TOKEN")


def _app_checks(name: str, url: str, app: GitHubApp, orgs: Iterable[str], *, heard: bool) -> Iterator[tuple[str, Check]]:
    settings = AppSettings(url, app)
    yield f"{name} app", partial(_app, settings)
    yield f"{name} permissions", partial(_permissions, settings)
    yield f"{name} webhook", partial(_webhook, settings, app, heard=heard)
    yield f"{name} deliveries", partial(_deliveries, settings)
    for org in orgs:
        yield f"{name} {org}", partial(_installation, settings, org)


def _app(settings: AppSettings) -> str:
    found = settings.app()
    return f"{found.slug}, number {found.id}"


def _permissions(settings: AppSettings) -> str:
    found = settings.app()
    if lacking := missing(found.permissions):
        raise HostError(f"missing {', '.join(lacking)}", mend=f"grant them in the app's settings, from {found.html_url}")
    return "all that it needs"


def _webhook(settings: AppSettings, app: GitHubApp, *, heard: bool) -> str:
    found, url = settings.app(), settings.webhook_url()
    if not url:
        mend = "set it in the app's settings, to where `whimbrel web` is reached, with /webhooks/github"
        raise HostError("it has no URL: labels and comments are not heard", mend=mend)
    if not app.webhook_secrets:
        mend = "whimbrel setup github --rotate-secret makes one, or WHIMBREL_GITHUB_WEBHOOK_SECRET names it"
        raise ConfigurationError("its secret is not known here: every delivery is refused", mend=mend)
    if not heard:
        mend = "WHIMBREL_GITHUB_URL names the instance of the app that the environment has"
        raise ConfigurationError("its secret counts for github.com alone: every delivery is refused", mend=mend)
    if unheard := sorted(set(EVENTS) - set(found.events)):
        raise HostError(f"it does not hear of {', '.join(unheard)}", mend="subscribe to them in the app's settings")
    return url


def _deliveries(settings: AppSettings) -> str:
    """Does what GitHub sends arrive? The newest one says how it is now."""
    since = datetime.now(UTC) - RECENT
    recent = [delivery for delivery in settings.deliveries() if delivery.delivered_at >= since]
    if not recent:
        return "none within a day"
    failed = [delivery for delivery in recent if not delivery.arrived]
    words = f"{len(failed)} of the last {len(recent)} failed"
    if not recent[0].arrived:
        last = recent[0]
        raise HostError(
            f"{words}, the newest one with: {last.status} ({last.status_code})",
            mend="is `whimbrel web` running, and reached at the webhook's URL?",
        )
    return words


def _installation(settings: AppSettings, org: str) -> str:
    try:
        found = settings.installation(org)
    except NotFound as error:
        mend = f"an owner of {org} installs it: {settings.app().install_url}"
        raise HostError(f"the app is not installed on {org}", mend=mend) from error
    if found.suspended_at:
        raise HostError(f"its installation is suspended since {found.suspended_at:%Y-%m-%d}", mend=f"{found.html_url}")
    if lacking := missing(found.permissions):
        raise HostError(f"an owner has not granted {', '.join(lacking)}", mend=f"accept them: {found.html_url}")
    return f"installed, on {'all' if found.repository_selection == 'all' else 'selected'} repositories"


def _forks(settings: AppSettings, owner: str) -> str:
    """May the App make forks there, and push to them? GitHub asks for all repositories of the destination."""
    try:
        found = settings.installation(owner)
    except NotFound as error:
        mend = f"an owner of {owner} installs it, on all repositories: {settings.app().install_url}"
        raise HostError(f"the app is not installed on {owner}, where forks go", mend=mend) from error
    if lacking := missing(found.permissions, {**PUSH_WORKFLOWS, "administration": "write"}):
        mend = f"grant them in the app's settings, and accept them: {found.html_url}; or fork by hand what needs it"
        raise HostError(f"to make forks it lacks {', '.join(lacking)}", mend=mend)
    if found.repository_selection != "all":
        raise HostError("it makes no forks where it has selected repositories alone", mend=f"choose all: {found.html_url}")
    return "it may make forks there, and push to them"


def _token(url: str, token: Token) -> str:
    return f"a plain token, of {login_of(url, token)}: it hears no webhooks, and shows statuses, not check runs"
