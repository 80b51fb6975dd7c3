"""Git over HTTP, as the fake serves it to the real git."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.contract.conftest import Ask
from tests.contract.git_client import Git
from tests.fakes.forge.receivers import Receiver
from tests.fakes.github import FakeGitHub, Installation

ONE = "/repos/acme/one"


@pytest.fixture
def git(hub: FakeGitHub, installation: Installation, tmp_path: Path) -> Git:
    """A checkout of acme/one with a token of the installation."""
    token = hub.installation_token(installation)
    made = Git(hub.url, tmp_path / "checkout", "acme/one", user="x-access-token", token=token)
    made.ok("clone", made.url(), ".")
    return made


def test_a_push_moves_the_pull_request_and_tells_it(hub: FakeGitHub, ask: Ask, git: Git, receiver: Receiver) -> None:
    git.commit("b.txt", "b")
    git.ok("push", "origin", "HEAD:refs/heads/b")
    number = ask("POST", f"{ONE}/pulls", {"title": "B", "head": "b", "base": "main"}).json()["number"]
    hub.webhook_url = receiver.url
    sha = git.commit("b.txt", "c")
    git.ok("push", "origin", "HEAD:refs/heads/b")
    hub.drain()
    assert receiver.events == ["push", "pull_request.synchronize"]
    assert receiver.received[1].payload["after"] == sha
    assert ask("GET", f"{ONE}/pulls/{number}").json()["head"]["sha"] == sha


def test_a_forced_push_is_told_as_forced(hub: FakeGitHub, git: Git, receiver: Receiver) -> None:
    git.commit("b.txt", "b")
    git.ok("push", "origin", "HEAD:refs/heads/b")
    hub.webhook_url = receiver.url
    git.ok("commit", "--amend", "-m", "Amended")
    assert git.run("push", "origin", "HEAD:refs/heads/b").returncode != 0
    git.ok("push", "--force", "origin", "HEAD:refs/heads/b")
    hub.drain()
    assert [each.payload["forced"] for each in receiver.received] == [True]


def test_a_lease_holds(hub: FakeGitHub, git: Git) -> None:
    seen = git.commit("b.txt", "b")
    git.ok("push", "origin", "HEAD:refs/heads/b")
    hub.as_user("mia").push("acme/one", "b", {"mia.txt": "mine"})
    git.ok("commit", "--amend", "-m", "Amended")
    refused = git.run("push", f"--force-with-lease=refs/heads/b:{seen}", "origin", "HEAD:refs/heads/b")
    assert refused.returncode != 0
    assert "stale info" in refused.stderr


def test_a_deleted_branch_closes_its_pull_request(ask: Ask, git: Git) -> None:
    git.commit("b.txt", "b")
    git.ok("push", "origin", "HEAD:refs/heads/b")
    number = ask("POST", f"{ONE}/pulls", {"title": "B", "head": "b", "base": "main"}).json()["number"]
    git.ok("push", "origin", ":refs/heads/b")
    assert ask("GET", f"{ONE}/pulls/{number}").json()["state"] == "closed"


def test_large_packs_come_in_chunks(hub: FakeGitHub, git: Git) -> None:
    (git.folder / "large.bin").write_bytes(os.urandom(3_000_000))
    sha = git.commit("b.txt", "b")
    git.ok("push", "origin", "HEAD:refs/heads/b")
    assert sha in git.ok("ls-remote", "origin", "refs/heads/b")


def test_a_token_reaches_its_own_repository_alone(hub: FakeGitHub, installation: Installation, git: Git) -> None:
    narrow = hub.installation_token(installation, repositories=["one"], permissions={"contents": "read"})
    git.ok("ls-remote", git.url(token=narrow))
    assert "not found" in git.run("ls-remote", git.url("acme/two", token=narrow)).stderr
    git.commit("b.txt", "b")
    refused = git.run("push", git.url(token=narrow), "HEAD:refs/heads/b")
    assert refused.returncode != 0
    assert "403" in refused.stderr


def test_nobody_and_a_made_up_token_are_refused(hub: FakeGitHub, git: Git) -> None:
    assert git.run("ls-remote", f"{hub.url}/acme/one.git").returncode != 0
    assert git.run("ls-remote", git.url(token="ghs_made_up")).returncode != 0


def test_a_protected_branch_and_a_workflow_are_refused(hub: FakeGitHub, installation: Installation, git: Git) -> None:
    hub.protect("acme/one", "release/*")
    git.commit("b.txt", "b")
    refused = git.run("push", "origin", "HEAD:refs/heads/release/1")
    assert "Protected branch update failed" in refused.stderr
    git.commit(".github/workflows/ci.yml", "on: push\n")
    narrow = hub.installation_token(installation, permissions={"contents": "write"})
    assert "workflows" in git.run("push", git.url(token=narrow), "HEAD:refs/heads/b").stderr
    git.ok("push", "origin", "HEAD:refs/heads/b")


def test_a_renamed_repository_is_found_and_an_archived_one_read_only(hub: FakeGitHub, git: Git) -> None:
    hub.as_user("ada").rename("acme/one", "uno")
    git.ok("fetch", "origin")
    hub.as_user("ada").archive("acme/uno")
    git.ok("fetch", "origin")
    git.commit("b.txt", "b")
    assert "403" in git.run("push", "origin", "HEAD:refs/heads/b").stderr


def test_git_meets_faults_too(hub: FakeGitHub, git: Git) -> None:
    hub.fail(path_pattern=r"git-receive-pack$", status=502, after_write=True)
    sha = git.commit("b.txt", "b")
    assert git.run("push", "origin", "HEAD:refs/heads/b").returncode != 0
    assert sha in git.ok("ls-remote", "origin", "refs/heads/b")
