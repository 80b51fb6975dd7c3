"""A box of the bot's issue, ticked on either host: what the bot hears of it, and of its own writing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from bot.campaigns.ticking import has_ticks
from bot.domain.boxes import Act, Box, control_marker, ticked
from bot.domain.events import Event, IssueEdited
from bot.domain.repositories import Repository
from bot.hosts.github import github_host
from bot.hosts.github_events import normalise_github
from bot.hosts.gitlab_events import normalise_gitlab
from bot.ports import KeepsIssues
from tests.fakes.forge.receivers import Receiver
from tests.fakes.github import FakeGitHub, Installation
from tests.fakes.github_subject import app_of
from tests.fakes.gitlab import FakeGitLab, signing_token
from tests.fakes.gitlab_subject import connected

ONE = Repository("acme", "one", "main", None)
PAUSE = Box(Act.PAUSE)
MARKER = control_marker("c01")
BODY = f"0 of 2\n\n- [ ] pause {PAUSE.marker}\n\n{MARKER}\n"


def require_heard(
    host: KeepsIssues, tick: Callable[[int, str], object], drain: Callable[[], object], told: Callable[[], list[Event]]
) -> None:
    number = host.open_issue(ONE, "Progress", BODY, marker=MARKER, since=datetime(2000, 1, 1, tzinfo=UTC))
    host.write_issue(ONE, number, BODY.replace("0 of 2", "1 of 2"), closing=False)
    tick(number, BODY.replace("0 of 2", "1 of 2").replace("[ ]", "[x]"))
    host.write_issue(ONE, number, BODY.replace("0 of 2", "2 of 2"), closing=True)
    drain()
    edits = [event for event in told() if isinstance(event, IssueEdited)]
    assert [(event.number, event.actor) for event in edits if has_ticks(event)] == [(number, "mia")]
    assert [ticked(event.before, event.after) for event in edits] == [[], [PAUSE], []]


def test_on_github(hub: FakeGitHub, installation: Installation, receiver: Receiver) -> None:
    hub.webhook_url = receiver.url
    require_heard(
        github_host(hub.url, app_of(hub), "acme"),
        lambda number, body: hub.as_user("mia").edit("acme/one", number, body=body),
        hub.drain,
        lambda: [event for got in receiver.received for event in normalise_github(got.headers["X-GitHub-Event"], got.body)],
    )


def test_on_gitlab(gitlab_hub: FakeGitLab, gitlab_token: str, receiver: Receiver) -> None:
    gitlab_hub.add_hook(group="acme", url=receiver.url, signing_token=signing_token())
    require_heard(
        connected(gitlab_hub.url, gitlab_token),
        lambda number, body: gitlab_hub.as_user("mia").edit("acme/one", number, description=body),
        gitlab_hub.drain,
        lambda: [event for got in receiver.received for event in normalise_gitlab("Issue Hook", got.body)],
    )
