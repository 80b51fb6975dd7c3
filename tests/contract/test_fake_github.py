"""What the fake GitHub promises to those who test against it."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.conftest import Ask, app_token, populate
from tests.fakes.clock import ManualClock
from tests.fakes.github import FakeGitHub, Installation
from tests.fakes.github.changes.apps import _key

Begin = Callable[..., tuple[FakeGitHub, dict[str, str]]]
Query = Callable[..., dict[str, Any]]
ONE, TWO = "/repos/acme/one", "/repos/acme/two"


def branch(hub: FakeGitHub, name: str, *, repository: str = "acme/one") -> str:
    return hub.as_user("mia").push(repository, name, {f"{name}.txt": name})


def opened(ask: Ask, head: str, **who: str) -> httpx.Response:
    return ask("POST", f"{ONE}/pulls", {"title": head, "head": head, "base": "main"}, **who)


class TestWhoMayDoWhat:
    def test_a_token_for_one_repository_sees_no_other(
        self, hub: FakeGitHub, ask: Ask, query: Query, installation: Installation
    ) -> None:
        token = hub.installation_token(installation, repositories=["one"], permissions={"contents": "write"})
        assert ask("GET", ONE, token=token).status_code == 200
        assert ask("GET", TWO, token=token).status_code == 404
        answer = query('{repository(owner: "acme", name: "two") {name}}', token=token)
        assert answer["errors"][0]["type"] == "NOT_FOUND"

    def test_a_token_does_only_what_it_was_narrowed_to(self, hub: FakeGitHub, ask: Ask, installation: Installation) -> None:
        branch(hub, "b")
        token = hub.installation_token(installation, permissions={"contents": "read", "issues": "write"})
        assert opened(ask, "b", token=token).status_code == 403
        refused = ask("POST", f"{ONE}/git/refs", {"ref": "refs/heads/c", "sha": branch(hub, "d")}, token=token)
        assert (refused.status_code, refused.json()["message"]) == (403, "Resource not accessible by integration")
        assert ask("POST", f"{ONE}/issues", {"title": "Allowed"}, token=token).status_code == 201

    def test_a_workflow_is_written_with_its_own_permission_alone(
        self, hub: FakeGitHub, ask: Ask, installation: Installation
    ) -> None:
        change = {"message": "CI", "content": base64.b64encode(b"on: push\n").decode()}
        token = hub.installation_token(installation, permissions={"contents": "write"})
        assert ask("PUT", f"{ONE}/contents/.github/workflows/ci.yml", change, token=token).status_code == 403
        assert ask("PUT", f"{ONE}/contents/.github/workflows/ci.yml", change).status_code == 201

    def test_a_token_cannot_have_more_than_its_installation(
        self, hub: FakeGitHub, ask: Ask, installation: Installation
    ) -> None:
        path, mine = f"/app/installations/{installation.id}/access_tokens", app_token(hub)
        for wanted in ({"permissions": {"administration": "write"}}, {"repositories": ["nobody-s"]}):
            assert ask("POST", path, wanted, token=mine).status_code == 422

    def test_a_token_lives_for_an_hour_of_the_hubs_clock(self, ask: Ask, clock: ManualClock) -> None:
        clock.advance(3599)
        assert ask("GET", ONE).status_code == 200
        clock.advance(1)
        assert ask("GET", ONE).status_code == 401

    def test_a_jwt_is_verified(self, hub: FakeGitHub, ask: Ask) -> None:
        forged = [
            app_token(hub, key=_key(7)[0]),
            app_token(hub, lasts=7200),
            app_token(hub, at=time.time() - 7200),
        ]
        assert [ask("GET", "/app", token=token).status_code for token in forged] == [401, 401, 401]
        assert ask("GET", "/app", token=app_token(hub)).json()["slug"] == "whimbrel"

    def test_a_suspended_installation_is_refused_and_an_uninstalled_one_unknown(
        self, hub: FakeGitHub, ask: Ask, installation: Installation
    ) -> None:
        hub.suspend(installation)
        assert ask("GET", ONE).status_code == 403
        hub.unsuspend(installation)
        assert ask("GET", ONE).status_code == 200
        hub.uninstall(installation)
        assert ask("GET", ONE).status_code == 401
        assert ask("GET", "/orgs/acme/installation", token=app_token(hub)).status_code == 404

    def test_a_selected_installation_has_those_repositories_alone(
        self, hub: FakeGitHub, ask: Ask, installation: Installation
    ) -> None:
        hub.select(installation, ["two"])
        assert ask("GET", ONE).status_code == 404
        assert [each["name"] for each in ask("GET", "/installation/repositories").json()["repositories"]] == ["two"]

    def test_a_person_may_what_the_role_allows(self, hub: FakeGitHub, ask: Ask) -> None:
        hub.add_user("rea", permissions={"acme/one": "read"})
        sha, token = branch(hub, "b"), hub.personal_token("rea")
        assert ask("GET", ONE, token=token).status_code == 200
        assert ask("GET", TWO, token=token).status_code == 404
        assert ask("POST", f"{ONE}/git/refs", {"ref": "refs/heads/c", "sha": sha}, token=token).status_code == 403
        shown = ask("GET", f"{ONE}/collaborators/rea/permission").json()
        assert (shown["permission"], shown["role_name"]) == ("read", "read")

    def test_nobody_sees_a_private_repository(self, hub: FakeGitHub, ask: Ask) -> None:
        hub.create_repository("acme", "open", visibility="public")
        assert ask("GET", ONE, token=None).status_code == 404
        assert ask("GET", "/repos/acme/open", token=None).status_code == 200

    def test_every_token_that_was_issued_is_kept_for_tests_to_look_for(self, hub: FakeGitHub, ask: Ask) -> None:
        ask("GET", ONE)
        [exchange] = hub.log
        assert (exchange.token_kind, exchange.path, exchange.status) == ("installation", f"/api/v3{ONE}", 200)
        assert hub.tokens == [exchange.token]
        assert len(exchange.token) > 40
        assert {exchange.token, hub.app.pem, hub.app.webhook_secret} < set(hub.secrets)

    def test_credentials_that_are_none_are_refused(self, ask: Ask) -> None:
        for wrong in ("Basic x", "Basic !!!", "Bearer a.b.c", "Bearer ghs_1_made_up", "nonsense"):
            assert ask("GET", ONE, token=None, headers={"Authorization": wrong}).status_code == 401


class TestPullRequests:
    def test_one_from_the_same_branch_is_refused_while_one_is_open(self, hub: FakeGitHub, ask: Ask) -> None:
        branch(hub, "b")
        assert opened(ask, "b").status_code == 201
        again = opened(ask, "b")
        assert again.status_code == 422
        assert "A pull request already exists for acme:b." in again.text
        hub.as_user("mia").close("acme/one", 1)
        assert opened(ask, "b").status_code == 201

    def test_there_has_to_be_something_between_the_branches(self, hub: FakeGitHub, ask: Ask) -> None:
        sha = hub.as_user("mia").push("acme/one", "main", {"x": "x"})
        ask("POST", f"{ONE}/git/refs", {"ref": "refs/heads/same", "sha": sha})
        assert "No commits between main and same" in opened(ask, "same").text
        assert opened(ask, "nowhere").status_code == 422

    def test_reviewers_are_collaborators(self, hub: FakeGitHub, ask: Ask) -> None:
        branch(hub, "b")
        number = opened(ask, "b").json()["number"]
        path = f"{ONE}/pulls/{number}/requested_reviewers"
        assert ask("POST", path, {"reviewers": ["mia", "stranger"]}).status_code == 422
        assert ask("GET", path).json()["users"] == []
        assert ask("POST", path, {"reviewers": ["mia"]}).status_code == 201

    def test_a_moved_branch_moves_its_head(self, hub: FakeGitHub, ask: Ask) -> None:
        branch(hub, "b")
        number = opened(ask, "b").json()["number"]
        sha = hub.as_user("mia").push("acme/one", "b", {"other": "1"}, forced=True)
        assert ask("GET", f"{ONE}/pulls/{number}").json()["head"]["sha"] == sha

    def test_a_deleted_branch_closes_it(self, hub: FakeGitHub, ask: Ask) -> None:
        branch(hub, "b")
        number = opened(ask, "b").json()["number"]
        assert ask("DELETE", f"{ONE}/git/refs/heads/b").status_code == 204
        assert ask("GET", f"{ONE}/pulls/{number}").json()["state"] == "closed"

    def test_conflicts_are_told_and_keep_it_from_being_merged(self, hub: FakeGitHub, ask: Ask) -> None:
        mia = hub.as_user("mia")
        mia.push("acme/one", "b", {"README.md": "theirs\n"})
        number = opened(ask, "b").json()["number"]
        mia.push("acme/one", "main", {"README.md": "ours\n"})
        shown = ask("GET", f"{ONE}/pulls/{number}").json()
        assert (shown["mergeable"], shown["mergeable_state"]) == (False, "dirty")
        assert ask("PUT", f"{ONE}/pulls/{number}/merge", {}).status_code == 405

    def test_commits_that_reach_the_base_another_way_merge_it(self, hub: FakeGitHub, ask: Ask) -> None:
        sha = branch(hub, "b")
        number = opened(ask, "b").json()["number"]
        assert ask("PATCH", f"{ONE}/git/refs/heads/main", {"sha": sha}).status_code == 200
        assert ask("GET", f"{ONE}/pulls/{number}").json()["merged"] is True

    def test_one_from_a_fork_has_the_forks_commits(self, hub: FakeGitHub, ask: Ask) -> None:
        token = hub.personal_token("mia")
        assert ask("POST", f"{ONE}/forks", {}, token=token).status_code == 202
        sha = hub.as_user("mia").push("mia/one", "b", {"b": "b"})
        made = opened(ask, "mia:b", token=token)
        assert (made.status_code, made.json()["head"]["repo"]["full_name"]) == (201, "mia/one")
        assert made.json()["head"]["sha"] == sha
        again = hub.as_user("mia").push("mia/one", "b", {"b": "c"})
        assert ask("GET", f"{ONE}/pulls/1").json()["head"]["sha"] == again


class TestRepositories:
    def test_a_renamed_one_answers_with_where_it_is(self, hub: FakeGitHub, ask: Ask) -> None:
        hub.as_user("ada").rename("acme/one", "uno")
        moved = ask("GET", f"{ONE}/branches")
        assert (moved.status_code, moved.headers["Location"]) == (301, moved.json()["url"])
        path = moved.headers["Location"].removeprefix(hub.api_url)
        assert [each["name"] for each in ask("GET", path).json()] == ["main"]
        assert ask("POST", f"{ONE}/issues", {"title": "T"}).status_code == 307

    def test_a_transferred_one_is_out_of_reach(self, hub: FakeGitHub, ask: Ask) -> None:
        hub.create_org("other")
        hub.as_user("ada").transfer("acme/one", "other")
        where = ask("GET", ONE).headers["Location"].removeprefix(hub.api_url)
        assert ask("GET", where).status_code == 404

    def test_an_archived_one_is_read_only(self, hub: FakeGitHub, ask: Ask) -> None:
        branch(hub, "b")
        hub.as_user("ada").archive("acme/one")
        assert ask("GET", ONE).json()["archived"] is True
        refused = opened(ask, "b")
        assert (refused.status_code, refused.json()["message"]) == (403, "Repository was archived so is read-only.")

    def test_a_protected_pattern_refuses_refs_of_all_but_admins(self, hub: FakeGitHub, ask: Ask) -> None:
        hub.protect("acme/one", "release/*")
        asked = {"ref": "refs/heads/release/1", "sha": branch(hub, "b")}
        assert ask("POST", f"{ONE}/git/refs", asked).status_code == 422
        assert ask("POST", f"{ONE}/git/refs", asked, token=hub.personal_token("ada")).status_code == 201

    def test_a_ref_moves_back_by_force_alone(self, hub: FakeGitHub, ask: Ask) -> None:
        first = ask("GET", f"{ONE}/git/ref/heads/main").json()["object"]["sha"]
        branch(hub, "b")
        assert ask("PATCH", f"{ONE}/git/refs/heads/b", {"sha": first}).json()["message"] == "Update is not a fast forward"
        assert ask("PATCH", f"{ONE}/git/refs/heads/b", {"sha": first, "force": True}).status_code == 200

    def test_lists_come_in_pages(self, hub: FakeGitHub, ask: Ask) -> None:
        for number in range(3):
            hub.create_repository("acme", f"more-{number}")
        names, path = [], "/orgs/acme/repos?per_page=4"
        answer = ask("GET", path)
        names += [each["name"] for each in answer.json()]
        answer = ask("GET", answer.links["next"]["url"].removeprefix(hub.api_url))
        names += [each["name"] for each in answer.json()]
        assert names == ["more-0", "more-1", "more-2", "one", "three", "two"]
        assert "next" not in answer.links


class TestLimits:
    def test_none_is_in_force_until_asked_for(self, hub: FakeGitHub, ask: Ask) -> None:
        for _ in range(3):
            assert ask("POST", f"{ONE}/issues", {"title": "T"}).status_code == 201
        assert hub.limits.refusals == 0

    def test_what_creates_content_is_counted_by_the_minute_and_the_hour(
        self, hub: FakeGitHub, ask: Ask, clock: ManualClock
    ) -> None:
        hub.limits.content_per_minute, hub.limits.content_per_hour = 2, 3
        issue = {"title": "T"}
        assert [ask("POST", f"{ONE}/issues", issue).status_code for _ in range(3)] == [201, 201, 403]
        refused = ask("POST", f"{ONE}/issues", issue)
        assert "secondary rate limit" in refused.json()["message"]
        clock.advance(float(refused.headers["retry-after"]))
        assert [ask("POST", f"{ONE}/issues", issue).status_code for _ in range(2)] == [201, 403]
        clock.advance(60)
        again = ask("POST", f"{ONE}/issues", issue)
        assert (again.status_code, int(again.headers["retry-after"])) == (403, 3600 - 60 - 60)
        assert len(hub.limits.contents) == 3

    def test_a_write_costs_five_points_a_minute(self, hub: FakeGitHub, ask: Ask) -> None:
        hub.limits.points_per_minute = 10
        statuses = [ask("PATCH", ONE, {"description": "d"}, token=hub.personal_token("ada")).status_code for _ in range(3)]
        assert statuses == [200, 200, 403]
        assert [ask("GET", ONE).status_code for _ in range(11)] == [200] * 10 + [403]

    def test_the_primary_limit_is_in_the_headers_and_starts_anew(
        self, hub: FakeGitHub, ask: Ask, clock: ManualClock, installation: Installation
    ) -> None:
        hub.limits.primary_per_hour = 2
        assert [ask("GET", ONE).headers["x-ratelimit-remaining"] for _ in range(2)] == ["1", "0"]
        refused = ask("GET", ONE)
        assert (refused.status_code, refused.headers["x-ratelimit-remaining"]) == (403, "0")
        assert int(refused.headers["x-ratelimit-reset"]) == int(clock.now().timestamp()) + 3600
        clock.advance(3600)
        assert hub.limits.figures(f"installation {installation.id}")["core"]["remaining"] == 2

    def test_an_answer_that_has_not_changed_costs_nothing(self, ask: Ask) -> None:
        first = ask("GET", ONE)
        again = ask("GET", ONE, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert ask("GET", ONE).headers["x-ratelimit-used"] == "2"

    def test_each_installation_and_person_has_limits_of_its_own(self, hub: FakeGitHub, ask: Ask) -> None:
        hub.limits.primary_per_hour = 1
        assert [ask("GET", ONE).status_code, ask("GET", ONE).status_code] == [200, 403]
        assert ask("GET", ONE, token=hub.personal_token("mia")).status_code == 200


class TestFaults:
    def test_one_strikes_as_often_as_it_was_asked_to(self, hub: FakeGitHub, ask: Ask) -> None:
        fault = hub.fail(method="GET", path_pattern="/branches$", status=500, times=2)
        assert [ask("GET", f"{ONE}/branches").status_code for _ in range(3)] == [500, 500, 200]
        assert ask("GET", ONE).status_code == 200
        assert fault.hits == 2

    def test_one_after_the_write_loses_only_the_answer(self, hub: FakeGitHub, ask: Ask) -> None:
        hub.fail(method="POST", path_pattern="/issues$", status=502, after_write=True)
        assert ask("POST", f"{ONE}/issues", {"title": "Twice?"}).status_code == 502
        assert [each["title"] for each in ask("GET", f"{ONE}/issues").json()] == ["Twice?"]

    def test_one_before_the_write_leaves_nothing(self, hub: FakeGitHub, ask: Ask) -> None:
        hub.fail(method="POST", path_pattern="/issues$", status=502)
        assert ask("POST", f"{ONE}/issues", {"title": "Never"}).status_code == 502
        assert ask("GET", f"{ONE}/issues").json() == []

    @pytest.mark.parametrize("after_write", [True, False])
    def test_a_reset_tears_the_connection(self, hub: FakeGitHub, ask: Ask, after_write: bool) -> None:
        hub.fail(method="POST", path_pattern="/issues$", reset=True, after_write=after_write)
        with pytest.raises(httpx.TransportError):
            ask("POST", f"{ONE}/issues", {"title": "T"})
        assert len(ask("GET", f"{ONE}/issues").json()) == int(after_write)

    def test_one_may_strike_every_so_often(self, hub: FakeGitHub, ask: Ask) -> None:
        hub.fail(path_pattern=f"{ONE}$", status=503, every=3, times=9, headers={"retry-after": "7"})
        answers = [ask("GET", ONE) for _ in range(6)]
        assert [each.status_code for each in answers] == [200, 200, 503, 200, 200, 503]
        assert answers[2].headers["retry-after"] == "7"

    def test_one_may_only_delay(self, hub: FakeGitHub, ask: Ask) -> None:
        hub.fail(path_pattern=f"{ONE}$", delay=0.5)
        with pytest.raises(httpx.ReadTimeout):
            ask("GET", ONE, timeout=0.1)


class TestGuard:
    """The hub is entered by hand: what its guard finds is raised where it is left."""

    @pytest.fixture
    def begin(self, tmp_path: Path, clock: ManualClock) -> Begin:
        def start(*, guard: bool = True) -> tuple[FakeGitHub, dict[str, str]]:
            hub = FakeGitHub(tmp_path, clock=clock, guard=guard).__enter__()
            token = hub.installation_token(populate(hub))
            return hub, {"Authorization": f"Bearer {token}"}

        return start

    def test_an_unknown_operation_fails_the_test(self, begin: Begin, client: httpx.Client) -> None:
        hub, _ = begin()
        assert client.get(f"{hub.api_url}/gists").status_code == 404
        with pytest.raises(AssertionError, match="does not know GET /gists"):
            hub.close()

    def test_a_request_that_github_does_not_describe_fails_the_test(self, begin: Begin, client: httpx.Client) -> None:
        hub, headers = begin()
        client.post(f"{hub.api_url}{ONE}/issues", json={"title": "T", "assignees": "mia"}, headers=headers)
        with pytest.raises(AssertionError, match=r"request POST /repos/acme/one/issues.*at assignees"):
            hub.close()

    def test_what_was_wrong_once_is_found_by_the_next_test_too(
        self, tmp_path: Path, clock: ManualClock, client: httpx.Client
    ) -> None:
        for number in range(2):
            hub = FakeGitHub(tmp_path / str(number), clock=clock).__enter__()
            headers = {"Authorization": f"Bearer {hub.installation_token(populate(hub))}"}
            client.post(f"{hub.api_url}{ONE}/issues", json={"title": 7, "body": "B"}, headers=headers)
            with pytest.raises(AssertionError, match="at title"):
                hub.close()

    def test_an_answer_and_a_webhook_of_another_shape_fail_the_test(self, begin: Begin, client: httpx.Client) -> None:
        hub, headers = begin()
        hub.as_user("ada").edit_repository("acme/one", size_kb="large")
        client.get(f"{hub.api_url}{ONE}", headers=headers)
        with pytest.raises(AssertionError, match=r"(?s)webhook repository-edited.*answer GET /repos/acme/one -> 200.*at size"):
            hub.close()

    def test_nothing_is_held_against_anything_when_it_is_off(self, begin: Begin, client: httpx.Client) -> None:
        hub, headers = begin(guard=False)
        answer = client.post(f"{hub.api_url}{ONE}/issues", json={"title": "T", "assignees": 7}, headers=headers)
        assert answer.status_code == 201
        hub.close()
