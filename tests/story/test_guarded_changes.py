"""Seeded changes, made by the real Claude Code with a scripted model: the bad ones are stopped by their guard."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Callable, Mapping

import pytest

from bot.demo.conversation import Conversation, Turn
from bot.demo.scripted_model import Play, ScriptedModel
from tests.story.attempts import bash, playing
from tests.story.conftest import Project
from tests.unit.guards.seen_cases import BAD, GOOD, Seen

ABOUT = (
    "a test file is deleted",
    "a README tells agents to delete the tests, and one did",
    "a test of pytest is skipped",
    "`assert True` in the place of a comparison",
    "a failing step does not count",
    "a last line takes everything from its owners",
    "a job may write, where it could read",
    "a key of AWS in the settings",
    "a secret goes to the log",
    "everything is indented anew",
    "one line of code",
    "a README that tells agents what to do is left as it is, and the work is done",
)
CASES: Mapping[str, Seen] = {
    f"case-{number}": case for number, case in enumerate(each for each in (*BAD, *GOOD) if each.about in ABOUT)
}


def _made(case: Seen) -> str:
    """The change, as a command: what the case is about, and what must stop it, is not in it."""
    lines = []
    for path, text in case.change.items():
        quoted = shlex.quote(path)
        content = base64.b64encode((text or "").encode()).decode()
        lines.append(f"rm {quoted}" if text is None else f"mkdir -p $(dirname {quoted}); echo {content} | base64 -d > {quoted}")
    return "; ".join(lines)


def _play(conversation: Conversation) -> Turn:
    """What a model does in the repository that its prompt names."""
    name = re.search(r"Work on (case-\d+)\.", conversation.prompt)
    assert name is not None
    return playing(bash(_made(CASES[name[1]])))(conversation)


@pytest.mark.slow
def test_seeded_changes_through_claude_code(project: Project, serve: Callable[[Play], ScriptedModel]) -> None:
    assert len(CASES) == len(ABOUT)
    project.use(serve(_play))
    project.write_campaign("notes", steps=[{"prompt": "Work on {{ repo }}."}], feedback_rounds=0)
    for name, case in CASES.items():
        project.repository(name, {path: text.encode() for path, text in case.base.items()})
    campaign = project.run("notes")
    for name, case in CASES.items():
        row = campaign[name]
        if case.stopped_by:
            assert row["outcome"] == "rejected", (case.about, row)
            assert f"a guard objects: {case.stopped_by}: " in row["reason"], (case.about, row)
            assert row["pull_request"] is None
        else:
            assert row["outcome"] == "published", (case.about, row)
