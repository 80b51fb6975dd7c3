"""A branch through its life, by the real command: people push, the policy changes, the base moves, the change is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes import repositories
from tests.story.conftest import Project
from tests.story.test_cli import PATIENCE_SECONDS, process

pytestmark = pytest.mark.slow

BRANCH = "whimbrel/notes"
TOOL = ("tool", "1", "--org", "acme")


def write(project: Project, words: str) -> None:
    project.write_campaign("notes", on={"comment": True}, steps=[{"run": f"echo '{words}' > NOTES"}])


def on_branch(project: Project) -> dict[str, Any]:
    return repositories.files_at(project.bare("tool"), BRANCH)


def has(project: Project, commit: str) -> bool:
    head = repositories.head(project.bare("tool"), BRANCH)
    assert head is not None
    return head == commit or repositories.opened(project.bare("tool")).descendant_of(head, commit)


def eventually(project: Project, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail("\n".join(log.read_text() for log in project.folder.glob("*.log")))
        time.sleep(0.2)


def test_peoples_commits_are_kept_until_they_hand_the_branch_over(project: Project) -> None:
    git = project.repository("tool", {"README": b"hello\n"})
    write(project, "first")
    assert project.run("notes").outcomes == {"tool": "published"}

    mine = repositories.commit(git, {"mine": b"work\n"}, branch=BRANCH)
    write(project, "second")
    assert project.run("notes").outcomes == {"tool": "published"}
    assert on_branch(project) == {"README": b"hello\n", "mine": b"work\n", "NOTES": b"second\n"}
    assert has(project, mine)

    theirs = repositories.commit(git, {"NOTES": b"my own\n"}, branch=BRANCH)
    write(project, "third")
    third = project.run("notes")
    skipped = third["tool"]
    assert (skipped["outcome"], "2 commits by people, with which the bot's change conflicts" in skipped["reason"]) == (
        "skipped",
        True,
    )
    (told,) = project.whimbrel("host", "pr", "show", *TOOL, "--json").json["comments"]
    assert "`/whimbrel takeover`" in told["body"]
    assert repositories.head(project.bare("tool"), BRANCH) == theirs

    project.whimbrel("host", "pr", "comment", "tool", "1", "/whimbrel takeover", "--org", "acme")
    with process(project, "scheduler"), process(project, "worker", "-n", "1"):
        eventually(project, lambda: on_branch(project)["NOTES"] == b"third\n")
        assert on_branch(project) == {"README": b"hello\n", "NOTES": b"third\n"}
        assert has(project, mine)
        assert has(project, theirs)

        base = repositories.commit(git, {"NOTES": b"somebody else's\n"})
        eventually(project, lambda: has(project, base))
        eventually(project, lambda: project.campaign(third.status)["tool"]["outcome"] == "published")
    (opened,) = project.pull_requests()
    assert (opened["number"], opened["state"]) == (1, "open")
    assert on_branch(project) == {"README": b"hello\n", "NOTES": b"third\n"}
    project.whimbrel("audit", "verify")

    project.whimbrel("host", "pr", "merge", *TOOL)
    assert project.run("notes").outcomes == {"tool": "no_change"}
    assert project.run("notes")["tool"]["reason"].startswith("unchanged since run ")
    assert project.run("notes", "--anew").outcomes == {"tool": "no_change"}


def test_what_is_done_is_closed_and_what_regressed_is_opened_again(project: Project) -> None:
    git = project.repository("tool", {"README": b"hello\n", "old": b"old\n"})
    project.write_campaign("notes", detect={"run": "test -e old"}, steps=[{"run": "rm -f old; echo new > new"}])
    assert project.run("notes").outcomes == {"tool": "published"}
    repositories.commit(git, {"README": b"hello there\n"})
    assert project.run("notes")["tool"]["reason"] == "already open: #1, and still needed on main"
    repositories.commit(git, {"old": None})
    assert project.run("notes")["tool"]["reason"] == "the change is not needed: `test -e old` says so"
    (closed,) = project.pull_requests()
    assert closed["state"] == "closed"
    assert "needs this no more" in project.whimbrel("host", "pr", "show", *TOOL, "--json").json["comments"][-1]["body"]
    repositories.commit(git, {"old": b"old again\n"})
    assert project.run("notes").outcomes == {"tool": "published"}
    assert [(each["number"], each["state"]) for each in project.pull_requests()] == [(1, "closed"), (2, "open")]
