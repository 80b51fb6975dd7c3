"""A campaign in which repositories are bombs: each run of one has a clear end, and the others never notice."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from bot.domain.policies import Limits
from bot.ports import SandboxCommand
from bot.sandbox.bubblewrap import BubblewrapSandbox
from tests.fakes import repositories
from tests.fakes.bombs import script
from tests.fault.conftest import processes_of
from tests.story.conftest import Campaign, Project

STEPS = [{"run": "if [ -e bomb.sh ]; then bash bomb.sh; fi"}, {"run": "echo 'Be kind.' > NOTE.md"}]
LIMITS = {"memory_mb": 128, "processes": 64, "disk_mb": 16, "timeout_minutes": 2}
HEALTHY = ("a-first", "z-last")
FIGURES = {
    "memory": r"memory: [\d,]+ MB of 128 MB allowed",
    "forks": r"processes: \d+ of 64 allowed.*",
    "disk": r"disk: [\d,]+ MB of 16 MB allowed",
    "files": r"disk: [\d,]+ MB of 16 MB allowed",
    "bottomless": r"disk: folders nested to paths of more than 3,500 bytes, too deep to be counted",
}
HARMLESS = ("daemon", "line")


@dataclass(frozen=True)
class Survived:
    """What came of a campaign, and which processes and folders of it were there when the command had ended."""

    project: Project
    campaign: Campaign
    left: list[psutil.Process]
    folders: list[Path]


def survive(project: Project, *bombs: str, limits: dict[str, Any]) -> Survived:
    """Run a campaign on repositories of which `bombs` are some, and healthy ones come first and last."""
    project.write_campaign("notes", steps=STEPS, limits=limits)
    for name in HEALTHY:
        project.repository(name, {"README.md": b"# Hello\n"})
    for name in bombs:
        project.repository(name, {"bomb.sh": script(name, str(project.folder))})
    campaign = project.run("notes", status=1)
    return Survived(project, campaign, processes_of(project.folder), list((project.home / "attempts").iterdir()))


@pytest.fixture(scope="module")
def survived(new_project: Callable[[], Project]) -> Survived:
    return survive(new_project(), *FIGURES, *HARMLESS, limits=LIMITS)


@pytest.mark.parametrize("bomb", FIGURES)
def test_a_bombs_run_has_failed_with_the_figure(survived: Survived, bomb: str) -> None:
    row = survived.campaign[bomb]
    assert (row["outcome"], row["attempts"], row["pull_request"]) == ("failed", 1, None)
    assert re.fullmatch(FIGURES[bomb], row["reason"])


@pytest.mark.parametrize("repository", [*HEALTHY, *HARMLESS])
def test_the_others_are_published(survived: Survived, repository: str) -> None:
    row = survived.campaign[repository]
    assert (row["outcome"], row["attempts"]) == ("published", 1)
    bare = survived.project.bare(repository)
    assert repositories.files_at(bare, "whimbrel/notes") == {**repositories.files_at(bare), "NOTE.md": b"Be kind.\n"}


def test_nothing_of_a_bomb_is_left(survived: Survived) -> None:
    assert survived.left == []
    assert survived.folders == []


def test_a_sandbox_that_is_alive_would_have_been_seen(survived: Survived, tmp_path: Path) -> None:
    """Else that nothing was found would mean nothing."""
    seen: list[list[psutil.Process]] = []
    command = SandboxCommand(["bash", "-c", "echo ready; sleep 0.2; :"], tmp_path, tmp_path, Limits(), timeout_seconds=60)
    BubblewrapSandbox().run(command, on_line=lambda _: seen.append(processes_of(tmp_path)))
    assert seen[0] != []


@pytest.mark.slow
def test_an_endless_sleep_is_ended_by_the_wall_clock(project: Project) -> None:
    survived = survive(project, "sleep", limits=LIMITS | {"timeout_minutes": 0.1})
    assert survived.campaign.outcomes == {**dict.fromkeys(HEALTHY, "published"), "sleep": "failed"}
    assert re.fullmatch(r"wall clock: [\d.]+ s of [\d.]+ s allowed", survived.campaign["sleep"]["reason"])
    assert survived.left == []
    assert survived.folders == []
