"""Webhooks, as the fake GitLab sends them."""

from __future__ import annotations

from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.contract.conftest import Ask
from tests.contract.gitlab_hub import ONE
from tests.fakes.clock import ManualClock
from tests.fakes.forge.receivers import Receiver
from tests.fakes.gitlab import FakeGitLab, Hook, signing_token


@pytest.fixture
def hook(gitlab_hub: FakeGitLab, gitlab_token: str, receiver: Receiver) -> Hook:
    return gitlab_hub.add_hook(group="acme", url=receiver.url, signing_token=signing_token(), token="plain")


def told(receiver: Receiver) -> list[tuple[str, str]]:
    """Of each: what the header calls it, and its action."""
    found = []
    for each in receiver.received:
        payload = each.payload
        action = payload.get("object_attributes", {}).get("action") or payload.get("event_name", "")
        found.append((each.headers["X-Gitlab-Event"].removesuffix(" Hook"), action))
    return found


def everything(hub: FakeGitLab) -> None:
    """Whatever sends an event."""
    mia, ada = hub.as_user("mia"), hub.as_user("ada")
    issue = mia.open_issue("acme/one", "Old library", "It is old", labels=("whimbrel:upgrade",))
    mia.unlabel("acme/one", issue.iid, "whimbrel:upgrade")
    note = mia.comment("acme/one", issue.iid, "/whimbrel status")
    mia.edit_comment(note, "/whimbrel help")
    mia.award(note, "eyes")
    mia.delete_comment(note)
    mia.close("acme/one", issue.iid)
    mia.reopen("acme/one", issue.iid)
    mia.push("acme/platform/lib", "b", {"b": "b"})
    pull = mia.open_merge_request("acme/platform/lib", "Draft: B", source="b")
    mia.label("acme/platform/lib", pull.iid, "ready", pull=True)
    mia.mark_draft("acme/platform/lib", pull.iid, False)
    mia.push("acme/platform/lib", "b", {"b": "c"})
    thread = ada.comment_on_line("acme/platform/lib", pull.iid, "Why?", path="b")
    ada.resolve(thread)
    mia.run_pipeline("acme/platform/lib", "b", "running")
    mia.run_pipeline("acme/platform/lib", "b", "success")
    mia.close("acme/platform/lib", pull.iid, pull=True)
    mia.reopen("acme/platform/lib", pull.iid, pull=True)
    ada.approve("acme/platform/lib", pull.iid)
    ada.unapprove("acme/platform/lib", pull.iid)
    ada.merge("acme/platform/lib", pull.iid, remove_branch=False)
    ada.create_project("acme", "new")
    ada.rename("acme/new", "newer")
    ada.archive("acme/newer")
    ada.delete_project("acme/newer")
    ada.create_group("acme/fresh")
    ada.delete_group("acme/fresh")
    hub.add_user("zoe")
    ada.add_member("acme", "zoe", "guest")
    ada.add_member("acme", "zoe", "developer")
    ada.remove_member("acme", "zoe")


def test_every_event_is_sent_by_the_groups_hook(gitlab_hub: FakeGitLab, hook: Hook, receiver: Receiver) -> None:
    everything(gitlab_hub)
    gitlab_hub.drain()
    assert set(told(receiver)) == {
        ("Emoji", "award"),
        ("Issue", "close"),
        ("Issue", "open"),
        ("Issue", "reopen"),
        ("Issue", "update"),
        ("Member", "user_add_to_group"),
        ("Member", "user_remove_from_group"),
        ("Member", "user_update_for_group"),
        ("Merge Request", "approved"),
        ("Merge Request", "close"),
        ("Merge Request", "merge"),
        ("Merge Request", "open"),
        ("Merge Request", "reopen"),
        ("Merge Request", "unapproved"),
        ("Merge Request", "update"),
        ("Note", "create"),
        ("Note", "update"),
        ("Pipeline", ""),
        ("Project", "project_create"),
        ("Project", "project_destroy"),
        ("Push", "push"),
        ("Subgroup", "subgroup_create"),
        ("Subgroup", "subgroup_destroy"),
    }
    assert all(each.ok for each in gitlab_hub.deliveries)


def test_one_is_signed_and_says_which_event_and_hook_it_is(gitlab_hub: FakeGitLab, hook: Hook, receiver: Receiver) -> None:
    clock_of_the_signature = gitlab_hub.state.clock.now().timestamp()
    gitlab_hub.as_user("mia").open_issue("acme/one", "T")
    gitlab_hub.drain()
    [got] = receiver.received
    headers = {name.lower(): value for name, value in got.headers.items()}
    assert headers["webhook-id"] == headers["idempotency-key"]
    assert headers["x-gitlab-webhook-uuid"] == hook.uuid
    assert (headers["x-gitlab-token"], headers["x-gitlab-instance"]) == ("plain", gitlab_hub.url)
    assert abs(int(headers["webhook-timestamp"]) - clock_of_the_signature) <= 1
    signed = Webhook(hook.signing_token).sign(headers["webhook-id"], gitlab_hub.state.clock.now(), got.body.decode())
    assert headers["webhook-signature"] == signed


def test_an_older_server_signs_nothing(gitlab_hub: FakeGitLab, gitlab_token: str, receiver: Receiver) -> None:
    gitlab_hub.state.signing = False
    gitlab_hub.add_hook(project="acme/one", url=receiver.url, token="plain", signing_token=signing_token())
    gitlab_hub.as_user("mia").open_issue("acme/one", "T")
    gitlab_hub.drain()
    assert "webhook-signature" not in receiver.received[0].headers
    assert receiver.received[0].headers["X-Gitlab-Token"] == "plain"


def test_a_label_is_told_with_what_was_before(gitlab_hub: FakeGitLab, hook: Hook, receiver: Receiver) -> None:
    issue = gitlab_hub.as_user("mia").open_issue("acme/one", "T", labels=("a",))
    gitlab_hub.as_user("mia").label("acme/one", issue.iid, "b")
    gitlab_hub.drain()
    opened, updated = (each.payload for each in receiver.received)
    assert ("labels" in opened["changes"], [each["title"] for each in opened["labels"]]) == (False, ["a"])
    names: dict[str, Any] = {when: [each["title"] for each in some] for when, some in updated["changes"]["labels"].items()}
    assert names == {"previous": ["a"], "current": ["a", "b"]}
    assert updated["user"]["username"] == "mia"


def test_each_hook_hears_what_it_is_on_for_and_the_event_keeps_its_id(
    gitlab_hub: FakeGitLab, hook: Hook, receiver: Receiver
) -> None:
    gitlab_hub.add_hook(project="acme/one", url=receiver.url, events=("issues_events",))
    gitlab_hub.add_hook(group="acme/platform", url=receiver.url)
    issue = gitlab_hub.as_user("mia").open_issue("acme/one", "T")
    gitlab_hub.as_user("mia").comment("acme/one", issue.iid, "Hello")
    gitlab_hub.drain()
    assert sorted(kind for kind, _ in told(receiver)) == ["Issue", "Issue", "Note"]
    first, second = (each.headers for each in receiver.received if each.payload["object_kind"] == "issue")
    assert first["X-Gitlab-Event-UUID"] == second["X-Gitlab-Event-UUID"]
    assert first["Idempotency-Key"] != second["Idempotency-Key"]


def test_a_hook_that_fails_is_disabled_for_a_while_and_then_for_good(
    gitlab_hub: FakeGitLab, gitlab_ask: Ask, hook: Hook, receiver: Receiver, clock: ManualClock
) -> None:
    owner, path = gitlab_hub.personal_token("ada"), f"/groups/acme/hooks/{hook.id}"

    def status() -> str:
        return str(gitlab_ask("GET", path, token=owner).json()["alert_status"])

    def happen(times: int) -> None:
        for _ in range(times):
            gitlab_hub.as_user("mia").open_issue("acme/one", "T")
            gitlab_hub.drain()

    receiver.status = 503
    happen(3)
    assert status() == "executable"
    happen(2)
    assert (status(), len(receiver.received)) == ("temporarily_disabled", 4)
    clock.advance(61)
    happen(2)
    assert (status(), len(receiver.received)) == ("temporarily_disabled", 5)
    for _ in range(35):
        clock.advance(90_000)
        happen(1)
    assert (status(), len(receiver.received)) == ("disabled", 40)
    assert gitlab_ask("PUT", path, {"url": receiver.url}, token=owner).json()["alert_status"] == "disabled"
    assert gitlab_ask("POST", f"{path}/test/push_events", token=owner).status_code == 422
    receiver.status = 202
    assert gitlab_ask("POST", f"{path}/test/push_events", token=owner).status_code == 201
    assert status() == "executable"
    happen(1)
    assert receiver.events[-1].startswith("Issue Hook")


def test_hooks_are_made_and_changed_by_the_api_and_tell_no_secret(
    gitlab_hub: FakeGitLab, gitlab_ask: Ask, gitlab_token: str, receiver: Receiver
) -> None:
    owner = gitlab_hub.personal_token("ada")
    assert gitlab_ask("GET", "/groups/acme/hooks").status_code == 403
    asked = {"url": receiver.url, "signing_token": signing_token(), "note_events": True, "push_events": False}
    made = gitlab_ask("POST", "/groups/acme/hooks", asked, token=owner)
    assert (made.status_code, made.json()["signing_token_present"], made.json()["push_events"]) == (201, True, False)
    assert asked["signing_token"] not in made.text
    path = f"/groups/acme/hooks/{made.json()['id']}"
    assert gitlab_ask("PUT", path, {"issues_events": True}, token=owner).json()["issues_events"] is True
    assert gitlab_ask("DELETE", path, token=owner).status_code == 204
    assert gitlab_ask("POST", f"{ONE}/hooks", {"url": "ftp://x"}, token=owner).status_code == 400
    gitlab_hub.state.group_hooks = False
    assert gitlab_ask("POST", "/groups/acme/hooks", asked, token=owner).status_code == 404


def test_whoever_is_tested_may_ask_the_fake_before_it_answers(
    gitlab_hub: FakeGitLab, gitlab_ask: Ask, hook: Hook, receiver: Receiver
) -> None:
    asked = []
    receiver.first = lambda: asked.append(gitlab_ask("GET", ONE).status_code)
    owner = gitlab_hub.personal_token("ada")
    assert gitlab_ask("POST", f"/groups/acme/hooks/{hook.id}/test/push_events", token=owner).status_code == 201
    assert asked == [200]


def test_one_that_failed_is_sent_again_with_its_own_key(
    gitlab_hub: FakeGitLab, gitlab_ask: Ask, hook: Hook, receiver: Receiver
) -> None:
    receiver.status = 503
    gitlab_hub.as_user("mia").open_issue("acme/one", "T")
    gitlab_hub.drain()
    owner = gitlab_hub.personal_token("ada")
    [entry] = gitlab_ask("GET", f"/groups/acme/hooks/{hook.id}/events", token=owner).json()
    assert (entry["response_status"], entry["request_headers"]["X-Gitlab-Token"]) == ("503", "[REDACTED]")
    receiver.status = 202
    path = f"/groups/acme/hooks/{hook.id}/events/{entry['id']}/resend"
    assert gitlab_ask("POST", path, token=owner).status_code == 201
    gitlab_hub.drain()
    first, second = (each.headers for each in receiver.received)
    assert first["Idempotency-Key"] == second["Idempotency-Key"]
