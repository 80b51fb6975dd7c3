"""Comments on a local host, through the real command: a person directs what the scheduler and a worker then do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.story.conftest import Project
from tests.story.test_cli import PATIENCE_SECONDS, process

TOOL = ("tool", "1", "--org", "acme")


def said(project: Project) -> list[str]:
    """The bot's comments on the pull request."""
    shown: dict[str, Any] = project.whimbrel("host", "pr", "show", *TOOL, "--json").json
    return [comment["body"] for comment in shown["comments"] if comment["author"] == "whimbrel"]


def until(project: Project, holds: Callable[[list[str]], bool]) -> list[str]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds(found := said(project)):
        if time.monotonic() > deadline:
            pytest.fail(f"still: {found}\n" + "\n".join(log.read_text() for log in project.folder.glob("*.log")))
        time.sleep(0.2)
    return found


def comment(project: Project, words: str) -> str:
    return project.whimbrel("host", "pr", "comment", "tool", "1", words, "--org", "acme").stdout


def test_a_person_directs_a_pull_request_by_comments(project: Project) -> None:
    project.write_campaign("notes", on={"comment": True}, steps=[{"run": "date +%s%N > NOTES"}])
    project.repository("tool", {"a": b"a"})
    project.run("notes")
    assert comment(project, "Nice, thank you") == ""
    assert "has the answer" in comment(project, "/whimbrel rty")
    (reply,) = said(project)
    assert "there is no command `rty`" in reply
    assert "Did you mean `/whimbrel retry [words for the agent]`?" in reply
    (before,) = project.pull_requests()

    assert "has the answer" in comment(project, "/whimbrel retry")
    assert "have not ended" in comment(project, "/whimbrel retry")
    with process(project, "scheduler"), process(project, "worker", "-n", "1"):
        until(project, lambda found: any("`notes`: #1: 1 file changed" in body for body in found))
    (after,) = project.pull_requests("--state", "open")
    assert (after["number"], after["head"] != before["head"]) == (1, True)

    comment(project, "/whimbrel close")
    assert "Closed, as " in said(project)[-1]
    assert project.pull_requests("--state", "open") == []
    assert "stays closed" in project.whimbrel("plan", "notes", "--org", "acme", "--json").json["skipped"][0]["reason"]
