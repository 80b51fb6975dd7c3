"""What the fake GitLab promises to those who test against it."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import gitlab
import httpx
import pytest

from tests.contract.conftest import Ask
from tests.contract.gitlab_hub import LIB, ONE, client_of
from tests.fakes.clock import ManualClock
from tests.fakes.gitlab import FakeGitLab


def branch(hub: FakeGitLab, name: str, *, project: str = "acme/one", content: str = "") -> str:
    return hub.as_user("mia").push(project, name, {f"{name}.txt": content or name})


def opened(ask: Ask, source: str, **more: Any) -> httpx.Response:
    body = {"title": source, "source_branch": source, "target_branch": "main", **more}
    return ask("POST", f"{ONE}/merge_requests", body)


class TestWhoMayDoWhat:
    def test_a_token_does_what_its_scopes_allow(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask, gitlab_token: str) -> None:
        reader = gitlab_hub.group_token("acme", "reader", scopes=("read_api",))
        cloner = gitlab_hub.group_token("acme", "cloner", scopes=("read_repository",))
        assert gitlab_ask("GET", ONE, token=reader).status_code == 200
        refused = gitlab_ask("POST", f"{ONE}/issues", {"title": "T"}, token=reader)
        assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
        assert gitlab_ask("GET", f"{ONE}/repository/files/README.md?ref=main", token=cloner).status_code == 200
        assert gitlab_ask("GET", f"{ONE}/issues", token=cloner).status_code == 403

    def test_a_token_lives_until_the_day_it_ends(
        self, gitlab_hub: FakeGitLab, gitlab_ask: Ask, gitlab_token: str, clock: ManualClock
    ) -> None:
        tomorrow = clock.now().date() + timedelta(days=1)
        token = gitlab_hub.group_token("acme", "short", expires_at=tomorrow)
        told = gitlab_ask("GET", "/personal_access_tokens/self", token=token).json()
        assert (told["expires_at"], told["active"], told["scopes"]) == (str(tomorrow), True, ["api"])
        clock.advance(86_400)
        refused = gitlab_ask("GET", ONE, token=token)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_token")

    def test_a_rotated_token_is_another_and_the_old_one_is_good_for_nothing(self, gitlab_ask: Ask, clock: ManualClock) -> None:
        until = str(clock.now().date() + timedelta(days=30))
        made = gitlab_ask("POST", "/personal_access_tokens/self/rotate", {"expires_at": until}).json()
        assert made["expires_at"] == until
        assert gitlab_ask("GET", "/user").status_code == 401
        assert gitlab_ask("GET", "/user", token=made["token"]).json()["bot"] is True

    def test_membership_comes_down_from_the_groups_above(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        mia = gitlab_hub.as_user("mia").user.id
        assert gitlab_ask("GET", f"{LIB}/members/{mia}").status_code == 404
        assert gitlab_ask("GET", f"{LIB}/members/all/{mia}").json()["access_level"] == 30
        gitlab_hub.add_user("mia", projects={"acme/platform/lib": "maintainer"})
        assert gitlab_ask("GET", f"{LIB}/members/all/{mia}").json()["access_level"] == 40

    def test_a_group_that_a_project_is_shared_with_lends_its_members(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        gitlab_hub.create_group("guests")
        zoe = gitlab_hub.add_user("zoe", groups={"guests": "owner"})
        token = gitlab_hub.personal_token("zoe")
        assert gitlab_ask("GET", ONE, token=token).status_code == 404
        gitlab_hub.as_user("ada").share("acme/one", "guests", "reporter")
        assert gitlab_ask("GET", ONE, token=token).status_code == 200
        assert gitlab_ask("GET", f"{ONE}/members/all/{zoe.user.id}").json()["access_level"] == 20
        assert gitlab_ask("POST", f"{ONE}/repository/branches", {"branch": "b", "ref": "main"}, token=token).status_code == 403

    def test_nobody_sees_a_private_project(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        gitlab_hub.create_project("acme", "open", visibility="public")
        assert gitlab_ask("GET", ONE, token=None).status_code == 404
        assert gitlab_ask("GET", "/projects/acme%2Fopen", token=None).status_code == 200
        assert gitlab_ask("GET", "/user", token=None).status_code == 401

    def test_every_token_that_was_issued_is_kept_for_tests_to_look_for(
        self, gitlab_hub: FakeGitLab, gitlab_ask: Ask, gitlab_token: str
    ) -> None:
        gitlab_ask("GET", ONE)
        [exchange] = gitlab_hub.log
        assert (exchange.token_kind, exchange.path, exchange.status) == ("group", "/api/v4/projects/acme/one", 200)
        assert gitlab_hub.tokens == [exchange.token] == [gitlab_token]


class TestProjects:
    def test_a_group_lists_what_is_below_it(self, gitlab_hub: FakeGitLab, gitlab_token: str) -> None:
        group = client_of(gitlab_hub, gitlab_token).groups.get("acme")
        own = group.projects.list(order_by="id", sort="asc", get_all=True)
        assert [each.path_with_namespace for each in own] == ["acme/one", "acme/three"]
        every = group.projects.list(include_subgroups=True, order_by="path", sort="asc", iterator=True, per_page=2)
        assert [each.path for each in every] == ["lib", "one", "three"]

    def test_shared_and_archived_ones_are_listed_where_they_are_wanted(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        gitlab_hub.create_group("elsewhere")
        gitlab_hub.create_project("elsewhere", "shared", visibility="public")
        gitlab_hub.as_user("ada").share("elsewhere/shared", "acme")
        gitlab_hub.as_user("ada").archive("acme/three")

        def names(query: str) -> set[str]:
            return {each["path"] for each in gitlab_ask("GET", f"/groups/acme/projects?{query}").json()}

        assert names("") == {"one", "three", "shared"}
        assert names("with_shared=false&archived=false") == {"one"}
        assert names("archived=true") == {"three"}

    def test_pages_are_counted_and_linked(self, gitlab_ask: Ask) -> None:
        first = gitlab_ask("GET", "/groups/acme/projects?include_subgroups=true&per_page=2&order_by=id&sort=asc")
        assert (first.headers["X-Total"], first.headers["X-Next-Page"]) == ("3", "2")
        second = gitlab_ask("GET", first.links["next"]["url"].partition("/api/v4")[2])
        assert [each["path"] for each in second.json()] == ["three"]
        assert "next" not in second.links

    def test_all_projects_are_listed_by_keyset(self, gitlab_hub: FakeGitLab, gitlab_token: str, gitlab_ask: Ask) -> None:
        client = client_of(gitlab_hub, gitlab_token)
        found = client.projects.list(pagination="keyset", order_by="id", sort="asc", per_page=1, iterator=True)
        assert [each.path for each in found] == ["one", "lib", "three"]
        page = gitlab_ask("GET", "/projects?pagination=keyset&order_by=id&per_page=1")
        assert "X-Total" not in page.headers
        assert gitlab_ask("GET", "/projects?pagination=keyset&order_by=name").status_code == 405

    def test_a_moved_project_is_found_by_its_old_path_to_be_read(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        number = gitlab_hub.project("acme/one").id
        gitlab_hub.as_user("ada").move_project("acme/one", "acme/platform")
        gitlab_hub.as_user("ada").rename("acme/platform/one", "uno")
        led = gitlab_ask("GET", f"{ONE}/repository/branches?per_page=5")
        assert led.status_code == 302
        assert led.headers["Location"] == f"{gitlab_hub.api_url}/projects/{number}/repository/branches?per_page=5"
        assert gitlab_ask("GET", f"/projects/{number}").json()["path_with_namespace"] == "acme/platform/uno"
        assert gitlab_ask("POST", f"{ONE}/issues", {"title": "T"}).status_code == 405
        gitlab_hub.create_project("acme", "one")
        assert gitlab_ask("GET", ONE).json()["id"] != number

    def test_the_languages_the_sizes_and_the_topics_are_told(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        gitlab_hub.project("acme/one").size_bytes = 2048
        assert gitlab_ask("GET", f"{ONE}/languages").json() == {"Python": 90.0, "C": 10.0}
        assert gitlab_ask("GET", f"{ONE}?statistics=true").json()["statistics"]["repository_size"] == 2048
        assert gitlab_ask("GET", LIB).json()["topics"] == ["bots"]

    def test_a_fork_gets_its_files_a_little_later(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        gitlab_hub.create_group("forks")
        token = gitlab_hub.personal_token(gitlab_hub.service_account("acme", "forker").username)
        gitlab_hub.add_user("forker", groups={"forks": "maintainer"})
        made = gitlab_ask("POST", f"{ONE}/fork", {"namespace_path": "forks"}, token=token).json()
        assert (made["import_status"], made["forked_from_project"]["path_with_namespace"]) == ("scheduled", "acme/one")
        seen = [gitlab_ask("GET", "/projects/forks%2Fone", token=token).json() for _ in range(3)]
        assert [each["import_status"] for each in seen] == ["started", "finished", "finished"]
        assert [each["empty_repo"] for each in seen] == [True, False, False]
        assert gitlab_ask("POST", f"{ONE}/fork", {"namespace_path": "forks"}, token=token).status_code == 409

    def test_what_is_archived_is_not_written_to(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        gitlab_hub.as_user("ada").archive("acme/one")
        assert gitlab_ask("POST", f"{ONE}/issues", {"title": "T"}).status_code == 403


class TestCode:
    def test_files_are_read_raw_and_in_base64(self, gitlab_ask: Ask) -> None:
        told = gitlab_ask("GET", f"{ONE}/repository/files/src%2Fa.py?ref=main").json()
        assert base64.b64decode(told["content"]) == b"a = 1\n"
        assert gitlab_ask("GET", f"{ONE}/repository/files/src%2Fa.py/raw?ref=HEAD").content == b"a = 1\n"
        assert gitlab_ask("GET", f"{ONE}/repository/files/src%2Fb.py/raw").status_code == 404
        assert gitlab_ask("HEAD", f"{ONE}/repository/files/src%2Fa.py?ref=main").headers["X-Gitlab-Size"] == "6"

    def test_a_tree_comes_in_pages_by_keyset(self, gitlab_hub: FakeGitLab, gitlab_token: str) -> None:
        project = client_of(gitlab_hub, gitlab_token).projects.get("acme/one")
        every = project.repository_tree(recursive=True, pagination="keyset", per_page=1, iterator=True)
        assert [each["path"] for each in every] == ["src", "src/a.py", "README.md"]

    def test_a_commit_is_made_of_actions(self, gitlab_ask: Ask) -> None:
        actions = [
            {"action": "create", "file_path": "new.txt", "content": "new"},
            {"action": "update", "file_path": "README.md", "content": "aGk=", "encoding": "base64"},
            {"action": "delete", "file_path": "src/a.py"},
        ]
        body = {"branch": "b", "start_branch": "main", "commit_message": "Three", "actions": actions}
        made = gitlab_ask("POST", f"{ONE}/repository/commits", body)
        assert made.status_code == 201
        names = [each["path"] for each in gitlab_ask("GET", f"{ONE}/repository/tree?ref=b&recursive=true").json()]
        assert names == ["README.md", "new.txt"]
        wrong = {**body, "branch": "c", "actions": [{"action": "create", "file_path": "README.md", "content": ""}]}
        assert gitlab_ask("POST", f"{ONE}/repository/commits", wrong).status_code == 400

    def test_a_protected_branch_is_for_maintainers(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        body = {"branch": "main", "commit_message": "M", "actions": [{"action": "create", "file_path": "x", "content": "x"}]}
        mias = gitlab_hub.personal_token("mia")
        assert gitlab_ask("POST", f"{ONE}/repository/commits", body, token=mias).status_code == 403
        assert gitlab_ask("POST", f"{ONE}/repository/commits", body).status_code == 201
        assert gitlab_ask("GET", f"{ONE}/repository/branches/main").json()["protected"] is True


class TestMergeRequests:
    def test_one_from_the_same_branch_is_refused_while_one_is_open(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        branch(gitlab_hub, "b")
        assert opened(gitlab_ask, "b").status_code == 201
        again = opened(gitlab_ask, "b")
        assert (again.status_code, again.json()) == (
            409,
            {"message": ["Another open merge request already exists for this source branch: !1"]},
        )
        gitlab_hub.as_user("mia").close("acme/one", 1, pull=True)
        assert opened(gitlab_ask, "b").status_code == 201

    def test_it_is_found_by_its_source_branch_and_state(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        for name in ("b", "c"):
            branch(gitlab_hub, name)
            opened(gitlab_ask, name, labels="bot,upgrade")
        gitlab_hub.as_user("mia").close("acme/one", 1, pull=True)
        paths = [
            f"{ONE}/merge_requests?source_branch=b",
            f"{ONE}/merge_requests?state=opened",
            "/groups/acme/merge_requests?state=all",
        ]
        assert [[each["iid"] for each in gitlab_ask("GET", path).json()] for path in paths] == [[1], [2], [2, 1]]
        assert gitlab_ask("GET", f"{ONE}/merge_requests/2").json()["labels"] == ["bot", "upgrade"]

    def test_a_draft_is_one_by_its_title(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        branch(gitlab_hub, "b")
        made = opened(gitlab_ask, "b", title="Draft: b").json()
        assert (made["draft"], made["detailed_merge_status"]) == (True, "draft_status")
        assert gitlab_ask("PUT", f"{ONE}/merge_requests/1/merge").status_code == 405
        assert gitlab_ask("PUT", f"{ONE}/merge_requests/1", {"title": "b"}).json()["detailed_merge_status"] == "mergeable"

    def test_a_conflict_is_computed_from_the_repository(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        gitlab_hub.as_user("mia").push("acme/one", "b", {"README.md": "ours\n"})
        opened(gitlab_ask, "b")
        gitlab_hub.as_user("ada").push("acme/one", "main", {"README.md": "theirs\n"})
        told = gitlab_ask("GET", f"{ONE}/merge_requests/1").json()
        assert (told["has_conflicts"], told["detailed_merge_status"], told["merge_status"]) == (
            True,
            "conflict",
            "cannot_be_merged",
        )
        assert gitlab_ask("PUT", f"{ONE}/merge_requests/1/merge").status_code == 422

    def test_whether_it_can_be_merged_may_be_told_later(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        gitlab_hub.state.checks_later = True
        branch(gitlab_hub, "b")
        opened(gitlab_ask, "b")
        seen = [gitlab_ask("GET", f"{ONE}/merge_requests/1").json()["detailed_merge_status"] for _ in range(2)]
        assert seen == ["checking", "mergeable"]

    def test_merging_follows_the_projects_settings(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        gitlab_hub.project("acme/one").squash_option = "always"
        head = branch(gitlab_hub, "b")
        assert opened(gitlab_ask, "b").json()["squash_on_merge"] is True
        assert gitlab_ask("PUT", f"{ONE}/merge_requests/1/merge", {"sha": "0" * 40}).status_code == 409
        done = gitlab_ask("PUT", f"{ONE}/merge_requests/1/merge", {"sha": head}).json()
        assert done["state"] == "merged"
        assert done["squash_commit_sha"]
        assert gitlab_ask("GET", f"{ONE}/repository/branches/b").status_code == 404

    def test_it_is_merged_when_its_pipeline_has_passed(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        gitlab_hub.project("acme/one").only_allow_merge_if_pipeline_succeeds = True
        branch(gitlab_hub, "b")
        gitlab_hub.as_user("mia").run_pipeline("acme/one", "b", "running")
        told = opened(gitlab_ask, "b").json()
        assert (told["detailed_merge_status"], told["head_pipeline"]["status"]) == ("ci_still_running", "running")
        assert gitlab_ask("PUT", f"{ONE}/merge_requests/1/merge", {"auto_merge": True}).json()["state"] == "opened"
        gitlab_hub.as_user("mia").run_pipeline("acme/one", "b", "success")
        assert gitlab_ask("GET", f"{ONE}/merge_requests/1").json()["state"] == "merged"

    def test_approvals_are_counted_and_waited_for(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        gitlab_hub.project("acme/one").approvals_required = 1
        branch(gitlab_hub, "b")
        assert opened(gitlab_ask, "b").json()["detailed_merge_status"] == "not_approved"
        assert gitlab_ask("POST", f"{ONE}/merge_requests/1/approve").status_code == 401
        gitlab_hub.as_user("mia").approve("acme/one", 1)
        told = gitlab_ask("GET", f"{ONE}/merge_requests/1/approvals").json()
        assert (told["approved"], told["approved_by"][0]["user"]["username"]) == (True, "mia")

    def test_requested_changes_are_in_the_way(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        branch(gitlab_hub, "b")
        opened(gitlab_ask, "b", reviewer_ids=[gitlab_hub.as_user("mia").user.id])
        gitlab_hub.as_user("mia").request_changes("acme/one", 1, "Not so")
        [reviewer] = gitlab_ask("GET", f"{ONE}/merge_requests/1/reviewers").json()
        assert (reviewer["user"]["username"], reviewer["state"]) == ("mia", "requested_changes")
        assert gitlab_ask("GET", f"{ONE}/merge_requests/1").json()["detailed_merge_status"] == "requested_changes"

    def test_one_comes_from_a_fork(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        gitlab_hub.create_group("forks")
        gitlab_hub.add_user("mia", groups={"forks": "owner"})
        gitlab_hub.as_user("mia").fork("acme/one", "forks")
        head = branch(gitlab_hub, "b", project="forks/one")
        target = gitlab_hub.project("acme/one").id
        body = {"title": "B", "source_branch": "b", "target_branch": "main", "target_project_id": target}
        made = gitlab_ask("POST", "/projects/forks%2Fone/merge_requests", body, token=gitlab_hub.personal_token("mia"))
        assert (made.status_code, made.json()["sha"], made.json()["project_id"]) == (201, head, target)
        gitlab_hub.as_user("ada").merge("acme/one", 1)
        assert gitlab_ask("GET", f"{ONE}/repository/files/b.txt/raw").text == "b"


class TestTalk:
    def test_notes_are_written_read_and_changed(self, gitlab_hub: FakeGitLab, gitlab_token: str) -> None:
        issue = gitlab_hub.as_user("mia").open_issue("acme/one", "T", labels=("x",))
        project = client_of(gitlab_hub, gitlab_token).projects.get("acme/one")
        note = project.issues.get(issue.iid).notes.create({"body": "Hello"})
        note.body = "Changed"
        note.save()
        assert [each.body for each in issue.notes] == ["Changed"]
        with pytest.raises(gitlab.GitlabCreateError, match="can't be blank"):
            project.issues.get(issue.iid).notes.create({"body": " "})

    def test_an_emoji_is_given_once(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        issue = gitlab_hub.as_user("mia").open_issue("acme/one", "T")
        note = gitlab_hub.as_user("mia").comment("acme/one", issue.iid, "/whimbrel")
        path = f"{ONE}/issues/{issue.iid}/notes/{note.id}/award_emoji"
        assert [gitlab_ask("POST", path, {"name": "eyes"}).status_code for _ in range(2)] == [201, 404]
        assert [each["name"] for each in gitlab_ask("GET", path).json()] == ["eyes"]

    def test_a_thread_on_a_line_is_resolved(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        branch(gitlab_hub, "b")
        opened(gitlab_ask, "b")
        thread = gitlab_hub.as_user("mia").comment_on_line("acme/one", 1, "Why?", path="b.txt")
        path = f"{ONE}/merge_requests/1/discussions/{thread.id}"
        first = gitlab_ask("GET", path).json()["notes"][0]
        assert (first["type"], first["position"]["new_path"], first["resolved"]) == ("DiffNote", "b.txt", False)
        assert gitlab_ask("POST", f"{path}/notes", {"body": "So"}).status_code == 201
        done = gitlab_ask("PUT", path, {"resolved": True}).json()
        assert [note["resolved"] for note in done["notes"]] == [True, True]

    def test_issues_and_merge_requests_are_counted_apart(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        branch(gitlab_hub, "b")
        assert opened(gitlab_ask, "b").json()["iid"] == 1
        assert gitlab_ask("POST", f"{ONE}/issues", {"title": "T"}).json()["iid"] == 1


class TestStatuses:
    def test_a_status_makes_an_external_pipeline_of_the_commit(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        sha = branch(gitlab_hub, "b")
        for state in ("running", "failed", "success"):
            made = gitlab_ask("POST", f"{ONE}/statuses/{sha}", {"state": state, "name": "whimbrel", "description": state})
            assert made.status_code == 201
        listed = gitlab_ask("GET", f"{ONE}/repository/commits/{sha}/statuses").json()
        assert [(each["name"], each["status"]) for each in listed] == [("whimbrel", "success")]
        assert len(gitlab_ask("GET", f"{ONE}/repository/commits/{sha}/statuses?all=true").json()) == 2
        assert [each["source"] for each in gitlab_ask("GET", f"{ONE}/pipelines?sha={sha}").json()] == ["external"]

    def test_the_same_state_twice_is_refused_while_it_has_not_ended(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        sha = branch(gitlab_hub, "b")
        body = {"state": "pending", "name": "whimbrel"}
        first, second = (gitlab_ask("POST", f"{ONE}/statuses/{sha}", body) for _ in range(2))
        assert (first.status_code, second.status_code) == (201, 400)
        assert "Cannot transition status via :enqueue from :pending" in second.text


class TestTrouble:
    def test_a_request_too_many_is_refused_until_the_minute_is_over(
        self, gitlab_hub: FakeGitLab, gitlab_ask: Ask, clock: ManualClock
    ) -> None:
        gitlab_hub.limits.requests_per_minute = 2
        seen = [gitlab_ask("GET", ONE) for _ in range(3)]
        assert [each.status_code for each in seen] == [200, 200, 429]
        assert seen[1].headers["RateLimit-Remaining"] == "0"
        clock.advance(float(seen[2].headers["Retry-After"]))
        assert gitlab_ask("GET", ONE).status_code == 200

    def test_notes_have_a_limit_of_their_own(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        issue = gitlab_hub.as_user("mia").open_issue("acme/one", "T")
        gitlab_hub.limits.notes_per_minute = 1
        seen = [gitlab_ask("POST", f"{ONE}/issues/{issue.iid}/notes", {"body": "x"}).status_code for _ in range(2)]
        assert (seen, len(issue.notes)) == ([201, 429], 1)

    def test_an_answer_is_lost_after_the_write(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        gitlab_hub.fail(method="POST", path_pattern="issues$", status=502, after_write=True)
        assert gitlab_ask("POST", f"{ONE}/issues", {"title": "T"}).status_code == 502
        assert len(gitlab_hub.project("acme/one").issues) == 1

    def test_a_connection_is_reset(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        gitlab_hub.fail(reset=True)
        with pytest.raises(httpx.TransportError):
            gitlab_ask("GET", ONE)

    def test_a_path_that_the_fake_does_not_know_fails_the_test(self, gitlab_hub: FakeGitLab, gitlab_ask: Ask) -> None:
        assert gitlab_ask("GET", "/nonsense").status_code == 404
        with pytest.raises(AssertionError, match="the fake does not know GET /nonsense"):
            gitlab_hub.close()
        gitlab_hub._server.errors.clear()
