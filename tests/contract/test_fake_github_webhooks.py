"""The webhooks that the fake sends: each held against GitHub's own schema (by the hub's guard), signed, and redelivered."""

from __future__ import annotations

import httpx

from tests.contract.conftest import Ask, app_token
from tests.fakes.forge.receivers import Receiver
from tests.fakes.github import FakeGitHub, Installation
from tests.fakes.github.webhooks import signature

ONE = "/repos/acme/one"


def everything(hub: FakeGitHub, ask: Ask, installation: Installation) -> None:
    """Whatever sends an event."""
    mia, ada = hub.as_user("mia"), hub.as_user("ada")
    issue = mia.open_issue("acme/one", "Old library", "It is old", labels=("whimbrel:upgrade",))
    mia.unlabel("acme/one", issue.number, "whimbrel:upgrade")
    mia.edit("acme/one", issue.number, title="Older library")
    comment = mia.comment("acme/one", issue.number, "/whimbrel status")
    mia.edit_comment(comment, "/whimbrel help")
    mia.delete_comment(comment)
    mia.close("acme/one", issue.number)
    mia.reopen("acme/one", issue.number)
    mia.push("acme/one", "b", {"b": "b"})
    pull = mia.open_pull("acme/one", "B", head="b", draft=True)
    mia.label("acme/one", pull.number, "ready")
    mia.unlabel("acme/one", pull.number, "ready")
    mia.edit("acme/one", pull.number, body="More")
    mia.mark_draft("acme/one", pull.number, False)
    mia.mark_draft("acme/one", pull.number)
    mia.mark_draft("acme/one", pull.number, False)
    sha = mia.push("acme/one", "b", {"b": "c"})
    ask("POST", f"{ONE}/pulls/{pull.number}/requested_reviewers", {"reviewers": ["ada"], "team_reviewers": ["core"]})
    mia.comment("acme/one", pull.number, "Done")
    line = ada.comment_on_line("acme/one", pull.number, "Why?", path="b")
    mia.comment_on_line("acme/one", pull.number, "Because", path="b", reply_to=line.id)
    ada.edit_comment(line, "Why not?")
    ada.delete_comment(line)
    ada.review("acme/one", pull.number, "COMMENT", "Hm")
    run = ask("POST", f"{ONE}/check-runs", {"name": "w", "head_sha": sha, "status": "in_progress"}).json()["id"]
    ask("PATCH", f"{ONE}/check-runs/{run}", {"status": "completed", "conclusion": "failure"})
    ada.rerequest_checks("acme/one", run)
    mia.close("acme/one", pull.number)
    mia.reopen("acme/one", pull.number)
    ada.review("acme/one", pull.number, "APPROVE", "Good")
    mia.merge("acme/one", pull.number)
    mia.delete_branch("acme/one", "b")
    ada.create_repository("acme", "new")
    ada.edit_repository("acme/new", description="New", topics=["bots"])
    ada.edit_repository("acme/one", default_branch="main")
    ada.archive("acme/new")
    ada.unarchive("acme/new")
    ada.rename("acme/new", "newer")
    ada.delete_repository("acme/newer")
    hub.create_org("other")
    hub.install("other")
    ada.transfer("acme/one", "other")
    hub.select(installation, ["two"])
    hub.select(installation, ["two", "three"])
    hub.accept_permissions(installation, {"statuses": "write"})
    hub.suspend(installation)
    hub.unsuspend(installation)
    hub.uninstall(installation)


def test_every_event_is_sent_as_github_describes_it(
    hub: FakeGitHub, ask: Ask, installation: Installation, receiver: Receiver
) -> None:
    hub.add_team("acme", "core", ["ada"])
    hub.webhook_url = receiver.url
    everything(hub, ask, installation)
    hub.drain()
    assert set(receiver.events) == {
        "check_suite.completed",
        "check_suite.rerequested",
        "installation.created",
        "installation.deleted",
        "installation.new_permissions_accepted",
        "installation.suspend",
        "installation.unsuspend",
        "installation_repositories.added",
        "installation_repositories.removed",
        "issue_comment.created",
        "issue_comment.deleted",
        "issue_comment.edited",
        "issues.closed",
        "issues.edited",
        "issues.labeled",
        "issues.opened",
        "issues.reopened",
        "issues.unlabeled",
        "pull_request.closed",
        "pull_request.converted_to_draft",
        "pull_request.edited",
        "pull_request.labeled",
        "pull_request.opened",
        "pull_request.ready_for_review",
        "pull_request.reopened",
        "pull_request.review_requested",
        "pull_request.synchronize",
        "pull_request.unlabeled",
        "pull_request_review.submitted",
        "pull_request_review_comment.created",
        "pull_request_review_comment.deleted",
        "pull_request_review_comment.edited",
        "push",
        "repository.archived",
        "repository.created",
        "repository.deleted",
        "repository.edited",
        "repository.renamed",
        "repository.transferred",
        "repository.unarchived",
    }
    assert all(each.ok for each in hub.deliveries)


def test_an_event_is_signed_with_the_apps_secret(hub: FakeGitHub, installation: Installation, receiver: Receiver) -> None:
    hub.webhook_url = receiver.url
    hub.as_user("mia").open_issue("acme/one", "T")
    hub.drain()
    [got] = receiver.received
    assert got.headers["X-Hub-Signature-256"] == signature(hub.app.webhook_secret, got.body)
    assert got.payload["installation"]["id"] == installation.id
    assert got.payload["sender"]["login"] == "mia"


def test_what_the_bot_does_is_told_in_its_own_name(hub: FakeGitHub, ask: Ask, receiver: Receiver) -> None:
    hub.webhook_url = receiver.url
    ask("POST", f"{ONE}/issues", {"title": "T"})
    hub.drain()
    sender = receiver.received[0].payload["sender"]
    assert (sender["login"], sender["type"]) == ("whimbrel[bot]", "Bot")


def test_an_app_hears_only_of_what_it_is_installed_on(hub: FakeGitHub, installation: Installation, receiver: Receiver) -> None:
    hub.select(installation, ["two"])
    hub.webhook_url = receiver.url
    hub.as_user("mia").open_issue("acme/one", "Elsewhere")
    hub.as_user("mia").open_issue("acme/two", "Here")
    hub.suspend(installation)
    hub.as_user("mia").open_issue("acme/two", "Later")
    hub.drain()
    assert receiver.events == ["issues.opened", "installation.suspend"]


def test_a_failed_one_is_listed_and_redelivered_under_its_own_guid(hub: FakeGitHub, ask: Ask, receiver: Receiver) -> None:
    mine, hub.webhook_url, receiver.status = app_token(hub), receiver.url, 503
    hub.as_user("mia").open_issue("acme/one", "T")
    hub.drain()
    [failed] = ask("GET", "/app/hook/deliveries?status=failure", token=mine).json()
    assert (failed["status_code"], failed["event"], failed["action"]) == (503, "issues", "opened")
    receiver.status = 202
    assert ask("POST", f"/app/hook/deliveries/{failed['id']}/attempts", token=mine).status_code == 202
    hub.drain()
    first, second = receiver.received
    assert (second.guid, second.body) == (first.guid, first.body)
    again, _ = ask("GET", "/app/hook/deliveries", token=mine).json()
    assert (again["guid"], again["redelivery"], again["status"]) == (failed["guid"], True, "OK")
    whole = ask("GET", f"/app/hook/deliveries/{again['id']}", token=mine).json()
    assert whole["request"]["headers"]["X-GitHub-Delivery"] == failed["guid"]


def test_one_to_a_receiver_that_is_down_is_listed_too(hub: FakeGitHub, ask: Ask) -> None:
    hub.webhook_url = "http://127.0.0.1:9/nobody"
    hub.as_user("mia").open_issue("acme/one", "T")
    hub.drain()
    [failed] = ask("GET", "/app/hook/deliveries?status=failure", token=app_token(hub)).json()
    assert failed["status"] == "failed to connect to host"


def test_deliveries_come_newest_first_in_pages_by_cursor(hub: FakeGitHub, ask: Ask, receiver: Receiver) -> None:
    mine, hub.webhook_url = app_token(hub), receiver.url
    for number in range(5):
        hub.as_user("mia").open_issue("acme/one", str(number))
    hub.drain()
    seen: list[str] = []
    answer: httpx.Response | None = ask("GET", "/app/hook/deliveries?per_page=2", token=mine)
    while answer is not None:
        seen += [each["guid"] for each in answer.json()]
        following = answer.links.get("next", {}).get("url")
        answer = ask("GET", following.removeprefix(hub.api_url), token=mine) if following else None
    assert seen == [each.guid for each in reversed(receiver.received)]
