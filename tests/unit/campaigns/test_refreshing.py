"""Pull requests follow their base: by themselves where they conflict, else when somebody asks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.campaigns import control
from bot.campaigns.refreshing import REFRESH_EVERY, rebase_runs, refresh_conflicting, take_over
from bot.domain.pull_requests import PullRequestText
from bot.domain.repositories import Repository
from bot.domain.states import RunState
from bot.errors import UsageError
from bot.ports import StepContext
from bot.store import adoptions, audit, runs
from bot.store.ledger import Accounts
from bot.store.publications import Change
from bot.tracking.pull_requests import refresh_publications
from tests.fakes import repositories
from tests.fakes.world import World

BRANCH = "whimbrel/notes"
TOOL = Repository("acme", "tool", "main", None)
TEN_LINES = "".join(f"line {number}\n" for number in range(10))


def track(world: World) -> None:
    refresh_publications(world.services, world.local, "acme")


def refresh(world: World) -> int:
    track(world)
    return refresh_conflicting(world.services, [world.org])


def move_base(bare: Path, content: bytes, path: str = "NOTE.md") -> str:
    return repositories.commit(repositories.opened(bare), {path: content})


def rewrite_branch(bare: Path) -> str:
    """A person makes the branch anew: nothing of the bot's is in it."""
    repositories.opened(bare).references.delete(f"refs/heads/{BRANCH}")
    return repositories.commit(repositories.opened(bare), {"NOTE.md": b"mine\n"}, branch=BRANCH, start="main")


@pytest.fixture
def opened(world: World) -> tuple[str, Path]:
    """A campaign, and a repository where it has a pull request open."""
    bare = world.repository("tool")
    campaign = world.start()
    world.work()
    return campaign, bare


class TestByItself:
    def test_a_conflict_is_made_good_on_the_new_base(self, world: World, opened: tuple[str, Path]) -> None:
        campaign, bare = opened
        base = move_base(bare, b"theirs\n")
        assert refresh(world) == 1
        world.work()
        track(world)
        [pull_request] = world.open_pull_requests("tool")
        assert pull_request.conflicts is False
        assert str(repositories.opened(bare)[pull_request.head].parents[0].id) == base  # type: ignore[attr-defined]
        assert world.ended(world.run(campaign)).startswith("published: ")
        assert refresh(world) == 0

    def test_a_base_that_moves_without_a_conflict_is_left_alone(self, world: World, opened: tuple[str, Path]) -> None:
        _, bare = opened
        move_base(bare, b"more\n", "README.md")
        assert refresh(world) == 0

    def test_it_never_loops(self, world: World, opened: tuple[str, Path]) -> None:
        """Once a head that was refreshed in vain, and once an hour however often the base moves."""
        _, bare = opened
        mine = rewrite_branch(bare)
        move_base(bare, b"theirs\n")
        assert refresh(world) == 1
        world.work()
        assert repositories.head(bare, BRANCH) == mine
        world.clock.advance(REFRESH_EVERY / timedelta(seconds=1))
        assert refresh(world) == 0
        repositories.commit(repositories.opened(bare), {"x": b"x\n"}, branch=BRANCH)
        assert refresh(world) == 1
        world.work()
        repositories.commit(repositories.opened(bare), {"y": b"y\n"}, branch=BRANCH)
        assert refresh(world) == 0
        world.clock.advance(REFRESH_EVERY / timedelta(seconds=1))
        assert refresh(world) == 1

    def test_what_is_at_work_or_held_is_not_disturbed(self, world: World, opened: tuple[str, Path]) -> None:
        campaign, bare = opened
        move_base(bare, b"theirs\n")
        with world.database.transaction() as tx:
            control.rebase_alone(tx, world.services, world.run(campaign), actor="mia")
        assert refresh(world) == 0
        control.pause(world.services, campaign, actor="mia")
        world.work()
        assert refresh(world) == 0
        control.resume(world.services, campaign, actor="mia")
        world.work()
        assert world.run(campaign).state is RunState.ENDED

    def test_two_schedulers_begin_it_once(self, world: World, opened: tuple[str, Path]) -> None:
        _, bare = opened
        move_base(bare, b"theirs\n")
        track(world)
        assert [refresh_conflicting(world.services, [world.org]) for _ in range(2)] == [1, 0]


def events_of(world: World, action: str) -> list[dict[str, Any]]:
    with world.database.reading() as tx:
        return [event for event in audit.events(tx, "acme") if event["action"] == action]


class Session:
    """A model that writes a line, and is paid for it."""

    def __init__(self, content: Callable[[str], str]):
        self.asked, self._content = 0, content

    def __call__(self, _: Accounts, context: StepContext) -> None:
        self.asked += 1
        file = context.workspace.tree / "lines"
        file.write_text(self._content(file.read_text()))


class TestWhatAModelMade:
    @pytest.fixture
    def session(self, world: World) -> Session:
        made = Session(lambda text: text.replace("line 5\n", "line 5, bettered\n"))
        world.acts["better it"] = made
        return made

    @pytest.fixture
    def bare(self, world: World, session: Session) -> Path:
        bare = world.repository("tool", {"lines": TEN_LINES.encode()})
        world.start(steps=[{"prompt": "better it"}])
        world.work()
        assert session.asked == 1
        return bare

    def rebase(self, world: World) -> str:
        with world.database.reading() as tx:
            publication = world.publication("tool")
            assert publication is not None
            run = runs.newest(tx, publication.change)
        assert run is not None
        with world.database.transaction() as tx:
            control.rebase_alone(tx, world.services, run, actor="mia")
        world.work()
        return world.ended(run)

    def test_is_brought_over_and_nobody_is_paid_again(self, world: World, session: Session, bare: Path) -> None:
        base = move_base(bare, TEN_LINES.replace("line 0", "line nought").encode(), "lines")
        assert self.rebase(world).startswith("published: ")
        assert session.asked == 1
        wanted = TEN_LINES.replace("line 0", "line nought").replace("line 5", "line 5, bettered").encode()
        assert repositories.files_at(bare, BRANCH)["lines"] == wanted
        [pull_request] = world.open_pull_requests("tool")
        assert str(repositories.opened(bare)[pull_request.head].parents[0].id) == base  # type: ignore[attr-defined]

    def test_is_checked_again(self, world: World, session: Session, bare: Path) -> None:
        trees: list[str] = []

        def check(tree: Path) -> int:
            trees.append((tree / "lines").read_text())
            return int("nought" in trees[-1])

        world.sandbox.answers["check"] = check
        world.clock.advance(1)
        steps: list[object] = [{"prompt": "better it"}]
        world.start("Anew.", steps=steps, checks=[{"run": "check", "required": True}], feedback_rounds=0)
        world.work()
        move_base(bare, TEN_LINES.replace("line 0", "line nought").encode(), "lines")
        assert self.rebase(world).startswith("rejected: a check failed")
        assert (session.asked, len(trees)) == (2, 2)

    def test_is_asked_for_anew_where_it_does_not_apply(self, world: World, session: Session, bare: Path) -> None:
        move_base(bare, TEN_LINES.replace("line 5\n", "line five\n").encode(), "lines")
        assert self.rebase(world).startswith("published: ")
        assert session.asked == 2

    def test_is_asked_for_anew_by_a_retry(self, world: World, session: Session, bare: Path) -> None:
        move_base(bare, b"x\n", "README.md")
        publication = world.publication("tool")
        assert publication is not None
        with world.database.transaction() as tx:
            run = runs.newest(tx, publication.change)
            assert run is not None
            control.retry_alone(tx, world.services, run, actor="mia")
        world.work()
        assert session.asked == 2

    def test_is_not_brought_to_where_the_repository_forbids_it_now(self, world: World, session: Session, bare: Path) -> None:
        move_base(bare, b"exclude_paths: [lines]\n", ".whimbrel.yaml")
        assert self.rebase(world).startswith("rejected: ")
        assert session.asked == 2

    def test_is_nothing_where_the_base_has_it_by_now(self, world: World, session: Session, bare: Path) -> None:
        head = repositories.files_at(bare, BRANCH)
        repositories.commit(repositories.opened(bare), {**head})
        assert self.rebase(world).startswith("no_change: ")
        assert session.asked == 1


class TestAskedFor:
    def test_a_run_is_rebased_and_a_branch_taken_over(self, world: World, opened: tuple[str, Path]) -> None:
        campaign, bare = opened
        theirs = rewrite_branch(bare)
        move_base(bare, b"theirs\n")
        run = world.run(campaign)
        assert rebase_runs(world.services, [run.id], actor="mia", taking_over=False) == 1
        world.work()
        assert world.ended(run).startswith("skipped: the branch")
        assert rebase_runs(world.services, [run.id], actor="mia", taking_over=True) == 1
        world.work()
        assert world.ended(run).startswith("published: ")
        repository = repositories.opened(bare)
        head = repositories.head(bare, BRANCH)
        assert head is not None
        assert repository.descendant_of(head, theirs)
        assert repositories.files_at(bare, BRANCH)["NOTE.md"] == b"# tool\n\nBe kind.\n"
        [event] = events_of(world, "pull_request.taken_over")
        assert (event["actor"], event["details"]["head"]) == ("mia", theirs)
        world.require_tidy()

    def test_what_others_have_opened_may_be_taken_over(self, world: World) -> None:
        bare = world.repository("tool")
        theirs = repositories.commit(repositories.opened(bare), {"NOTE.md": b"mine\n"}, branch="mine", start="main")
        text = PullRequestText("A note", "by hand")
        found = world.local.open_pull_request(TOOL, branch="mine", base="main", text=text)
        change = Change("acme", "notes", "tool", "main")
        with world.database.transaction() as tx:
            adoptions.adopt(tx, change, found, "r1", "mia", world.clock.now())
        assert "is open for it" in (world.plan()[0].entries[0].skip_reason or "")
        adopted = world.publication("tool")
        assert adopted is not None
        with world.database.transaction() as tx:
            take_over(tx, world.services, adopted, None, theirs, actor="mia")
        run = world.run(world.start())
        world.work()
        assert world.ended(run).startswith("published: ")
        [opened] = world.pull_requests("tool", "mine")
        assert (opened.number, world.open_pull_requests("tool")) == (found.number, [])
        repository = repositories.opened(bare)
        assert str(repository[opened.head].parents[0].id) == theirs  # type: ignore[attr-defined]
        assert repositories.files_at(bare, "mine")["NOTE.md"] == b"# tool\n\nBe kind.\n"
        refresh_publications(world.services, world.local, "acme")
        publication = world.publication("tool")
        assert publication is not None
        assert (publication.facts.edited, publication.frozen) == (0, "")

    def test_without_a_pull_request_there_is_nothing_to_rebase(self, world: World) -> None:
        world.repository("tool")
        run = world.run(world.start())
        with pytest.raises(UsageError, match="no pull request that is open"):
            rebase_runs(world.services, [run.id], actor="mia", taking_over=False)
