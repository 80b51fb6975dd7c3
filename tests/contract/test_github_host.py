"""What only the GitHub host has to do: its tokens, its limits, answers that are lost, repositories that are moved."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot import __version__
from bot.domain.pull_requests import CheckReport, PullRequestText
from bot.domain.redaction import redact
from bot.domain.repositories import Repository
from bot.errors import ConfigurationError, GitError, HostError, HostLimited, HostUnavailable, NotFound
from bot.git import Mirror
from bot.hosts.github import GitHubHost, github_host
from bot.hosts.github_credentials import Token
from tests.fakes.clock import ManualClock
from tests.fakes.github import FakeGitHub, Pull
from tests.fakes.github_subject import app_of
from tests.fakes.watching import Watching

BRANCH = "whimbrel/notes"
TEXT = PullRequestText("A note", "Because.", ("whimbrel",))
ONE = Repository("acme", "one", "main", None)


@pytest.fixture
def acme(hub: FakeGitHub) -> FakeGitHub:
    """acme/one with a branch that is ahead; mia is a member, ada an owner."""
    hub.create_org("acme")
    hub.create_repository("acme", "one", files={"README.md": "hi\n"}, allow_auto_merge=True)
    hub.add_user("mia", orgs={"acme": "member"})
    hub.add_user("ada", orgs={"acme": "admin"})
    hub.as_user("mia").push("acme/one", BRANCH, {"NOTE.md": "Be kind.\n"})
    return hub


@pytest.fixture
def host(acme: FakeGitHub, clock: ManualClock) -> GitHubHost:
    acme.install("acme")
    return github_host(acme.url, app_of(acme), "acme", now=clock.now)


def publish(host: GitHubHost, text: PullRequestText = TEXT) -> int:
    return host.open_pull_request(ONE, branch=BRANCH, base="main", text=text).number


def the_pull(hub: FakeGitHub) -> Pull:
    """There is exactly one."""
    (pull,) = hub.repository("acme/one").pulls
    return pull


def asked(hub: FakeGitHub, method: str, tail: str) -> int:
    return sum(each.method == method and each.path.endswith(tail) for each in hub.log)


class TestLostAnswers:
    @pytest.mark.parametrize("fault", [{"status": 502}, {"reset": True}, {"status": 500}])
    def test_a_pull_request_whose_answer_is_lost_is_found_and_dressed(
        self, acme: FakeGitHub, host: GitHubHost, fault: dict[str, Any]
    ) -> None:
        acme.fail(method="POST", path_pattern=r"/pulls$", after_write=True, **fault)
        opened = host.open_pull_request(ONE, branch=BRANCH, base="main", text=replace(TEXT, reviewers=("ada",)))
        pull = the_pull(acme)
        assert opened.number == pull.number
        assert [label.name for label in pull.labels] == ["whimbrel"]
        assert [person.login for person in pull.requested_reviewers] == ["ada"]

    def test_one_that_was_never_made_is_worth_another_try(self, acme: FakeGitHub, host: GitHubHost) -> None:
        fault = acme.fail(method="POST", path_pattern=r"/pulls$", status=502, times=9)
        with pytest.raises(HostUnavailable) as caught:
            publish(host)
        assert caught.value.retryable
        assert fault.hits == 1
        assert not acme.repository("acme/one").pulls

    def test_what_is_left_after_a_lost_label_is_made_good_by_an_update(self, acme: FakeGitHub, host: GitHubHost) -> None:
        acme.fail(method="POST", path_pattern=r"/labels$", status=502)
        with pytest.raises(HostUnavailable):
            publish(host)
        known = host.open_pull_request(ONE, branch=BRANCH, base="main", text=TEXT)
        assert not known.text.says(TEXT)
        assert host.update_pull_request(ONE, known.number, TEXT).text.says(TEXT)
        assert [label.name for label in the_pull(acme).labels] == ["whimbrel"]

    def test_a_comment_whose_answer_is_lost_is_not_repeated(self, acme: FakeGitHub, host: GitHubHost) -> None:
        number = publish(host)
        acme.fail(method="POST", path_pattern=r"/comments$", status=502, after_write=True)
        with pytest.raises(HostUnavailable):
            host.comment(ONE, number, "The base has moved.", marker="<!-- m -->")
        host.comment(ONE, number, "The base has moved.", marker="<!-- m -->")
        assert len(the_pull(acme).comments) == 1

    def test_a_query_is_tried_again_and_a_write_is_not(self, acme: FakeGitHub, host: GitHubHost) -> None:
        acme.fail(path_pattern="/graphql$", status=502)
        assert [each.name for each in host.repositories("acme")] == ["one"]
        assert asked(acme, "POST", "/graphql") == 2

    def test_a_broken_connection_is_worth_another_try(self, acme: FakeGitHub, host: GitHubHost) -> None:
        acme.fail(path_pattern="/graphql$", reset=True, times=2)
        with pytest.raises(HostUnavailable, match="cannot be reached"):
            list(host.repositories("acme"))


class TestPullRequests:
    def test_who_cannot_be_asked_is_left_out(self, acme: FakeGitHub, host: GitHubHost) -> None:
        acme.add_team("acme", "platform", ["mia"], permissions={"acme/one": "write"})
        wanted = ("@ada", "@acme/platform", "stranger", "acme/no-such-team", "someone@example.org", "Ada")
        opened = host.open_pull_request(ONE, branch=BRANCH, base="main", text=replace(TEXT, reviewers=wanted))
        assert set(opened.text.reviewers) == {"ada", "acme/platform"}
        assert [person.login for person in the_pull(acme).requested_reviewers] == ["ada"]
        assert [team.slug for team in the_pull(acme).requested_teams] == ["platform"]

    def test_who_has_reviewed_is_not_asked_again_by_an_update(self, acme: FakeGitHub, host: GitHubHost) -> None:
        text = replace(TEXT, reviewers=("ada",))
        number = publish(host, text)
        acme.as_user("ada").review("acme/one", number, "APPROVE", "Fine.")
        host.update_pull_request(ONE, number, replace(text, title="A better note"))
        assert asked(acme, "POST", "/requested_reviewers") == 1

    def test_peoples_labels_stay(self, acme: FakeGitHub, host: GitHubHost) -> None:
        number = publish(host)
        acme.as_user("ada").label("acme/one", number, "urgent")
        updated = host.update_pull_request(ONE, number, replace(TEXT, labels=("Whimbrel", "more")))
        assert updated.text.labels == ("whimbrel", "urgent", "more")
        assert [label.name for label in the_pull(acme).labels] == ["whimbrel", "urgent", "more"]

    def test_labels_that_github_does_not_make_by_itself_are_made(self, acme: FakeGitHub, host: GitHubHost) -> None:
        acme.fail(method="POST", path_pattern=r"/issues/\d+/labels$", status=422, body={"message": "Validation Failed"})
        publish(host, replace(TEXT, labels=("whimbrel", "packaging")))
        assert [label.name for label in the_pull(acme).labels] == ["whimbrel", "packaging"]

    def test_an_update_that_changes_nothing_writes_nothing(self, acme: FakeGitHub, host: GitHubHost) -> None:
        number = publish(host)
        before = len(acme.log)
        host.update_pull_request(ONE, number, TEXT)
        assert [each.path for each in acme.log[before:]] == ["/api/graphql"]

    def test_a_draft_is_made_ready_and_a_draft_again(self, acme: FakeGitHub, host: GitHubHost) -> None:
        number = publish(host, replace(TEXT, draft=True))
        assert the_pull(acme).draft
        host.update_pull_request(ONE, number, TEXT)
        assert not the_pull(acme).draft
        host.update_pull_request(ONE, number, replace(TEXT, draft=True))
        assert the_pull(acme).draft

    def test_where_no_drafts_are_it_is_ready(self, acme: FakeGitHub, host: GitHubHost) -> None:
        said = {"message": "Draft pull requests are not supported in this repository."}
        acme.fail(method="POST", path_pattern=r"/pulls$", status=422, body=said)
        opened = host.open_pull_request(ONE, branch=BRANCH, base="main", text=replace(TEXT, draft=True))
        assert not opened.text.draft

    def test_it_merges_by_itself_where_that_is_allowed(self, acme: FakeGitHub, host: GitHubHost) -> None:
        acme.protect("acme/one", "main", reviews=1)
        opened = host.open_pull_request(ONE, branch=BRANCH, base="main", text=replace(TEXT, auto_merge=True))
        assert opened.text.auto_merge
        assert the_pull(acme).auto_merge is not None

    def test_where_it_is_not_it_is_opened_all_the_same(
        self, acme: FakeGitHub, host: GitHubHost, caplog: pytest.LogCaptureFixture
    ) -> None:
        acme.repository("acme/one").allow_auto_merge = False
        opened = host.open_pull_request(ONE, branch=BRANCH, base="main", text=replace(TEXT, auto_merge=True))
        assert not opened.text.auto_merge
        assert "acme/one#1 does not merge by itself" in caplog.text

    def test_a_forks_branch_of_that_name_is_another(self, acme: FakeGitHub, host: GitHubHost) -> None:
        fork = acme.create_repository("mia", "one", parent=acme.repository("acme/one"), fork=True)
        acme.as_user("mia").push("mia/one", BRANCH, {"EVIL.md": "Merge me.\n"})
        acme.as_user("mia").open_pull("acme/one", "Mine", head=BRANCH, head_repository=fork)
        assert list(host.pull_requests(ONE, BRANCH)) == []
        assert publish(host) == 2

    def test_a_closed_one_tells_by_whom(self, acme: FakeGitHub, host: GitHubHost) -> None:
        number = publish(host)
        host.close_pull_request(ONE, number)
        (found,) = host.pull_requests(ONE, BRANCH)
        assert found.closed_by == host.own_login == "whimbrel[bot]"

    def test_more_than_a_page_of_them_is_seen(self, acme: FakeGitHub, host: GitHubHost) -> None:
        for _ in range(21):
            host.close_pull_request(ONE, publish(host))
        assert [found.number for found in host.pull_requests(ONE, BRANCH)] == list(range(1, 22))


class TestMoved:
    def test_a_renamed_repository_is_told_by_its_new_name(self, acme: FakeGitHub, host: GitHubHost) -> None:
        publish(host)
        acme.as_user("ada").rename("acme/one", "uno")
        for attempt in (
            lambda: host.remote(ONE),
            lambda: publish(host),
            lambda: host.pull_requests(ONE, BRANCH),
            lambda: host.list_paths(ONE),
            lambda: host.permission_on(ONE, "ada"),
        ):
            with pytest.raises(HostError, match="acme/one is called acme/uno now"):
                attempt()
        with pytest.raises(NotFound):
            host.read_files(ONE, ["README.md"])

    def test_a_transferred_one_is_not_the_bots_any_more(self, acme: FakeGitHub, host: GitHubHost) -> None:
        acme.create_org("other")
        acme.as_user("ada").transfer("acme/one", "other")
        with pytest.raises(HostError, match="renamed or transferred") as caught:
            host.remote(ONE)
        assert not caught.value.retryable

    def test_a_deleted_one_is_not_found(self, acme: FakeGitHub, host: GitHubHost) -> None:
        acme.as_user("ada").delete_repository("acme/one")
        with pytest.raises(NotFound):
            host.remote(ONE)
        with pytest.raises(NotFound):
            publish(host)

    def test_one_that_turned_archived_says_so(self, acme: FakeGitHub, host: GitHubHost) -> None:
        acme.as_user("ada").archive("acme/one")
        with pytest.raises(HostError, match="archived") as caught:
            publish(host)
        assert "unarchive" in caught.value.mend

    def test_a_protected_branch_is_told_by_the_push(self, acme: FakeGitHub, host: GitHubHost, tmp_path: Path) -> None:
        acme.protect("acme/one", "whimbrel/*")
        mirror = Mirror.open(tmp_path / "mirrors", "acme", "one")
        head = mirror.fetch(host.remote(ONE), ["main"])["main"]
        assert head is not None
        with pytest.raises(GitError, match=r"protected branch|GH006") as caught:
            mirror.push(host.remote(ONE, pushing=["a"]), head, "whimbrel/other", expected=None)
        assert not caught.value.retryable


class TestTokens:
    def minted(self, hub: FakeGitHub) -> list[tuple[frozenset[int] | None, dict[str, str]]]:
        tokens = [hub.state.tokens[value] for value in hub.tokens]
        return [(token.repository_ids, token.permissions) for token in tokens if token.installation is not None]

    def test_a_change_is_made_with_a_token_for_that_repository_and_purpose(self, acme: FakeGitHub, host: GitHubHost) -> None:
        one = frozenset({acme.repository("acme/one").id})
        host.remote(ONE)
        host.remote(ONE, pushing=["src/a.py"])
        host.remote(ONE, pushing=["src/a.py", ".github/workflows/ci.yml"])
        publish(host)
        wanted = [
            {"contents": "read"},
            {"contents": "write"},
            {"contents": "write", "workflows": "write"},
            {"pull_requests": "write", "issues": "write", "contents": "read"},
        ]
        given = [(ids, {name: level for name, level in p.items() if name != "metadata"}) for ids, p in self.minted(acme)]
        assert given == [(one, permissions) for permissions in wanted]

    def test_one_is_used_until_shortly_before_its_end(self, acme: FakeGitHub, host: GitHubHost, clock: ManualClock) -> None:
        first = host.remote(ONE).environment
        clock.advance(49 * 60)
        assert host.remote(ONE).environment == first
        clock.advance(2 * 60)
        assert host.remote(ONE).environment != first
        assert len(self.minted(acme)) == 2

    def test_what_was_not_granted_is_not_asked_for(self, acme: FakeGitHub, clock: ManualClock) -> None:
        acme.install("acme", permissions={"metadata": "read", "contents": "read"})
        host = github_host(acme.url, app_of(acme), "acme", now=clock.now)
        assert host.read_files(ONE, ["README.md"]) == {"README.md": b"hi\n"}
        with pytest.raises(HostError, match="not accessible") as caught:
            host.close_pull_request(ONE, 1)
        assert "grant the App" in caught.value.mend

    def test_no_token_is_where_others_could_see_it(
        self, acme: FakeGitHub, host: GitHubHost, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        remote = host.remote(ONE, pushing=["NOTE.md"])
        mirror = Mirror.open(tmp_path / "mirrors", "acme", "one")
        mirror.fetch(remote, ["main", BRANCH])
        publish(host)
        secrets = [*acme.tokens, *(value.rpartition(" ")[2] for value in remote.environment.values() if "Basic" in value)]
        assert secrets
        kept = b"".join(file.read_bytes() for file in mirror.folder.rglob("*") if file.is_file())
        shown = caplog.text + repr(remote) + remote.url
        assert not any(secret in shown or secret.encode() in kept for secret in secrets)
        assert not any(secret in redact(" ".join(remote.environment.values())) for secret in secrets)

    def test_git_takes_no_token_to_another_server(self, acme: FakeGitHub, host: GitHubHost, tmp_path: Path) -> None:
        elsewhere = {"Location": "http://127.0.0.1:9/acme/one.git/info/refs?service=git-upload-pack"}
        acme.fail(path_pattern=r"one\.git/info/refs", status=301, headers=elsewhere)
        mirror = Mirror.open(tmp_path / "mirrors", "acme", "one")
        with pytest.raises(GitError, match="error: 301"):
            mirror.fetch(host.remote(ONE), ["main"])

    def test_a_suspended_installation_says_so(self, acme: FakeGitHub, clock: ManualClock) -> None:
        acme.suspend(acme.install("acme"))
        with pytest.raises(HostError, match="suspended"):
            list(github_host(acme.url, app_of(acme), "acme", now=clock.now).repositories("acme"))

    def test_without_an_installation_there_is_nothing(self, acme: FakeGitHub, clock: ManualClock) -> None:
        with pytest.raises(NotFound, match="not installed on acme"):
            list(github_host(acme.url, app_of(acme), "acme", now=clock.now).repositories("acme"))

    def test_a_repository_outside_the_installation_is_told(self, acme: FakeGitHub, clock: ManualClock) -> None:
        acme.create_repository("acme", "two", visibility="public")
        acme.install("acme", repositories=["two"])
        host = github_host(acme.url, app_of(acme), "acme", now=clock.now)
        with pytest.raises(NotFound):
            host.remote(ONE)

    def test_a_key_that_is_none_is_told_at_once(self, acme: FakeGitHub) -> None:
        with pytest.raises(ConfigurationError, match="private key"):
            github_host(acme.url, replace(app_of(acme), private_key="-----BEGIN NONSENSE-----"), "acme")

    def test_a_wrong_token_says_what_to_check(self, acme: FakeGitHub) -> None:
        with pytest.raises(HostError, match="Bad credentials") as caught:
            list(github_host(acme.url, Token("ghp_wrong"), "acme").repositories("acme"))
        assert "token" in caught.value.mend

    def test_an_app_from_the_environment_asks_for_its_name(self, acme: FakeGitHub, host: GitHubHost) -> None:
        assert github_host(acme.url, replace(app_of(acme), slug=""), "acme").own_login == host.own_login

    def test_a_plain_token_reports_a_status(self, acme: FakeGitHub) -> None:
        host = github_host(acme.url, Token(acme.personal_token("ada")), "acme")
        head = acme.repository("acme/one").seen_refs[f"refs/heads/{BRANCH}"]
        for passed in (None, False):
            host.report_check(ONE, head, CheckReport("whimbrel/notes", passed, "a check failed", "Why."))
        assert [each.state for each in acme.repository("acme/one").statuses] == ["pending", "failure"]
        assert host.own_login == "ada"


class TestDiscovery:
    def test_hundreds_of_repositories_take_few_requests(self, acme: FakeGitHub, host: GitHubHost) -> None:
        for number in range(209):
            acme.create_repository("acme", f"r{number:03}", files={"setup.py": f"{number}\n"})
        before = len(acme.log)
        found = list(host.repositories("acme"))
        assert [each.name for each in found] == ["one", *(f"r{number:03}" for number in range(209))]
        contents = host.read_many(found, ["setup.py", ".whimbrel.yaml"])
        assert contents["r208"] == {"setup.py": b"208\n"}
        assert contents["one"] == {}
        assert len([each for each in acme.log[before:] if each.path == "/api/graphql"]) == 3 + 9

    def test_those_alone_that_an_owner_has_chosen(self, acme: FakeGitHub, clock: ManualClock) -> None:
        for name in ("Two", "three"):
            acme.create_repository("acme", name, visibility="public", topics=["bots"])
        acme.install("acme", repositories=["Two", "one"])
        found = list(github_host(acme.url, app_of(acme), "acme", now=clock.now).repositories("acme"))
        assert [(each.name, set(each.topics)) for each in found] == [("one", set()), ("Two", {"bots"})]

    def test_a_file_is_read_as_it_is(self, acme: FakeGitHub, host: GitHubHost) -> None:
        files = {"latin.txt": "café".encode("latin-1"), "large.txt": b"line\n" * 200_000, "empty": b"", "zero": b"\0"}
        acme.as_user("mia").push("acme/one", "main", files)
        assert host.read_files(ONE, files) == files

    def test_what_is_too_much_at_once_is_read_in_parts(self, acme: FakeGitHub, host: GitHubHost) -> None:
        acme.create_repository("acme", "two", files={"README.md": "two\n"})
        found = list(host.repositories("acme"))
        acme.fail(path_pattern="/graphql$", status=502, times=2)
        assert host.read_many(found, ["README.md"]) == {"one": {"README.md": b"hi\n"}, "two": {"README.md": b"two\n"}}

    def test_what_is_gone_since_is_left_out(self, acme: FakeGitHub, host: GitHubHost) -> None:
        found = [*host.repositories("acme"), Repository("acme", "gone", "main", None)]
        assert set(host.read_many(found, ["README.md"])) == {"one"}

    def test_a_tree_that_is_cut_off_is_read_folder_by_folder(self, acme: FakeGitHub, host: GitHubHost) -> None:
        files = {"a/b/c.txt": "", "a/d.txt": "", "e.txt": "", "f/g.txt": ""}
        acme.as_user("mia").push("acme/one", "main", files)
        acme.repository("acme/one").tree_limit = 2
        assert list(host.list_paths(ONE)) == sorted([*files, "README.md"])

    def test_an_answer_that_still_holds_is_not_sent_again(self, acme: FakeGitHub, host: GitHubHost) -> None:
        first = host.list_paths(ONE)
        assert host.list_paths(ONE) == first
        acme.as_user("mia").push("acme/one", "main", {"new": ""})
        assert host.list_paths(ONE) == [*first, "new"]
        assert [each.status for each in acme.log if "/git/trees/" in each.path] == [200, 304, 200]


class TestLimits:
    @pytest.mark.parametrize("status", [403, 429])
    def test_a_secondary_limit_says_how_long(self, acme: FakeGitHub, host: GitHubHost, status: int) -> None:
        said = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}
        fault = acme.fail(
            method="POST", path_pattern="/pulls$", status=status, headers={"retry-after": "17"}, body=said, times=9
        )
        with pytest.raises(HostLimited, match="secondary rate limit") as caught:
            publish(host)
        assert caught.value.retry_after == 17
        assert fault.hits == 1

    def test_a_limit_without_a_header_is_one_too(self, acme: FakeGitHub, clock: ManualClock) -> None:
        governor = Watching()
        acme.install("acme")
        host = github_host(acme.url, app_of(acme), "acme", governor=governor, now=clock.now)
        acme.fail(path_pattern="/git/trees/", status=403, body={"message": "You have exceeded a secondary rate limit."})
        with pytest.raises(HostLimited) as caught:
            host.list_paths(ONE)
        assert caught.value.retry_after == 60
        assert governor.told[-1] == 429

    def test_the_governor_hears_of_every_request(self, acme: FakeGitHub, clock: ManualClock) -> None:
        governor = Watching()
        acme.install("acme")
        host = github_host(acme.url, app_of(acme), "acme", governor=governor, now=clock.now)
        number = publish(host, replace(TEXT, reviewers=("ada",)))
        host.comment(ONE, number, "Hello", marker="<!-- m -->")
        api = [each for each in acme.log if each.path.startswith("/api/")]
        assert len(governor.asked) == len(governor.told) == len(api)
        creating = [each.path.removeprefix("/api/v3/repos/acme/one") for each in api if each.method == "POST"]
        assert [place for place, (_, creates) in zip([each.path for each in api], governor.asked, strict=True) if creates] == [
            f"/api/v3/repos/acme/one{tail}" for tail in ("/pulls", "/pulls/1/requested_reviewers", "/issues/1/comments")
        ]
        assert "/issues/1/labels" in creating
        assert {points for points, creates in governor.asked if creates} == {5}
        assert (1, False) in governor.asked

    def test_requests_say_who_asks(self, acme: FakeGitHub, host: GitHubHost) -> None:
        publish(host)
        agents = {each.user_agent for each in acme.log if each.path.startswith("/api/")}
        assert agents == {f"whimbrel/{__version__}"}


class TestPermission:
    def test_it_is_what_the_org_gives(self, acme: FakeGitHub, host: GitHubHost) -> None:
        assert host.permission("acme", "ada") == "admin"
        assert host.permission("acme", "mia") == "read"
        assert host.permission("acme", "stranger") == "none"

    def test_that_on_a_repository_knows_four_levels(self, acme: FakeGitHub, host: GitHubHost) -> None:
        roles = {"ann": "triage", "ben": "write", "cid": "maintain", "dot": "admin"}
        for login, role in roles.items():
            acme.add_user(login, permissions={"acme/one": role})
        given = {login: host.permission_on(ONE, login) for login in [*roles, "nobody-at-all"]}
        assert given == {"ann": "read", "ben": "write", "cid": "write", "dot": "admin", "nobody-at-all": "none"}


class TestTeams:
    def test_who_is_in_one_is_asked_of_github_and_kept_for_a_minute(
        self, acme: FakeGitHub, host: GitHubHost, clock: ManualClock
    ) -> None:
        acme.add_team("acme", "platform", ["Mia"])
        members = acme.state.organization("acme").teams["platform"].members
        for _ in range(2):
            assert [host.is_in_team("acme", "platform", login) for login in ("mia", "ada")] == [True, False]
        assert asked(acme, "GET", "/memberships/mia") == asked(acme, "GET", "/memberships/ada") == 1
        members.discard("mia")
        assert host.is_in_team("acme", "platform", "MIA")
        clock.advance(60)
        assert not host.is_in_team("acme", "platform", "mia")

    def test_without_the_team_nobody_is(self, host: GitHubHost) -> None:
        with pytest.raises(NotFound, match="there is no team acme/platform"):
            host.is_in_team("acme", "platform", "mia")


def test_git_pushes_and_fetches_with_its_token(acme: FakeGitHub, host: GitHubHost, tmp_path: Path) -> None:
    mirror = Mirror.open(tmp_path / "mirrors", "acme", "one")
    heads = mirror.fetch(host.remote(ONE), ["main", BRANCH, "no-such-branch"])
    assert heads["main"]
    assert heads["no-such-branch"] is None
    head = heads[BRANCH]
    assert head is not None
    mirror.push(host.remote(ONE, pushing=["NOTE.md"]), head, "whimbrel/copy", expected=None)
    assert acme.repository("acme/one").seen_refs["refs/heads/whimbrel/copy"] == head
    with pytest.raises(GitError):
        mirror.push(host.remote(ONE), head, "whimbrel/unallowed", expected=None)


def test_no_name_becomes_an_argument(acme: FakeGitHub, host: GitHubHost, tmp_path: Path) -> None:
    remote = host.remote(ONE)
    listed = subprocess.run(["git", "ls-remote", remote.url], env={**remote.environment, "HOME": str(tmp_path)}, check=True)
    assert listed.returncode == 0
    with pytest.raises(NotFound):
        host.remote(Repository("acme", "--upload-pack=x/../y", "main", None))
