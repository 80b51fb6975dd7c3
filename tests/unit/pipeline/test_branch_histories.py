"""Any interleaving of people's pushes, rebases, takeovers, new revisions and deaths: nothing that people have pushed is lost.

A real bare repository, the real pipeline and store; hypothesis draws the order of things.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pygit2
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from bot.campaigns import control, refreshing
from bot.campaigns.refreshing import refresh_conflicting
from bot.domain.repositories import Repository
from bot.domain.states import RunState
from bot.errors import HostError, UsageError
from bot.hosts.local_git import merge_branch
from bot.pipeline.housekeeping import discard_leftovers
from bot.store import publications, runs
from bot.store.publications import Change, Publication
from bot.store.runs import Run
from bot.tracking.leases import reclaim_expired
from bot.tracking.pull_requests import refresh_publications
from tests.fakes import repositories
from tests.fakes.blade import Blade, BladedDatabase, Killed, WatchedHost
from tests.fakes.world import World

TOOL = Repository("acme", "tool", "main", None)
CHANGE = Change("acme", "notes", "tool", "main")
BRANCH = "whimbrel/notes"
NewWorld = Callable[..., World]

files = st.sampled_from(["NOTE.md", "README.md", "mine"])
words = st.sampled_from([b"brave\n", b"bold\n", b"calm\n"])
notes = st.sampled_from(["Be kind.", "Be brief.", "Be right."])


class Histories(RuleBasedStateMachine):
    """`on_the_branch` and `on_the_base` are people's commits that nobody but a person may take out of the repository: what they
    take back on the base may go from under the bot's commit too."""

    new_world: NewWorld

    @initialize()
    def begin(self) -> None:
        self.world = self.new_world(BladedDatabase)
        self.bare: Path = self.world.repository("tool")
        self.git = repositories.opened(self.bare)
        self.on_the_branch: set[str] = set()
        self.on_the_base: set[str] = set()
        self.world.start()
        self.world.work()

    # --- people ---

    @rule(file=files, content=words)
    def push_to_the_branch(self, file: str, content: bytes) -> None:
        if self.head(BRANCH):
            self.on_the_branch.add(repositories.commit(self.git, {file: content}, branch=BRANCH))

    @rule(file=files, content=words)
    def push_to_the_base(self, file: str, content: bytes) -> None:
        self.on_the_base.add(repositories.commit(self.git, {file: content}))

    @rule(content=words)
    def make_the_branch_anew(self, content: bytes) -> None:
        """A force push of a history that has nothing of the bot's."""
        with self.deleting():
            if self.head(BRANCH):
                self.git.references.delete(f"refs/heads/{BRANCH}")
            self.on_the_branch.add(repositories.commit(self.git, {"NOTE.md": content}, branch=BRANCH, start="main"))

    @rule(branch=st.sampled_from([BRANCH, "main"]))
    def take_the_last_commit_back(self, branch: str) -> None:
        """Another force push."""
        head = self.head(branch)
        parents = self.git[head].peel(pygit2.Commit).parents if head else []
        if parents:
            with self.deleting():
                self.git.references.create(f"refs/heads/{branch}", parents[0].id, force=True)

    @rule()
    def press_the_button(self) -> None:
        """The host's own, which brings the base into the branch."""
        if self.head(BRANCH):
            try:
                at = datetime(2026, 1, 1, tzinfo=UTC)
                made = merge_branch(self.git, base=BRANCH, branch="main", message="Update", by="mia", at=at)
            except HostError:
                return  # it conflicts
            if len(self.git[made].peel(pygit2.Commit).parents) == 2:
                self.on_the_branch.add(made)

    @rule()
    def merge(self) -> None:
        for opened in self.world.open_pull_requests("tool"):
            try:
                self.world.local.merge(TOOL, opened.number, by="bob")
            except HostError:
                return

    # --- the bot, and who directs it ---

    @rule(note=notes)
    def start(self, note: str) -> None:
        self.world.clock.advance(1)
        self.world.start(note)

    @rule()
    def work(self) -> None:
        self.world.work()

    @rule()
    def rebase(self) -> None:
        self.direct(lambda tx, publication, run: control.rebase_alone(tx, self.world.services, run, actor="mia"))

    @rule()
    def take_over(self) -> None:
        head = self.head(BRANCH)
        self.direct(
            lambda tx, publication, run: refreshing.take_over(
                tx, self.world.services, publication, run, head or "", actor="mia"
            )
        )

    @rule()
    def refresh(self) -> None:
        refresh_publications(self.world.services, self.world.local, "acme")
        refresh_conflicting(self.world.services, [self.world.org])

    @rule(at=st.integers(1, 40))
    def die(self, at: int) -> None:
        blade = Blade(at)
        self.attempt_with(blade.pass_under, blade)

    @rule(moment=st.sampled_from(["before pull_requests", "after remote", "before open_pull_request"]), content=words)
    def push_meanwhile(self, moment: str, content: bytes) -> None:
        """A person pushes while an attempt is at work: it has seen another head."""
        waiting = [moment]

        def watch(now: str) -> None:
            if waiting and now == waiting[0]:
                waiting.clear()
                self.push_to_the_branch("mine", content)

        self.attempt_with(watch, None)

    # --- what holds ---

    @invariant()
    def nothing_of_peoples_is_lost(self) -> None:
        assert [each for each in self.on_the_branch if not self.reachable(each, BRANCH, "main")] == []
        assert [each for each in self.on_the_base if not self.reachable(each, "main")] == []

    @invariant()
    @precondition(lambda self: hasattr(self, "world"))
    def at_most_one_is_open(self) -> None:
        assert len(self.world.open_pull_requests("tool")) <= 1

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.settle()
        self.nothing_of_peoples_is_lost()
        publication = self.world.publication("tool")
        opened = self.world.open_pull_requests("tool")
        assert publication is not None
        assert (publication.state == "open") == bool(opened)
        assert [each.number for each in opened] in ([], [publication.number])
        self.world.require_tidy()

    # --- how ---

    def head(self, branch: str) -> str | None:
        return repositories.head(self.git, branch)

    def reachable(self, commit: str, *branches: str) -> bool:
        heads = [head for head in map(self.head, branches) if head]
        return any(head == commit or self.git.descendant_of(head, commit) for head in heads)

    def deleting(self) -> Deletion:
        return Deletion(self)

    def direct(self, act: Callable[[object, Publication, Run], None]) -> None:
        """What a person says on the pull request, where it is open."""
        if not self.world.open_pull_requests("tool"):
            return
        try:
            with self.world.database.transaction() as tx:
                publication, run = publications.find(tx, CHANGE), runs.newest(tx, CHANGE)
                if publication is not None and run is not None:
                    act(tx, publication, run)
        except UsageError:
            return  # it is at work

    def attempt_with(self, watch: Callable[[str], None], blade: Blade | None) -> None:
        taken = self.world.dispatch()
        assert isinstance(self.world.database, BladedDatabase)
        self.world.host, self.world.database.blade = WatchedHost(self.world.local, watch), blade
        try:
            for item in taken:
                self.world.attempt(item)
        except Killed:
            self.nothing_of_peoples_is_lost()
        self.world.host, self.world.database.blade = self.world.local, None

    def settle(self) -> None:
        """What schedulers and workers come to, given time."""
        for _ in range(20):
            with self.world.database.reading() as tx:
                waiting = runs.dispatched(tx)
            for item in waiting:
                self.world.attempt(item)
            self.world.clock.advance(1000)
            reclaim_expired(self.world.services)
            self.world.work()
            discard_leftovers(self.world.services)
            refresh_publications(self.world.services, self.world.local, "acme")
            with self.world.database.reading() as tx:
                run = runs.newest(tx, CHANGE)
            if run is None or run.state is RunState.ENDED:
                return
        raise AssertionError("a run goes on for ever")


class Deletion:
    """What a person's force push takes out of the repository is no longer alive."""

    def __init__(self, machine: Histories):
        self.machine = machine

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        machine = self.machine
        machine.on_the_branch = {each for each in machine.on_the_branch if machine.reachable(each, BRANCH, "main")}
        machine.on_the_base = {each for each in machine.on_the_base if machine.reachable(each, "main")}


def histories(new_world: NewWorld, examples: int, steps: int) -> None:
    made = type("Machine", (Histories,), {"new_world": staticmethod(new_world)})
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much]
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        made, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=checks)
    )


def test_no_commit_of_a_person_is_lost(new_world: NewWorld) -> None:
    histories(new_world, examples=6, steps=10)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_commit_of_a_person_is_lost_in_many_long_histories(new_world: NewWorld) -> None:
    histories(new_world, examples=100, steps=30)
