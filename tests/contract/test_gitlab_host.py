"""What only the GitLab host has to do: one token, its limits, answers that are lost, projects that are moved, subgroups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot import __version__
from bot.domain.pull_requests import CheckReport, CommentRef, PullRequestText, Reaction, Thread
from bot.domain.redaction import redact
from bot.domain.repositories import Repository
from bot.errors import GitError, HostError, HostLimited, HostUnavailable, NotFound
from bot.git import Mirror
from bot.hosts.gitlab import GitLabHost, gitlab_host
from bot.hosts.gitlab_credentials import GitLabAccess
from bot.hosts.governor import HostGovernor, HostLimits
from bot.store.database import Database
from tests.contract import gitlab_description
from tests.databases import SqliteDatabases
from tests.fakes.clock import ManualClock
from tests.fakes.gitlab import FakeGitLab
from tests.fakes.gitlab.records import MergeRequest
from tests.fakes.watching import Watching

BRANCH = "whimbrel/notes"
TEXT = PullRequestText("A note", "Because.", ("whimbrel",))
LEVELS = {
    "guest": "read", "planner": "read", "reporter": "read", "developer": "write", "maintainer": "admin", "owner": "admin",
}  # fmt: skip
ONE = Repository("acme", "one", "main", None)
LIB = Repository("acme", "platform/deep/lib", "main", None)


@pytest.fixture
def lab(tmp_path: Path, clock: ManualClock) -> Iterator[FakeGitLab]:
    """acme/one with a branch that is ahead; mia is a developer, ada an owner; acme/platform/deep/lib lies in subgroups."""
    with FakeGitLab(tmp_path / "lab", clock=clock, guard=not gitlab_description.lacking()) as hub:
        hub.create_group("acme")
        hub.create_group("acme/platform/deep")
        hub.create_project("acme", "one", files={"README.md": "hi\n"})
        hub.create_project("acme/platform/deep", "lib", files={"README.md": "lib\n"})
        hub.add_user("mia", groups={"acme": "developer"})
        hub.add_user("ada", groups={"acme": "owner"})
        hub.as_user("mia").push("acme/one", BRANCH, {"NOTE.md": "Be kind.\n"})
        yield hub


@pytest.fixture
def token(lab: FakeGitLab) -> str:
    return lab.group_token("acme", "whimbrel")


@pytest.fixture
def host(lab: FakeGitLab, token: str, clock: ManualClock) -> GitLabHost:
    return gitlab_host(lab.url, GitLabAccess(token), now=clock.now, sleep=clock.sleep)


def publish(host: GitLabHost, text: PullRequestText = TEXT) -> int:
    return host.open_pull_request(ONE, branch=BRANCH, base="main", text=text).number


def the_pull(lab: FakeGitLab) -> MergeRequest:
    """There is exactly one."""
    (pull,) = lab.project("acme/one").merge_requests.values()
    return pull


def asked(lab: FakeGitLab, method: str, tail: str) -> int:
    return sum(each.method == method and each.path.endswith(tail) for each in lab.log)


def labels(pull: MergeRequest) -> list[str]:
    return [label.name for label in pull.labels]


class TestLostAnswers:
    @pytest.mark.parametrize("fault", [{"status": 502}, {"reset": True}, {"status": 500}])
    def test_a_merge_request_whose_answer_is_lost_is_found(
        self, lab: FakeGitLab, host: GitLabHost, fault: dict[str, Any]
    ) -> None:
        lab.fail(method="POST", path_pattern=r"/merge_requests$", after_write=True, **fault)
        opened = host.open_pull_request(ONE, branch=BRANCH, base="main", text=replace(TEXT, reviewers=("ada",)))
        pull = the_pull(lab)
        assert opened.number == pull.iid
        assert labels(pull) == ["whimbrel"]
        assert [each.user.username for each in pull.reviewers] == ["ada"]

    def test_one_that_was_never_made_is_worth_another_try(self, lab: FakeGitLab, host: GitLabHost) -> None:
        fault = lab.fail(method="POST", path_pattern=r"/merge_requests$", status=502, times=9)
        with pytest.raises(HostUnavailable) as caught:
            publish(host)
        assert caught.value.retryable
        assert fault.hits == 1
        assert not lab.project("acme/one").merge_requests

    def test_a_note_whose_answer_is_lost_is_not_repeated(self, lab: FakeGitLab, host: GitLabHost) -> None:
        number = publish(host)
        lab.fail(method="POST", path_pattern=r"/notes$", status=502, after_write=True)
        with pytest.raises(HostUnavailable):
            host.comment(ONE, number, "The base has moved.", marker="<!-- m -->")
        host.comment(ONE, number, "The base has moved.", marker="<!-- m -->")
        assert len([note for note in the_pull(lab).notes if not note.system]) == 1

    def test_a_query_is_tried_again_and_a_write_is_not(self, lab: FakeGitLab, host: GitLabHost) -> None:
        lab.fail(path_pattern="/graphql$", status=502)
        assert [each.name for each in host.repositories("acme")] == ["one", "platform/deep/lib"]
        assert asked(lab, "POST", "/graphql") == 2

    def test_a_broken_connection_is_worth_another_try(self, lab: FakeGitLab, host: GitLabHost) -> None:
        lab.fail(path_pattern="/graphql$", reset=True, times=2)
        with pytest.raises(HostUnavailable, match="cannot be reached"):
            list(host.repositories("acme"))

    def test_what_is_no_json_is_the_hosts_trouble(self, lab: FakeGitLab, host: GitLabHost) -> None:
        lab.fail(path_pattern="/user$", status=200, body="<html>Sign in</html>")
        with pytest.raises(HostUnavailable, match="no JSON"):
            assert host.own_login


class TestMergeRequests:
    def test_who_cannot_be_asked_is_left_out(self, lab: FakeGitLab, host: GitLabHost) -> None:
        lab.create_group("acme/leads")
        lab.add_user("lea", groups={"acme/leads": "maintainer"})
        wanted = ("@ada", "@acme/leads", "stranger", "acme/no-such-group", "someone@example.org", "Ada")
        opened = host.open_pull_request(ONE, branch=BRANCH, base="main", text=replace(TEXT, reviewers=wanted))
        assert set(opened.text.reviewers) == {"ada", "lea"}

    def test_a_large_group_is_not_asked(self, lab: FakeGitLab, host: GitLabHost, caplog: pytest.LogCaptureFixture) -> None:
        lab.create_group("acme/all")
        for number in range(11):
            lab.add_user(f"u{number}", groups={"acme/all": "developer"})
        opened = host.open_pull_request(ONE, branch=BRANCH, base="main", text=replace(TEXT, reviewers=("@acme/all",)))
        assert opened.text.reviewers == ()
        assert "acme/all cannot be asked to review" in caplog.text

    def test_peoples_labels_and_reviewers_stay(self, lab: FakeGitLab, host: GitLabHost) -> None:
        number = publish(host, replace(TEXT, reviewers=("ada",)))
        lab.as_user("ada").label("acme/one", number, "urgent", pull=True)
        text = replace(TEXT, labels=("Whimbrel", "more"), reviewers=("mia",))
        updated = host.update_pull_request(ONE, number, text)
        assert set(updated.text.labels) == {"whimbrel", "urgent", "more"}
        assert updated.text.reviewers == ("ada", "mia")

    def test_an_update_that_changes_nothing_writes_nothing(self, lab: FakeGitLab, host: GitLabHost) -> None:
        number = publish(host)
        before = len(lab.log)
        host.update_pull_request(ONE, number, TEXT)
        assert [each.path for each in lab.log[before:]] == ["/api/graphql"]

    def test_a_draft_is_made_ready_and_a_draft_again(self, lab: FakeGitLab, host: GitLabHost) -> None:
        number = publish(host, replace(TEXT, draft=True))
        assert the_pull(lab).title == "Draft: A note"
        assert host.update_pull_request(ONE, number, TEXT).text.title == "A note"
        assert the_pull(lab).title == "A note"
        host.update_pull_request(ONE, number, replace(TEXT, draft=True))
        assert the_pull(lab).draft

    @pytest.mark.parametrize(
        ("option", "deletes", "expected"),
        [("never", False, (False, False)), ("default_on", True, (True, True)), ("always", True, (True, True))],
    )
    def test_it_is_squashed_and_its_branch_deleted_as_the_project_has_it(
        self, lab: FakeGitLab, host: GitLabHost, option: str, deletes: bool, expected: tuple[bool, bool]
    ) -> None:
        lab.as_user("ada").edit_project("acme/one", squash_option=option, remove_source_branch_after_merge=deletes)
        publish(host)
        assert (the_pull(lab).squash, the_pull(lab).remove_source_branch) == expected

    def test_it_merges_when_its_pipeline_succeeds(self, lab: FakeGitLab, host: GitLabHost) -> None:
        lab.as_user("mia").run_pipeline("acme/one", BRANCH, "running")
        opened = host.open_pull_request(ONE, branch=BRANCH, base="main", text=replace(TEXT, auto_merge=True))
        assert opened.text.auto_merge
        assert the_pull(lab).auto_merge_by is not None
        lab.as_user("mia").run_pipeline("acme/one", BRANCH, "success")
        assert the_pull(lab).state == "merged"

    def test_where_there_is_nothing_to_wait_for_a_person_merges(
        self, lab: FakeGitLab, host: GitLabHost, clock: ManualClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is asked a few times: GitLab has to look at a new one first, and its pipeline to be made."""
        before = clock.now()
        opened = host.open_pull_request(ONE, branch=BRANCH, base="main", text=replace(TEXT, auto_merge=True))
        assert not opened.text.auto_merge
        assert the_pull(lab).state == "opened"
        assert asked(lab, "PUT", "/merge") == 4
        assert (clock.now() - before).total_seconds() == 9
        assert "acme/one!1 does not merge by itself" in caplog.text

    def test_a_forks_branch_of_that_name_is_another(self, lab: FakeGitLab, host: GitLabHost) -> None:
        lab.create_group("mias")
        lab.as_user("mia").fork("acme/one", "mias")
        lab.as_user("mia").push("mias/one", BRANCH, {"EVIL.md": "Merge me.\n"})
        lab.as_user("mia").open_merge_request("acme/one", "Mine", source=BRANCH, source_project="mias/one")
        assert list(host.pull_requests(ONE, BRANCH)) == []
        assert publish(host) == 2

    def test_a_closed_one_tells_by_whom(self, lab: FakeGitLab, host: GitLabHost) -> None:
        number = publish(host)
        host.close_pull_request(ONE, number)
        (found,) = host.pull_requests(ONE, BRANCH)
        assert found.closed_by == host.own_login

    @pytest.mark.slow
    def test_more_than_a_page_of_them_is_seen(self, lab: FakeGitLab, host: GitLabHost) -> None:
        for _ in range(21):
            host.close_pull_request(ONE, publish(host))
        assert [found.number for found in host.pull_requests(ONE, BRANCH)] == list(range(1, 22))

    def test_in_subgroups_all_is_the_same(self, lab: FakeGitLab, host: GitLabHost) -> None:
        lab.as_user("mia").push("acme/platform/deep/lib", BRANCH, {"NOTE.md": "Be kind.\n"})
        opened = host.open_pull_request(LIB, branch=BRANCH, base="main", text=TEXT)
        assert opened.url.endswith("/acme/platform/deep/lib/-/merge_requests/1")
        host.comment(LIB, opened.number, "Hello", marker="<!-- m -->")
        (found,) = host.pull_requests(LIB, BRANCH)
        assert [each.author for each in found.comments] == [host.own_login]


class TestConversation:
    def test_issues_and_merge_requests_of_one_number_are_told_apart(self, lab: FakeGitLab, host: GitLabHost) -> None:
        number = publish(host)
        issue = lab.as_user("mia").open_issue("acme/one", "Be kind")
        assert issue.iid == number
        for kind in ("issue", "pull_request"):
            thread = Thread(number, kind)  # type: ignore[arg-type]  # mypy sees a text
            host.tell(ONE, thread, f"on the {kind}", marker="<!-- m -->")
            host.react(ONE, CommentRef(thread, number, "thread"), Reaction.EYES)
        assert [note.body.split("\n")[0] for note in issue.notes] == ["on the issue"]
        pull = the_pull(lab)
        assert [note.body.split("\n")[0] for note in pull.notes if not note.system] == ["on the pull_request"]
        assert [[each.name for each in at.awards] for at in (issue, pull)] == [["eyes"], ["eyes"]]

    def test_a_status_that_says_the_same_is_not_sent_again(self, lab: FakeGitLab, host: GitLabHost) -> None:
        head = lab.as_user("mia").push("acme/one", BRANCH, {"more": "x\n"})
        for passed in (None, None, False, False):
            host.report_check(ONE, head, CheckReport("whimbrel/notes", passed, "a check failed", "Why.", "https://bot"))
        assert [each.status for each in lab.project("acme/one").statuses] == ["failed"]
        assert asked(lab, "POST", f"/statuses/{head}") == 2


class TestMoved:
    def test_a_renamed_project_is_told_by_its_new_name(self, lab: FakeGitLab, host: GitLabHost) -> None:
        number = publish(host)
        lab.as_user("ada").rename("acme/one", "uno")
        for attempt in (
            lambda: host.remote(ONE),
            lambda: publish(host),
            lambda: host.pull_requests(ONE, BRANCH),
            lambda: host.list_paths(ONE),
            lambda: host.permission_on(ONE, "ada"),
            lambda: host.close_pull_request(ONE, number),
        ):
            with pytest.raises(HostError, match="acme/one is called acme/uno now"):
                attempt()
        with pytest.raises(NotFound):
            host.read_files(ONE, ["README.md"])
        with pytest.raises(NotFound):
            host.repository("acme", "one")

    def test_one_that_was_moved_within_the_group_is_too(self, lab: FakeGitLab, host: GitLabHost) -> None:
        lab.as_user("ada").move_project("acme/one", "acme/platform")
        with pytest.raises(HostError, match="acme/one is called acme/platform/one now"):
            host.remote(ONE)
        assert host.repository("acme", "platform/one").name == "platform/one"

    def test_one_that_was_moved_away_is_not_the_bots_any_more(self, lab: FakeGitLab, host: GitLabHost) -> None:
        lab.create_group("other")
        lab.as_user("ada").move_project("acme/one", "other")
        with pytest.raises(HostError) as caught:
            host.remote(ONE)
        assert not caught.value.retryable

    def test_one_that_is_moved_back_meanwhile_is_not_taken_for_changed(self, lab: FakeGitLab, host: GitLabHost) -> None:
        number = publish(host)
        said = {"message": "Non GET methods are not allowed for moved projects"}
        lab.fail(method="PUT", status=405, body=said)
        with pytest.raises(HostUnavailable):
            host.close_pull_request(ONE, number)
        assert the_pull(lab).state == "opened"

    def test_a_group_that_was_renamed_is_not_found_by_its_old_name(self, lab: FakeGitLab, host: GitLabHost) -> None:
        lab.as_user("ada").rename_group("acme/platform", "foundation")
        assert [each.name for each in host.repositories("acme")] == ["foundation/deep/lib", "one"]
        with pytest.raises(NotFound):
            list(host.repositories("acme/platform"))

    def test_a_deleted_one_is_not_found(self, lab: FakeGitLab, host: GitLabHost) -> None:
        lab.as_user("ada").delete_project("acme/one")
        with pytest.raises(NotFound):
            host.remote(ONE)
        with pytest.raises(NotFound):
            publish(host)

    def test_a_protected_branch_is_told_by_the_push(self, lab: FakeGitLab, tmp_path: Path, clock: ManualClock) -> None:
        lab.service_account("acme", "robot", level="developer")
        host = gitlab_host(lab.url, GitLabAccess(lab.personal_token("robot")), now=clock.now)
        mirror = Mirror.open(tmp_path / "mirrors", "acme", "one")
        head = mirror.fetch(host.remote(ONE), ["main", BRANCH])[BRANCH]
        assert head is not None
        main = lab.project("acme/one").seen_refs["refs/heads/main"]
        with pytest.raises(GitError, match="declined") as caught:
            mirror.push(host.remote(ONE, pushing=["a"]), head, "main", expected=main)
        assert not caught.value.retryable


class TestTokens:
    def test_it_is_where_nobody_else_could_see_it(
        self, lab: FakeGitLab, host: GitLabHost, token: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        remote = host.remote(ONE, pushing=["NOTE.md"])
        mirror = Mirror.open(tmp_path / "mirrors", "acme", "one")
        mirror.fetch(remote, ["main", BRANCH])
        publish(host)
        secrets = [token, *(value.rpartition(" ")[2] for value in remote.environment.values() if "Basic" in value)]
        assert len(secrets) == 2
        kept = b"".join(file.read_bytes() for file in mirror.folder.rglob("*") if file.is_file())
        shown = caplog.text + repr(remote) + remote.url + repr(host)
        assert not any(secret in shown or secret.encode() in kept for secret in secrets)
        assert not any(secret in redact(" ".join(remote.environment.values())) for secret in secrets)

    def test_git_takes_no_token_to_another_server(self, lab: FakeGitLab, host: GitLabHost, tmp_path: Path) -> None:
        elsewhere = {"Location": "http://127.0.0.1:9/acme/one.git/info/refs?service=git-upload-pack"}
        lab.fail(path_pattern=r"one\.git/info/refs", status=301, headers=elsewhere)
        mirror = Mirror.open(tmp_path / "mirrors", "acme", "one")
        with pytest.raises(GitError, match="error: 301"):
            mirror.fetch(host.remote(ONE), ["main"])

    def test_neither_does_a_request(self, lab: FakeGitLab, host: GitLabHost) -> None:
        lab.fail(path_pattern="/user$", status=302, headers={"Location": "http://127.0.0.1:9/api/v4/projects/7"})
        with pytest.raises(HostError, match=r"is redirected to 127\.0\.0\.1:9"):
            assert host.own_login

    def test_a_next_page_elsewhere_is_not_asked_for(self, lab: FakeGitLab, host: GitLabHost) -> None:
        head = {"Link": '<http://127.0.0.1:9/elsewhere?page=2>; rel="next"', "Content-Type": "application/json"}
        lab.fail(path_pattern="/repository/tree", status=200, headers=head, body=[{"path": "a", "type": "blob"}])
        with pytest.raises(HostError, match=r"leads to 127\.0\.0\.1:9"):
            host.list_paths(ONE)

    def test_a_wrong_token_says_what_to_do(self, lab: FakeGitLab) -> None:
        with pytest.raises(HostError, match="401") as caught:
            list(gitlab_host(lab.url, GitLabAccess("glpat-wrong")).repositories("acme"))
        assert "token" in caught.value.mend

    def test_a_narrow_scope_is_told(self, lab: FakeGitLab) -> None:
        host = gitlab_host(lab.url, GitLabAccess(lab.group_token("acme", "narrow", scopes=("read_api",))))
        with pytest.raises(HostError) as caught:
            publish(host)
        assert "scope" in caught.value.mend


class TestDiscovery:
    @pytest.mark.slow
    def test_hundreds_of_projects_take_few_requests(self, lab: FakeGitLab, host: GitLabHost) -> None:
        for number in range(209):
            lab.create_project("acme/platform", f"r{number:03}", files={"setup.py": f"{number}\n"})
        before = len(lab.log)
        found = list(host.repositories("acme"))
        assert [each.name for each in found] == sorted(
            ["one", "platform/deep/lib", *(f"platform/r{number:03}" for number in range(209))]
        )
        contents = host.read_many(found, ["setup.py", ".whimbrel.yaml"])
        assert contents["platform/r208"] == {"setup.py": b"208\n"}
        assert contents["one"] == {}
        assert len(lab.log) - before == 3 + 5

    def test_a_group_in_a_group_is_an_org_too(self, lab: FakeGitLab, host: GitLabHost) -> None:
        assert [each.full_name for each in host.repositories("acme/platform")] == ["acme/platform/deep/lib"]
        assert host.repository("acme/platform", "deep/lib").head is not None
        with pytest.raises(NotFound):
            host.repository("acme/platform", "one")

    def test_what_is_shared_with_the_group_is_another_orgs(self, lab: FakeGitLab, host: GitLabHost) -> None:
        lab.create_group("other")
        lab.create_project("other", "shared")
        lab.as_user("ada").share("other/shared", "acme")
        assert "shared" not in " ".join(each.name for each in host.repositories("acme"))

    def test_a_file_is_read_as_it_is(self, lab: FakeGitLab, host: GitLabHost) -> None:
        files = {"latin.txt": "café".encode("latin-1"), "large.txt": b"line\n" * 200_000, "empty": b"", "zero": b"\0"}
        lab.as_user("mia").push("acme/one", "main", files)
        assert host.read_files(ONE, files) == files

    def test_what_is_too_much_at_once_is_read_in_parts(self, lab: FakeGitLab, host: GitLabHost) -> None:
        found = list(host.repositories("acme"))
        lab.fail(path_pattern="/graphql$", status=502, times=2)
        assert host.read_many(found, ["README.md"]) == {
            "one": {"README.md": b"hi\n"},
            "platform/deep/lib": {"README.md": b"lib\n"},
        }

    def test_what_gitlab_refuses_to_tell_at_once_is_asked_for_in_parts(self, lab: FakeGitLab, host: GitLabHost) -> None:
        lab.as_user("mia").push("acme/one", "main", {"a": "1", "b": "2"})
        for said in ("Query has complexity of 1421, which exceeds max complexity of 250", "Max blobs size limit exceeded"):
            lab.fail(path_pattern="/graphql$", status=200, body={"data": None, "errors": [{"message": said}]})
        before = len(lab.log)
        assert host.read_files(ONE, ["a", "b", "README.md", "c"]) == {"a": b"1", "b": b"2", "README.md": b"hi\n"}
        assert len(lab.log) - before == 2 + 3

    def test_a_single_one_that_it_refuses_is_no_endless_trouble(self, lab: FakeGitLab, host: GitLabHost) -> None:
        said = {"data": None, "errors": [{"message": "Query has complexity of 251, which exceeds max complexity of 250"}]}
        fault = lab.fail(path_pattern="/graphql$", status=200, body=said, times=99)
        with pytest.raises(HostError) as caught:
            host.read_files(ONE, ["a"])
        assert not caught.value.retryable
        assert fault.hits == 1

    def test_what_is_gone_since_is_left_out(self, lab: FakeGitLab, host: GitLabHost) -> None:
        found = [*host.repositories("acme"), Repository("acme", "gone", "main", None)]
        assert set(host.read_many(found, ["README.md"])) == {"one", "platform/deep/lib"}

    @pytest.mark.slow
    def test_a_tree_of_many_pages_is_read_whole(self, lab: FakeGitLab, host: GitLabHost) -> None:
        files = {f"src/f{number:03}.txt": "" for number in range(205)}
        lab.as_user("mia").push("acme/one", "main", files)
        assert list(host.list_paths(ONE)) == sorted([*files, "README.md"])
        assert asked(lab, "GET", "/repository/tree") == 3


class TestLimits:
    def test_a_limit_says_how_long(self, lab: FakeGitLab, host: GitLabHost) -> None:
        fault = lab.fail(method="POST", path_pattern="/merge_requests$", status=429, headers={"Retry-After": "17"}, times=9)
        with pytest.raises(HostLimited) as caught:
            publish(host)
        assert caught.value.retry_after == 17
        assert fault.hits == 1

    def test_the_governor_hears_of_every_request(self, lab: FakeGitLab, token: str, clock: ManualClock) -> None:
        governor = Watching()
        host = gitlab_host(lab.url, GitLabAccess(token), governor=governor, now=clock.now)
        number = publish(host, replace(TEXT, reviewers=("ada",)))
        host.comment(ONE, number, "Hello", marker="<!-- m -->")
        assert len(governor.asked) == len(governor.told) == len(lab.log)
        creating = [each.path for each, (_, creates) in zip(lab.log, governor.asked, strict=True) if creates]
        assert creating == ["/api/v4/projects/acme/one/merge_requests/1/notes"]

    def test_what_gitlab_allows_a_minute_is_never_passed(
        self, lab: FakeGitLab, token: str, clock: ManualClock, sqlite_databases: SqliteDatabases
    ) -> None:
        """In small: 4 notes and 20 requests a minute, where gitlab.com has 60 and 2,000."""
        limits = HostLimits(concurrency=5, points_per_minute=20, creates_per_minute=4)
        governor = HostGovernor(None, Database(sqlite_databases.upgraded()), clock, lab.url, limits)
        host = gitlab_host(lab.url, GitLabAccess(token), governor=governor, now=clock.now)
        number, begun = publish(host), clock.now()
        lab.limits.requests_per_minute, lab.limits.notes_per_minute = 20, 4
        for each in range(10):
            host.comment(ONE, number, f"The base has moved, {each}.", marker=f"<!-- {each} -->")
        assert lab.limits.refusals == 0
        assert len(lab.limits.notes) == 10
        assert (clock.now() - begun).total_seconds() > 120

    def test_requests_say_who_asks(self, lab: FakeGitLab, host: GitLabHost) -> None:
        publish(host)
        agents = {each.user_agent for each in lab.log if each.path.startswith("/api/")}
        assert agents == {f"whimbrel/{__version__}"}


class TestPermission:
    def test_a_role_in_the_group_is_one_in_all_below_it(self, lab: FakeGitLab, host: GitLabHost) -> None:
        for level in LEVELS:
            lab.add_user(f"a-{level}", groups={"acme": level})
        assert {level: host.permission("acme", f"a-{level}") for level in LEVELS} == LEVELS
        assert {level: host.permission_on(LIB, f"a-{level}") for level in LEVELS} == LEVELS
        assert host.permission("acme", "nobody-at-all") == "none"

    def test_a_role_in_a_project_is_one_there_alone(self, lab: FakeGitLab, host: GitLabHost) -> None:
        lab.add_user("dot", projects={"acme/one": "developer"})
        assert [host.permission_on(ONE, "dot"), host.permission_on(LIB, "dot")] == ["write", "none"]
        assert host.permission("acme", "dot") == "none"

    def test_who_is_blocked_may_nothing(self, lab: FakeGitLab, host: GitLabHost) -> None:
        lab.as_user("mia").user.state = "blocked"
        assert host.permission("acme", "mia") == "none"


class TestTeams:
    def test_who_is_a_direct_member_is_asked_of_gitlab_and_kept_for_a_minute(
        self, lab: FakeGitLab, host: GitLabHost, clock: ManualClock
    ) -> None:
        lab.as_user("ada").add_member("acme/platform", "mia", "developer")
        for _ in range(2):
            assert [host.is_in_team("acme", "platform", name) for name in ("mia", "ada")] == [True, False]
        before = len(lab.log)
        lab.as_user("ada").remove_member("acme/platform", "mia")
        assert host.is_in_team("acme", "platform", "MIA")
        assert len(lab.log) == before
        clock.advance(60)
        assert not host.is_in_team("acme", "platform", "mia")

    def test_a_group_at_the_top_is_anybodys_and_is_not_meant(self, lab: FakeGitLab, host: GitLabHost) -> None:
        lab.create_group("platform-leads")
        lab.as_user("mia").add_member("platform-leads", "mia", "owner")
        with pytest.raises(NotFound):
            host.is_in_team("acme", "platform-leads", "mia")
        with pytest.raises(NotFound):
            host.is_in_team("acme", "platform-leads/x", "mia")

    def test_one_beside_a_nested_org_is_named_in_full(self, lab: FakeGitLab, host: GitLabHost) -> None:
        lab.create_group("acme/leads")
        lab.as_user("ada").add_member("acme/leads", "mia", "guest")
        assert host.is_in_team("acme/platform", "acme/leads", "mia")
