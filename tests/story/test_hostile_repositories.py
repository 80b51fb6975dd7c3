"""Repositories that try to get something run, read or published, through the real CLI: nothing acts, nothing leaks."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.demo.scripted_model import Play, ScriptedModel
from tests.fakes import hostile, repositories
from tests.fakes.hostile import ClaudeTrap, Trap
from tests.fakes.repositories import Content, Files
from tests.story.attempts import bash, playing
from tests.story.conftest import Campaign, Project

Serve = Callable[[Play], ScriptedModel]
SECRET = "the-operators-own-word"
NOTE = {"NOTE.md": b"Be kind.\n"}
BRANCH = "whimbrel/notes"
NOWHERE = Path("/nowhere")
TRAPS = hostile.traps(NOWHERE, NOWHERE)
REFUSED = [name for name, trap in TRAPS.items() if trap.refused]
PUBLISHED = [name for name, trap in TRAPS.items() if not trap.refused]


@dataclass(frozen=True)
class Trapped:
    project: Project
    traps: dict[str, Trap]
    campaign: Campaign
    pull_requests: dict[str, dict[str, Any]]

    def published(self, name: str) -> dict[str, Content]:
        return repositories.files_at(self.project.bare(name), BRANCH)

    def text(self, name: str) -> str:
        """The pull request's title and body, as the host has them."""
        text = self.pull_requests[name]["text"]
        return f"{text['title']}\n{text['body']}"


@pytest.fixture(scope="module")
def trapped(new_project: Callable[[], Project]) -> Trapped:
    project = new_project()
    secret = project.folder / "secrets"
    secret.write_text(SECRET)
    traps = hostile.traps(canary(project), secret)
    project.write_org(ceilings={"pull_requests_per_hour": 100})
    project.write_campaign("notes", steps=[{"run": "bash trap.sh"}, {"run": "echo 'Be kind.' > NOTE.md"}])
    for name, trap in traps.items():
        made = project.repository(name, {**trap.files, "trap.sh": f"{trap.script}\n".encode()})
        if ".gitmodules" in trap.files:
            hostile.add_submodule(made)
        hostile.plant_hooks(project.bare(name), canary(project))
    campaign = project.run("notes")
    return Trapped(project, traps, campaign, {pull["repository"]: pull for pull in project.pull_requests()})


def canary(project: Project) -> Path:
    return project.folder / "CANARY"


@pytest.mark.parametrize("name", REFUSED)
def test_what_must_not_be_published_is_refused_with_its_reason(trapped: Trapped, name: str) -> None:
    row = trapped.campaign[name]
    assert (row["outcome"], row["pull_request"]) == ("rejected", None)
    assert trapped.traps[name].refused in row["reason"]
    assert repositories.head(trapped.project.bare(name), BRANCH) is None


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_published_is_the_change_alone_byte_for_byte(trapped: Trapped, name: str) -> None:
    assert trapped.campaign[name]["outcome"] == "published", trapped.campaign[name]["reason"]
    base: Files = repositories.files_at(trapped.project.bare(name))
    assert trapped.published(name) == {**base, **trapped.traps[name].changed, **NOTE}


def test_nothing_that_was_planted_ran_on_the_host(trapped: Trapped) -> None:
    assert not canary(trapped.project).exists()


@pytest.mark.parametrize(
    ("name", "folder"),
    [("nested-repository", "deep/er"), ("repository-at-the-root", "."), ("git-file", "."), ("git-file-below", "sub")],
)
def test_a_git_that_trusts_the_tree_would_have_run_it(tmp_path: Path, name: str, folder: str) -> None:
    """Else its silence would mean nothing."""
    planted = tmp_path / "CANARY"
    (tmp_path / "tree").mkdir()
    script = f"{hostile.traps(planted, NOWHERE)[name].script}\ngit -C {folder} status || true\n"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["bash", "-c", script], cwd=tmp_path / "tree", env=environment, check=True, capture_output=True)
    assert planted.exists()


def test_the_operators_file_is_in_nothing_that_was_kept_or_published(trapped: Trapped) -> None:
    assert holding(trapped.project, SECRET) == ["secrets"]


def test_a_hostile_name_is_mere_text_where_people_read_it(trapped: Trapped) -> None:
    assert re.search(r"<img|@alice|closes #1", trapped.text("markdown")) is None
    assert "alice" in trapped.text("markdown")
    shown = "".join(trapped.project.whimbrel(*words).stdout for words in (
        ("runs", trapped.campaign.id),
        *(("show", trapped.campaign[name]["id"]) for name in ("newline", "escape", "names-of-old", "dashes")),
    ))  # fmt: skip
    assert "\x1b" not in shown


def holding(project: Project, words: str) -> list[str]:
    """The files of the project, those of its home and its host among them, that have the words in them."""
    files = (path for path in project.folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(str(path.relative_to(project.folder)) for path in files if words.encode() in path.read_bytes())


# --- what is said to Claude Code ---

ACT = "touch /workspace/CANARY-"
CLAUDE_TRAPS = hostile.claude_traps(ACT, NOWHERE)
MODEL = "claude-sonnet-4-5"
INSIDE = "words-of-the-repositorys-own"


def obey(project: Project, serve: Serve, name: str, traps: list[ClaudeTrap]) -> tuple[dict[str, Any], ScriptedModel]:
    """One run of a Claude step on a repository with these traps; its row, and the model that it asked."""
    model = serve(playing(bash("env; echo 'Be kind.' > NOTE.md")))
    project.use(model)
    (project.folder / "secrets").write_text(SECRET)
    files = {path: text.encode() for path, text in hostile.with_settings(traps).items()}
    files["CLAUDE.md"] = files.get("CLAUDE.md", b"") + b"@./notes/own.md\n"
    project.repository(name, {**files, "notes/own.md": INSIDE.encode()})
    project.write_campaign("notes", steps=[{"prompt": "Begin.", "model": MODEL}])
    return project.run("notes")[name], model


def require_deaf(project: Project, row: dict[str, Any], model: ScriptedModel) -> None:
    """Nothing of the repository acted; it was read as guidance, and its own file was imported."""
    assert row["outcome"] == "published", row["reason"]
    bare = project.bare(row["target"])
    assert repositories.files_at(bare, BRANCH) == {**repositories.files_at(bare), **NOTE}
    conversations = [billed.conversation for billed in model.bill]
    read = "".join(each.context + each.system + "".join(result.text for result in each.results) for each in conversations)
    assert INSIDE in read
    assert "PLANTED" not in read
    assert SECRET not in read
    assert {billed.model for billed in model.bill} == {MODEL}
    assert conversations[0].tools == {"Bash", "Edit", "Read", "Write", "Glob", "Grep"}
    assert holding(project, SECRET) == ["secrets"]


def test_all_that_a_repository_says_to_claude_code_is_guidance_at_most(project: Project, serve: Serve) -> None:
    traps = hostile.claude_traps(ACT, project.folder / "secrets")
    row, model = obey(project, serve, "all", list(traps.values()))
    require_deaf(project, row, model)


@pytest.mark.slow
@pytest.mark.parametrize("name", CLAUDE_TRAPS)
def test_each_alone_is_guidance_at_most(project: Project, serve: Serve, name: str) -> None:
    trap = hostile.claude_traps(ACT, project.folder / "secrets")[name]
    row, model = obey(project, serve, name, [trap])
    require_deaf(project, row, model)
