"""`detect:` tells whether a base still needs the change: what is done is closed, what has regressed is taken up again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bot.campaigns.refreshing import close_done
from bot.domain.policies import CampaignPolicy
from bot.domain.pull_requests import PullRequestState
from bot.domain.repositories import Repository
from bot.store import audit
from bot.store.campaigns import Plan
from bot.tracking.pull_requests import refresh, refresh_publications
from tests.fakes import repositories
from tests.fakes.world import World

TOOL = Repository("acme", "tool", "main", None)
BRANCH = "whimbrel/notes"
BY_FILES: dict[str, Any] = {"detect": {"files": {"exist": ["setup.py"]}}}
BY_COMMAND: dict[str, Any] = {"detect": {"run": "test -e setup.py"}}


def skips(plan: Plan) -> dict[str, str | None]:
    return {entry.target.repository: entry.skip_reason for entry in plan.entries}


def rescan(world: World, **policy: Any) -> str:
    """What a schedule does: plan, activate, work, and close what is done. How the first run ended."""
    world.clock.advance(1)
    campaign = world.start(**policy)
    world.work()
    refresh_publications(world.services, world.local, "acme")
    close_done(world.services, [world.org])
    return world.ended(world.run(campaign)) if world.run(campaign).fence else ""


def states(world: World) -> list[PullRequestState]:
    return [each.state for each in world.pull_requests("tool")]


def move_base(bare: Path, files: repositories.Files) -> None:
    repositories.commit(repositories.opened(bare), files)


@pytest.fixture
def bare(world: World) -> Path:
    asked: list[str] = []
    world.sandbox.answers["test -e setup.py"] = lambda tree: asked.append("") or int(not (tree / "setup.py").exists())
    return world.repository("tool", {"setup.py": b"setup()\n"})


OPEN, CLOSED = PullRequestState.OPEN, PullRequestState.CLOSED


EITHER = pytest.mark.parametrize("detect", [BY_FILES, BY_COMMAND], ids=["files", "command"])
BY_FILES_AND_SLOWLY_BY_COMMAND = pytest.mark.parametrize(
    "detect", [pytest.param(BY_FILES, id="files"), pytest.param(BY_COMMAND, id="command", marks=pytest.mark.slow)]
)


class TestARescan:
    @EITHER
    def test_closes_what_is_done_with_words(self, world: World, bare: Path, detect: dict[str, Any]) -> None:
        rescan(world, **detect)
        assert states(world) == [OPEN]
        move_base(bare, {"setup.py": None, "README.md": b"x\n"})
        rescan(world, **detect)
        assert states(world) == [CLOSED]
        [pull_request] = world.pull_requests("tool")
        assert pull_request.comments[-1].body.startswith("`main` needs this no more: ")
        with world.database.reading() as tx:
            closing = [each for each in audit.events(tx, "acme") if each["action"] == "pull_request.closed"]
        assert [each["actor"] for each in closing] == ["whimbrel"]
        rescan(world, **detect)
        assert states(world) == [CLOSED]

    @EITHER
    def test_takes_up_what_has_regressed(self, world: World, bare: Path, detect: dict[str, Any]) -> None:
        rescan(world, **detect)
        move_base(bare, {"setup.py": None, "README.md": b"x\n"})
        rescan(world, **detect)
        move_base(bare, {"setup.py": b"again()\n"})
        rescan(world, **detect)
        assert states(world) == [CLOSED, OPEN]

    @BY_FILES_AND_SLOWLY_BY_COMMAND
    def test_leaves_alone_what_is_still_needed(self, world: World, bare: Path, detect: dict[str, Any]) -> None:
        rescan(world, **detect)
        head = repositories.head(bare, BRANCH)
        move_base(bare, {"README.md": b"x\n"})
        rescan(world, **detect)
        assert states(world) == [OPEN]
        assert repositories.head(bare, BRANCH) == head

    @BY_FILES_AND_SLOWLY_BY_COMMAND
    def test_leaves_to_people_what_they_have_worked_on(self, world: World, bare: Path, detect: dict[str, Any]) -> None:
        rescan(world, **detect)
        theirs = repositories.commit(repositories.opened(bare), {"mine": b"work\n"}, branch=BRANCH)
        refresh_publications(world.services, world.local, "acme")
        move_base(bare, {"setup.py": None, "README.md": b"x\n"})
        for _ in range(2):
            rescan(world, **detect)
        assert states(world) == [OPEN]
        assert repositories.head(bare, BRANCH) == theirs
        [comment] = world.pull_requests("tool")[0].comments
        assert "left open" in comment.body

    @BY_FILES_AND_SLOWLY_BY_COMMAND
    def test_a_person_who_closes_or_reopens_has_the_last_word(self, world: World, bare: Path, detect: dict[str, Any]) -> None:
        rescan(world, **detect)
        move_base(bare, {"setup.py": None, "README.md": b"x\n"})
        rescan(world, **detect)
        world.local.reopen(TOOL, 1)
        publication = world.publication("tool")
        assert publication is not None
        refresh(world.services, world.local, publication)  # a webhook tells of it
        close_done(world.services, [world.org])
        assert states(world) == [OPEN]
        world.local.close(TOOL, 1, by="bob")
        move_base(bare, {"setup.py": b"again()\n"})
        rescan(world, **detect)
        assert states(world) == [CLOSED]


class TestByACommand:
    def test_it_is_asked_once_a_commit_and_by_no_plan(self, world: World, bare: Path) -> None:
        asked: list[Path] = []
        world.sandbox.answers["test -e setup.py"] = lambda tree: asked.append(tree) or 1
        world.plan(**BY_COMMAND)
        assert asked == []
        assert rescan(world, **BY_COMMAND) == "no_change: the change is not needed: `test -e setup.py` says so"
        assert len(asked) == 1
        assert (skips(world.plan(**BY_COMMAND)[0])["tool"] or "").startswith("unchanged since run ")
        rescan(world, **BY_COMMAND)
        assert len(asked) == 1

    def test_an_open_one_is_asked_of_only_where_its_base_has_moved(self, world: World, bare: Path) -> None:
        rescan(world, **BY_COMMAND)
        assert skips(world.plan(**BY_COMMAND)[0]) == {"tool": "already open: #1"}
        move_base(bare, {"README.md": b"x\n"})
        assert rescan(world, **BY_COMMAND) == "skipped: already open: #1, and still needed on main"
        assert skips(world.plan(**BY_COMMAND)[0]) == {"tool": "already open: #1"}

    def test_another_answer_is_a_failure(self, world: World, bare: Path) -> None:
        world.sandbox.answers["test -e setup.py"] = lambda _: 2
        assert "0 says that the change is needed" in rescan(world, **BY_COMMAND)
        assert world.pull_requests("tool") == []

    def test_no_step_is_made_where_the_change_is_not_needed(self, world: World, bare: Path) -> None:
        world.sandbox.answers["test -e setup.py"] = lambda _: 1
        assert rescan(world, steps=[{"run": "never"}], **BY_COMMAND).startswith("no_change: ")


class TestByFiles:
    def test_a_plan_says_what_is_missing(self, world: World) -> None:
        world.repository("tool")
        assert skips(world.plan(**BY_FILES)[0]) == {"tool": "the change is not needed: no setup.py on main"}

    def test_a_plan_alone_closes_nothing(self, world: World, bare: Path) -> None:
        rescan(world, **BY_FILES)
        move_base(bare, {"setup.py": None, "README.md": b"x\n"})
        world.plan(**BY_FILES)
        close_done(world.services, [world.org])
        assert states(world) == [OPEN]

    def test_a_base_that_moved_since_the_plan_is_asked_again(self, world: World, bare: Path) -> None:
        campaign = world.start(**BY_FILES)
        move_base(bare, {"setup.py": None, "README.md": b"x\n"})
        world.work()
        assert world.ended(world.run(campaign)) == "no_change: the change is not needed: no setup.py on main"


def test_what_a_change_without_detect_finds_done_is_closed_too(world: World) -> None:
    bare = world.repository("tool")
    rescan(world)
    move_base(bare, {"NOTE.md": b"# tool\n\nBe brief.\n"})
    rescan(world, note="Be brief.")
    assert states(world) == [CLOSED]


def test_that_a_model_finds_nothing_to_do_closes_nothing(world: World) -> None:
    world.repository("tool")
    world.acts["write"] = lambda _, context: (context.workspace.tree / "x").write_text("x") and None
    rescan(world, steps=[{"prompt": "write"}])
    world.acts["write"] = lambda *_: None
    move_base(world.folder / "host" / "acme" / "tool.git", {"NOTE.md": b"# tool\n\nBe kind.\n"})
    world.clock.advance(1)
    assert rescan(world, steps=[{"prompt": "write"}], description="Another revision").startswith("no_change: ")
    assert states(world) == [OPEN]


@pytest.mark.parametrize("detect", [{}, {"files": {"exist": ["a"]}, "run": "true"}])
def test_there_is_one_way_to_tell(detect: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="either `files:` or `run:`"):
        CampaignPolicy.model_validate({"name": "a", "description": "x", "steps": [{"run": "true"}], "detect": detect})
