"""What people do on GitLab, as the bot is told of it: from what a webhook of the group delivers, signed, to events."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bot.domain.events import (
    ChecksChanged,
    Commented,
    Event,
    IssueEdited,
    Labelled,
    PullRequestChanged,
    Pushed,
    RepositoryChanged,
)
from bot.hosts.gitlab_events import normalise_gitlab
from bot.hosts.signers import Signer
from bot.hosts.webhooks import gitlab_delivery, verify_gitlab
from tests.fakes.forge.receivers import Receiver, receiving
from tests.fakes.gitlab import FakeGitLab, Person, signing_token


class Listener:
    """A webhook of the group acme, with every event that there is."""

    def __init__(self, hub: FakeGitLab, receiver: Receiver):
        self.hub, self._receiver, self._secret = hub, receiver, signing_token()
        hub.add_hook(group="acme", url=receiver.url, signing_token=self._secret)
        self.mia, self.ada = hub.as_user("mia"), hub.as_user("ada")

    def heard(self) -> list[Event]:
        """What was told since the last time."""
        self.hub.drain()
        told = list(self._receiver.received)
        self._receiver.received.clear()
        events = []
        for each in told:
            now = self.hub.state.clock.now()
            known = [Signer("127.0.0.1", self._secret)]
            assert verify_gitlab(known, each.body, each.headers, now) == {"127.0.0.1"}
            events += normalise_gitlab(gitlab_delivery(each.headers, each.body).event, each.body)
        return events

    def kinds(self) -> list[str]:
        return [_told(event) for event in self.heard()]


def _told(event: Event) -> str:
    """In a line, with what tells it apart."""
    match event:
        case Labelled():
            words = f"{'-' if event.removed else '+'}{event.label} on {event.kind} {event.number} by {event.actor}"
        case Commented():
            words = f"{event.body!r} on {event.thread.kind} {event.thread.number} by {event.actor}"
        case PullRequestChanged():
            words = f"{event.number} {event.what} by {event.actor}"
        case RepositoryChanged():
            words = f"{event.repository} {event.what}"
        case ChecksChanged():
            words = f"checks: {event.conclusion or 'running'}"
        case Pushed():
            words = f"pushed to {event.branch} by {event.actor}"
        case _:
            words = type(event).__name__
    return words


@pytest.fixture
def listener(gitlab_hub: FakeGitLab, gitlab_token: str) -> Iterator[Listener]:
    with receiving() as receiver:
        yield Listener(gitlab_hub, receiver)


def test_issues_labels_and_notes(listener: Listener) -> None:
    mia = listener.mia
    issue = mia.open_issue("acme/one", "T", labels=("whimbrel:tidy",))
    assert listener.kinds() == [f"+whimbrel:tidy on issue {issue.iid} by mia"]
    mia.unlabel("acme/one", issue.iid, "whimbrel:tidy")
    mia.label("acme/one", issue.iid, "a", "b")
    assert listener.kinds() == [
        f"-whimbrel:tidy on issue {issue.iid} by mia", f"+a on issue {issue.iid} by mia", f"+b on issue {issue.iid} by mia",
    ]  # fmt: skip
    note = mia.comment("acme/one", issue.iid, "/whimbrel help")
    assert listener.kinds() == [f"'/whimbrel help' on issue {issue.iid} by mia"]
    mia.edit_comment(note, "/whimbrel run tidy")
    mia.delete_comment(note)
    mia.award(issue, "eyes")
    mia.edit("acme/one", issue.iid, title="Another")
    mia.close("acme/one", issue.iid)
    assert listener.kinds() == []
    mia.edit("acme/one", issue.iid, description="- [x] go")
    (edited,) = listener.heard()
    assert isinstance(edited, IssueEdited)
    assert (edited.before, edited.after, edited.actor) == ("", "- [x] go", "mia")


def test_the_life_of_a_merge_request(listener: Listener) -> None:
    mia, ada = listener.mia, listener.ada
    mia.push("acme/one", "change", {"a.txt": "a"})
    number = mia.open_merge_request("acme/one", "T", source="change").iid
    assert listener.kinds() == [f"{number} opened by mia"]
    mia.push("acme/one", "change", {"a.txt": "b"})
    ada.approve("acme/one", number)
    ada.unapprove("acme/one", number)
    mia.mark_draft("acme/one", number)
    assert listener.kinds() == [
        f"{number} synchronized by mia",
        f"{number} reviewed by ada",
        f"{number} reviewed by ada",
        f"{number} edited by mia",
    ]
    mia.mark_draft("acme/one", number, draft=False)
    mia.close("acme/one", number, pull=True)
    mia.reopen("acme/one", number, pull=True)
    assert listener.kinds()[-2:] == [f"{number} closed by mia", f"{number} reopened by mia"]
    ada.comment_on_line("acme/one", number, "/whimbrel retry", path="a.txt")
    assert listener.kinds() == [f"'/whimbrel retry' on pull_request {number} by ada"]
    ada.merge("acme/one", number)
    assert sorted(listener.kinds()) == [f"{number} merged by ada", "pushed to main by ada"]


def test_pushes_and_pipelines(listener: Listener) -> None:
    listener.mia.push("acme/one", "feature", {"a.txt": "a"})
    listener.ada.push("acme/one", "main", {"a.txt": "a"})
    assert listener.kinds() == ["pushed to main by ada"]
    listener.mia.run_pipeline("acme/one", "main", "success")
    assert listener.kinds()[-1] == "checks: success"


def test_projects_that_come_and_go_in_any_group_below(listener: Listener) -> None:
    ada: Person = listener.ada
    ada.create_project("acme/platform", "new")
    [created, *_] = listener.heard()
    assert isinstance(created, RepositoryChanged)
    assert (created.repository.host, str(created.repository), created.what) == ("", "acme/platform/new", "created")
    ada.delete_project("acme/platform/new")
    assert listener.kinds() == ["acme/platform/new deleted"]
    ada.create_group("acme/other")
    ada.add_member("acme/other", "mia", "maintainer")
    ada.remove_member("acme/other", "mia")
    assert listener.kinds() == []
