"""Git over HTTP, as the fake GitLab serves it to the real git."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.conftest import Ask
from tests.contract.git_client import Git
from tests.contract.gitlab_hub import ONE
from tests.fakes.forge.receivers import Receiver
from tests.fakes.gitlab import FakeGitLab

Checkout = Callable[[str], Git]


@pytest.fixture
def checkout(gitlab_hub: FakeGitLab, gitlab_token: str, tmp_path: Path) -> Checkout:
    """Clones acme/one with a token."""

    def clone(token: str) -> Git:
        made = Git(gitlab_hub.url, tmp_path / "checkout", "acme/one", user="oauth2", token=token)
        made.ok("clone", made.url(), ".")
        return made

    return clone


def test_a_push_moves_the_merge_request_and_tells_it(
    gitlab_hub: FakeGitLab, gitlab_ask: Ask, gitlab_token: str, checkout: Checkout, receiver: Receiver
) -> None:
    git = checkout(gitlab_token)
    before = git.commit("b.txt", "b")
    git.ok("push", "origin", "HEAD:refs/heads/b")
    gitlab_hub.as_user("mia").open_merge_request("acme/one", "B", source="b")
    gitlab_hub.add_hook(group="acme", url=receiver.url)
    sha = git.commit("b.txt", "c")
    git.ok("push", "origin", "HEAD:refs/heads/b")
    gitlab_hub.drain()
    assert [each.payload["object_kind"] for each in receiver.received] == ["push", "merge_request"]
    told = receiver.received[1].payload["object_attributes"]
    assert (told["action"], told["oldrev"], told["last_commit"]["id"]) == ("update", before, sha)
    assert receiver.received[0].payload["user_username"] == gitlab_hub.bot_of(gitlab_token)
    assert gitlab_ask("GET", f"{ONE}/merge_requests/1").json()["sha"] == sha


def test_a_token_clones_and_pushes_as_its_scopes_and_its_role_allow(
    gitlab_hub: FakeGitLab, gitlab_token: str, checkout: Checkout
) -> None:
    git = checkout(gitlab_hub.group_token("acme", "cloner", scopes=("read_repository",)))
    git.commit("b.txt", "b")
    for token in (git.token, gitlab_hub.group_token("acme", "reporter", level="reporter", scopes=("write_repository",))):
        refused = git.run("push", git.url(token=token), "HEAD:refs/heads/b")
        assert (refused.returncode != 0, "403" in refused.stderr) == (True, True)
    writer = gitlab_hub.group_token("acme", "writer", level="developer", scopes=("write_repository",))
    git.ok("push", git.url(token=writer), "HEAD:refs/heads/b")


def test_a_protected_branch_is_pushed_to_by_maintainers_and_never_forced(
    gitlab_hub: FakeGitLab, gitlab_token: str, checkout: Checkout
) -> None:
    git = checkout(gitlab_hub.personal_token("mia"))
    git.commit("b.txt", "b")
    refused = git.run("push", "origin", "HEAD:refs/heads/main")
    assert "You are not allowed to push code to protected branches on this project." in refused.stderr
    git.ok("push", git.url(token=gitlab_token), "HEAD:refs/heads/main")
    git.ok("commit", "--amend", "-m", "Amended")
    forced = git.run("push", "--force", git.url(token=gitlab_token), "HEAD:refs/heads/main")
    assert "You are not allowed to force push code to a protected branch" in forced.stderr


def test_a_lease_holds(gitlab_hub: FakeGitLab, gitlab_token: str, checkout: Checkout) -> None:
    git = checkout(gitlab_token)
    seen = git.commit("b.txt", "b")
    git.ok("push", "origin", "HEAD:refs/heads/b")
    gitlab_hub.as_user("mia").push("acme/one", "b", {"mia.txt": "mine"})
    git.ok("commit", "--amend", "-m", "Amended")
    refused = git.run("push", f"--force-with-lease=refs/heads/b:{seen}", "origin", "HEAD:refs/heads/b")
    assert (refused.returncode != 0, "stale info" in refused.stderr) == (True, True)


def test_nobody_learns_what_is_there(gitlab_hub: FakeGitLab, gitlab_token: str, checkout: Checkout) -> None:
    git = checkout(gitlab_token)
    gitlab_hub.create_group("secret")
    gitlab_hub.create_project("secret", "one")
    wrong = git.run("ls-remote", git.url("secret/one"))
    unsigned = git.run("ls-remote", f"{gitlab_hub.url}/secret/one.git")
    assert "could not be found or you don't have permission" in wrong.stderr
    assert "terminal prompts disabled" in unsigned.stderr


def test_a_moved_project_is_cloned_by_its_old_path(gitlab_hub: FakeGitLab, gitlab_token: str, checkout: Checkout) -> None:
    git = checkout(gitlab_token)
    gitlab_hub.as_user("ada").move_project("acme/one", "acme/platform")
    assert "refs/heads/main" in git.ok("ls-remote", git.url())


def test_a_refs_of_gitlabs_own_is_not_pushed_to(gitlab_token: str, checkout: Checkout) -> None:
    git = checkout(gitlab_token)
    git.commit("b.txt", "b")
    assert git.run("push", "origin", "HEAD:refs/merge-requests/1/head").returncode != 0


def test_a_merge_request_is_fetched_by_its_ref(gitlab_hub: FakeGitLab, gitlab_token: str, checkout: Checkout) -> None:
    git = checkout(gitlab_token)
    sha = gitlab_hub.as_user("mia").push("acme/one", "b", {"b": "b"})
    gitlab_hub.as_user("mia").open_merge_request("acme/one", "B", source="b")
    git.ok("fetch", "origin", "refs/merge-requests/1/head")
    assert git.ok("rev-parse", "FETCH_HEAD") == sha
