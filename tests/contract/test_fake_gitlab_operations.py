"""Every operation of the fake, held against GitLab's own description by the hub's guard."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.contract import gitlab_description
from tests.contract.conftest import Ask
from tests.contract.gitlab_hub import LIB, ONE
from tests.fakes.clock import ManualClock
from tests.fakes.forge.receivers import Receiver
from tests.fakes.gitlab import FakeGitLab, rest
from tests.fakes.gitlab.guard import PREFIX

pytestmark = pytest.mark.allow_skip
"""The one thing that REQUIRE_ALL=1 does not require: the description is GitLab's, and not ours to bring along."""


@pytest.fixture(autouse=True)
def described() -> None:
    if reason := gitlab_description.lacking():
        pytest.skip(reason)


def test_every_operation_is_one_of_gitlabs() -> None:
    known = {
        f"{method.upper()} {re.sub(r'{[^}]+}', '{}', path)}"
        for path, item in gitlab_description.description()["paths"].items()
        for method in item
    }
    ours = {f"{each.method} {re.sub(r'<[^>]+>', '{}', each.path)}" for each in rest.declared()}
    assert {each for each in ours if each.replace(" ", f" {PREFIX}", 1) not in known} == set()


def test_an_answer_that_is_not_gitlabs_fails_the_test(gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
    gitlab_hub.project("acme/one").topics = [7]  # type: ignore[list-item]
    gitlab_ask("GET", f"{ONE}?license=true")
    with pytest.raises(AssertionError, match=r"topics/0: 7 is not of type 'string'"):
        gitlab_hub.close()
    assert gitlab_hub._guard is not None
    gitlab_hub._guard = None


def test_projects_and_what_is_in_them(gitlab_hub: FakeGitLab, gitlab_ask: Ask, gitlab_token: str) -> None:
    ada = gitlab_hub.personal_token("ada")
    zoe = gitlab_hub.add_user("zoe").user.id

    def ok(method: str, path: str, body: object = None) -> httpx.Response:
        answer = gitlab_ask(method, path, body, token=ada)
        assert answer.status_code < 400, answer.text
        return answer

    for path in ("/version", "/metadata", "/user", "/users?username=mia", f"/users/{zoe}", "/groups", "/groups/acme/subgroups"):
        ok("GET", path)
    group = ok("POST", "/groups", {"name": "Fresh", "path": "fresh"}).json()
    ok("POST", "/projects", {"name": "New one", "namespace_id": group["id"], "initialize_with_readme": True})
    ok("PUT", "/projects/fresh%2Fnew-one", {"description": "New", "topics": ["a"], "squash_option": "always"})
    ok("GET", "/projects?simple=true&search=new")
    ok("POST", f"{ONE}/share", {"group_id": group["id"], "group_access": 20})
    ok("GET", ONE)
    ok("DELETE", f"{ONE}/share/{group['id']}")
    ok("POST", f"{LIB}/archive")
    ok("POST", f"{LIB}/unarchive")
    ok("PUT", f"{LIB}/transfer", {"namespace": "acme"})
    ok("POST", f"{ONE}/fork", {"namespace_path": "fresh"})
    ok("GET", f"{ONE}/forks")
    ok("POST", f"{ONE}/labels", {"name": "bot", "color": "#112233"})
    ok("GET", f"{ONE}/labels")
    ok("GET", f"{ONE}/labels/bot")
    ok("POST", "/groups/acme/labels", {"name": "all", "color": "#112233"})
    ok("GET", "/groups/acme/labels")
    ok("POST", "/groups/acme/members", {"user_id": zoe, "access_level": 30})
    ok("POST", f"{ONE}/members", {"user_id": zoe, "access_level": 40})
    for where in ("/groups/acme", ONE):
        for tail in ("members", "members/all", f"members/{zoe}", f"members/all/{zoe}"):
            ok("GET", f"{where}/{tail}")
    ok("DELETE", f"/groups/acme/members/{zoe}")
    ok("DELETE", "/projects/fresh%2Fnew-one")


def test_code(gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
    def ok(method: str, path: str, body: object = None) -> httpx.Response:
        answer = gitlab_ask(method, f"{ONE}/{path}", body)
        assert answer.status_code < 400, answer.text
        return answer

    ok("POST", "repository/branches", {"branch": "b", "ref": "main"})
    ok("GET", "repository/branches?search=^b")
    ok("GET", "repository/branches/b")
    action = {"action": "create", "file_path": "new.txt", "content": "new"}
    sha = ok("POST", "repository/commits", {"branch": "b", "commit_message": "New", "actions": [action]}).json()["id"]
    assert len(ok("GET", "repository/commits?ref_name=main..b").json()) == 1
    ok("GET", f"repository/commits/{sha}")
    ok("GET", f"repository/commits/{sha}/refs")
    ok("GET", "repository/compare?from=main&to=b")
    ok("GET", "repository/merge_base?refs[]=main&refs[]=b")
    entry = ok("GET", "repository/tree?ref=b&per_page=100").json()[-1]
    assert ok("GET", f"repository/blobs/{entry['id']}/raw").text == "new"
    ok("POST", "protected_branches", {"name": "release/*", "push_access_level": 0})
    ok("GET", "protected_branches")
    ok("GET", "protected_branches/release%2F%2A")
    ok("DELETE", "protected_branches/release%2F%2A")
    ok("DELETE", "repository/branches/b")


def test_tokens(gitlab_hub: FakeGitLab, gitlab_ask: Ask, clock: ManualClock) -> None:
    ada = gitlab_hub.personal_token("ada")

    def ok(method: str, path: str, body: object = None) -> httpx.Response:
        answer = gitlab_ask(method, path, body, token=ada)
        assert answer.status_code < 400, answer.text
        return answer

    wanted = {"name": "bot", "scopes": ["api"], "access_level": 30, "expires_at": "2026-06-01"}
    made = ok("POST", "/groups/acme/access_tokens", wanted).json()
    assert gitlab_ask("GET", "/user", token=made["token"]).status_code == 200
    ok("GET", "/groups/acme/access_tokens")
    ok("GET", f"/groups/acme/access_tokens/{made['id']}")
    fresh = ok("POST", f"/groups/acme/access_tokens/{made['id']}/rotate", {"expires_at": "2026-07-01"}).json()
    ok("DELETE", f"/groups/acme/access_tokens/{fresh['id']}")
    assert gitlab_ask("GET", "/user", token=fresh["token"]).status_code == 401
    ok("POST", f"{ONE}/access_tokens", wanted)
    ok("GET", f"{ONE}/access_tokens")
    account = ok("POST", "/groups/acme/service_accounts", {"name": "Bot", "username": "bot"}).json()
    path = f"/groups/acme/service_accounts/{account['id']}/personal_access_tokens"
    token = ok("POST", path, {"name": "bot", "scopes": ["api"]}).json()["token"]
    assert gitlab_ask("GET", "/user", token=token).json()["username"] == "bot"
    number = ok("GET", "/personal_access_tokens").json()[0]["id"]
    ok("GET", f"/personal_access_tokens/{number}")
    ada = ok("POST", f"/personal_access_tokens/{number}/rotate").json()["token"]
    ok("DELETE", "/personal_access_tokens/self")


def test_issues_and_what_is_said(gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
    def ok(method: str, path: str, body: object = None) -> httpx.Response:
        answer = gitlab_ask(method, f"{ONE}/{path}", body)
        assert answer.status_code < 400, answer.text
        return answer

    gitlab_hub.as_user("mia").push("acme/one", "b", {"b": "b"})
    ok("POST", "issues", {"title": "T", "description": "D", "labels": "a,b"})
    ok("POST", "merge_requests", {"title": "T", "source_branch": "b", "target_branch": "main"})
    ok("GET", "issues?state=opened&labels=a")
    for kind in ("issues/1", "merge_requests/1"):
        ok("PUT", kind, {"title": "U", "add_labels": "c", "remove_labels": "a", "state_event": "close"})
        ok("PUT", kind, {"state_event": "reopen"})
        ok("GET", kind)
        note = ok("POST", f"{kind}/notes", {"body": "Hello"}).json()["id"]
        ok("GET", f"{kind}/notes?sort=asc")
        ok("GET", f"{kind}/notes/{note}")
        ok("PUT", f"{kind}/notes/{note}", {"body": "Changed"})
        for on in (kind, f"{kind}/notes/{note}"):
            award = ok("POST", f"{on}/award_emoji", {"name": "eyes"}).json()["id"]
            ok("GET", f"{on}/award_emoji")
            ok("DELETE", f"{on}/award_emoji/{award}")
        thread = ok("POST", f"{kind}/discussions", {"body": "Why?"}).json()
        ok("GET", f"{kind}/discussions")
        ok("GET", f"{kind}/discussions/{thread['id']}")
        ok("POST", f"{kind}/discussions/{thread['id']}/notes", {"body": "So"})
        ok("PUT", f"{kind}/discussions/{thread['id']}/notes/{thread['notes'][0]['id']}", {"body": "Why not?"})
        ok("DELETE", f"{kind}/notes/{note}")


def test_merge_requests(gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
    ada, mia = gitlab_hub.personal_token("ada"), gitlab_hub.as_user("mia")
    mia.push("acme/one", "b", {"b": "b"})
    mia.run_pipeline("acme/one", "b", "running")

    def ok(method: str, path: str, body: object = None) -> httpx.Response:
        answer = gitlab_ask(method, f"{ONE}/merge_requests{path}", body, token=ada)
        assert answer.status_code < 400, answer.text
        return answer

    ok("POST", "", {"title": "B", "source_branch": "b", "target_branch": "main", "reviewer_ids": [mia.user.id]})
    tails = ("commits", "diffs", "changes", "versions", "pipelines", "reviewers", "participants", "approvals", "approval_state")
    for tail in tails:
        ok("GET", f"/1/{tail}")
    mias = gitlab_hub.personal_token("mia")
    assert gitlab_ask("POST", f"{ONE}/merge_requests/1/approve", token=mias).status_code == 201
    assert gitlab_ask("POST", f"{ONE}/merge_requests/1/unapprove", token=mias).status_code == 201
    assert ok("PUT", "/1/merge", {"auto_merge": True}).json()["merge_when_pipeline_succeeds"] is True
    ok("POST", "/1/cancel_merge_when_pipeline_succeeds")
    mia.push("acme/one", "c", {"c": "c"})
    mia.open_merge_request("acme/one", "C", source="c")
    gitlab_hub.as_user("ada").push("acme/one", "main", {"m": "m"})
    ok("PUT", "/2/rebase")
    ok("GET", "?source_branch=c&state=opened&with_labels_details=false")
    ok("DELETE", "/2")
    pipeline = gitlab_ask("GET", f"{ONE}/pipelines").json()[0]["id"]
    assert gitlab_ask("GET", f"{ONE}/pipelines/{pipeline}").status_code == 200


def test_hooks(gitlab_hub: FakeGitLab, gitlab_ask: Ask, receiver: Receiver) -> None:
    ada = gitlab_hub.personal_token("ada")

    def ok(method: str, path: str, body: object = None) -> httpx.Response:
        answer = gitlab_ask(method, path, body, token=ada)
        assert answer.status_code < 400, answer.text
        return answer

    for where in ("/groups/acme", ONE):
        made = ok("POST", f"{where}/hooks", {"url": receiver.url, "push_events": True, "token": "secret"}).json()
        path = f"{where}/hooks/{made['id']}"
        ok("GET", f"{where}/hooks")
        ok("GET", path)
        ok("PUT", path, {"url": receiver.url, "note_events": True})
        ok("POST", f"{path}/test/push_events")
        entry = ok("GET", f"{path}/events").json()[0]
        ok("POST", f"{path}/events/{entry['id']}/resend")
        ok("DELETE", path)
