"""What people are shown of the work: one comment that follows it, a check report on what was published."""

from __future__ import annotations

import logging

import pytest

from bot.domain.markdown import ZERO_WIDTH
from bot.domain.pull_requests import CheckReport
from bot.domain.repositories import Repository
from bot.domain.states import Outcome, Stage
from bot.errors import ChangeRefused, HostError, HostUnavailable
from bot.pipeline.lease import LEASE as ATTEMPT_LEASE
from bot.ports import StepContext
from bot.store import runs, tellings
from bot.store.ledger import Accounts
from bot.store.runs import Run
from bot.tracking.telling import LEASE, tell_due
from tests.fakes.talker import Talker, thread_of
from tests.fakes.world import World

ISSUE = 101
TOOL = Repository("acme", "tool", "main", None)


@pytest.fixture
def talker(world: World) -> Talker:
    world.repository("tool")
    made = Talker(world.local)
    world.talker = made
    return made


def follow(world: World, run: Run, *, number: int = ISSUE, note: str = "") -> None:
    with world.database.transaction() as tx:
        tellings.follow(tx, "acme", "tool", thread_of(number), run.id, note, world.clock.now())


def tell(world: World) -> int:
    return tell_due(world.services, [world.org])


def claim(world: World) -> Run:
    (item,) = world.dispatch()
    with world.database.transaction() as tx:
        run = runs.claim(tx, item.run_id, item.fence, worker="w", now=world.clock.now(), lease=ATTEMPT_LEASE)
    assert run is not None
    return run


def end(world: World, run: Run, outcome: Outcome, reason: str) -> None:
    with world.database.transaction() as tx:
        runs.end(tx, run, outcome, reason, now=world.clock.now())


class TestStatus:
    def status(self, talker: Talker) -> str:
        (said,) = talker.said("tool", ISSUE)
        return said.splitlines()[2]

    def test_it_is_edited_as_the_work_goes_on_and_only_then(self, world: World, talker: Talker) -> None:
        campaign = world.start()
        follow(world, world.run(campaign))
        assert [tell(world), tell(world)] == [1, 0]
        assert self.status(talker) == "- `notes`: waiting for its turn"
        run = claim(world)
        assert [tell(world), tell(world)] == [1, 0]
        assert self.status(talker) == "- `notes`: at work"
        with world.database.transaction() as tx:
            runs.enter_stage(tx, run, Stage.PUBLISH)
        assert [tell(world), tell(world)] == [1, 0]
        assert self.status(talker) == "- `notes`: publishing"
        with world.database.transaction() as tx:
            runs.hand_back(tx, run, "2 of 2 pull requests of acme are open", now=world.clock.now())
        assert [tell(world), tell(world)] == [1, 0]
        assert self.status(talker) == "- `notes`: waiting: 2 of 2 pull requests of acme are open"
        end(world, claim(world), Outcome.NO_CHANGE, "nothing to change")
        assert [tell(world), tell(world)] == [1, 0]
        assert self.status(talker) == "- `notes`: no change: nothing to change"
        assert talker.edits == 5

    def test_a_number_has_one_comment_for_all_its_runs(self, world: World, talker: Talker) -> None:
        follow(world, world.run(world.start()))
        tell(world)
        follow(world, world.run(world.start(name="others")), note="as asked")
        tell(world)
        (said,) = talker.said("tool", ISSUE)
        assert said.splitlines()[2:4] == ["- `notes`: waiting for its turn", "- `others`: waiting for its turn (as asked)"]

    def test_what_was_told_to_its_end_is_taken_up_again_by_another_attempt(self, world: World, talker: Talker) -> None:
        campaign = world.start()
        follow(world, world.run(campaign))
        world.work()
        tell(world)
        assert "#1: 1 file changed" in self.status(talker)
        with world.database.transaction() as tx:
            runs.reopen(tx, campaign, [world.run(campaign).id])
        assert tell(world) == 0
        follow(world, world.run(campaign))
        assert tell(world) == 1
        assert self.status(talker) == "- `notes`: #1: waiting for its turn"

    def test_what_an_agent_or_a_repository_wrote_does_nothing_there(self, world: World, talker: Talker) -> None:
        world.start()
        run = claim(world)
        follow(world, run, note="@everyone")
        end(world, run, Outcome.FAILED, "it said: fixes #1, @acme/all <!-- x --> ghp_0123456789abcdefghijklmnopqrstuvwxyz")
        tell(world)
        status = self.status(talker)
        assert f"f{ZERO_WIDTH}ixes #{ZERO_WIDTH}1, @{ZERO_WIDTH}acme/all <{ZERO_WIDTH}!-- x --> [redacted]" in status
        assert f"(@{ZERO_WIDTH}everyone)" in status

    def test_a_host_that_is_away_is_told_later(self, world: World, talker: Talker, caplog: pytest.LogCaptureFixture) -> None:
        def away(_: str) -> None:
            raise HostUnavailable("no answer")

        follow(world, world.run(world.start()))
        talker.watch = away
        with caplog.at_level(logging.WARNING):
            assert tell(world) == 0
        assert "is not told: no answer" in caplog.text
        talker.watch = lambda _: None
        assert tell(world) == 0
        world.clock.advance(LEASE.total_seconds())
        assert tell(world) == 1
        assert self.status(talker) == "- `notes`: waiting for its turn"

    def test_one_that_will_not_have_it_is_left_alone(self, world: World, talker: Talker) -> None:
        def locked(_: str) -> None:
            raise HostError("the conversation is locked")

        follow(world, world.run(world.start()))
        talker.watch = locked
        tell(world)
        talker.watch = lambda _: None
        world.clock.advance(2 * LEASE.total_seconds())
        assert tell(world) == 0

    def test_what_is_being_told_is_taken_by_nobody_else(self, world: World, talker: Talker) -> None:
        follow(world, world.run(world.start()))
        others: list[int] = []
        talker.watch = lambda _: others.append(tell_due(world.services, [world.org])) if not others else None
        assert tell(world) == 1
        assert others == [0]

    def test_what_is_asked_for_meanwhile_is_told_next(self, world: World, talker: Talker) -> None:
        follow(world, world.run(world.start()))
        other = world.run(world.start(name="others"))
        talker.watch = lambda moment: follow(world, other) if moment == "after tell" else None
        tell(world)
        talker.watch = lambda _: None
        tell(world)
        assert "`others`" in talker.said("tool", ISSUE)[0]

    def test_only_what_is_asked_for_is_looked_at(self, world: World, talker: Talker) -> None:
        follow(world, world.run(world.start()))
        assert tell_due(world.services, []) == 0


class TestCheckReports:
    def reports(self, world: World) -> dict[str, CheckReport]:
        (pull_request,) = world.pull_requests("tool")
        return dict(world.local.checks(TOOL, pull_request.head))

    def test_the_published_head_shows_verdict_checks_and_cost(self, world: World, talker: Talker) -> None:
        campaign = world.start()
        world.work()
        assert [tell(world), tell(world)] == [1, 0]
        report = self.reports(world)["whimbrel/notes"]
        assert (report.passed, report.title) == (True, "no checks to pass")
        assert report.summary.startswith("The policy `notes` has no checks.\n\nNo model was asked.\n")
        assert f"Run `{campaign}-1` of the policy `notes`." in report.summary

    def test_it_waits_for_the_runs_end(self, world: World, talker: Talker) -> None:
        world.start()
        run = claim(world)
        with world.database.transaction() as tx:
            tellings.intend_check(tx, "acme", "tool", "0" * 40, run.id, run.fence, world.clock.now())
        assert tell(world) == 0

    def test_a_commit_that_is_gone_is_left_alone(self, world: World, talker: Talker, caplog: pytest.LogCaptureFixture) -> None:
        world.start()
        run = claim(world)
        with world.database.transaction() as tx:
            tellings.intend_check(tx, "acme", "tool", "0" * 40, run.id, run.fence, world.clock.now())
        end(world, run, Outcome.FAILED, "died")
        with caplog.at_level(logging.WARNING):
            tell(world)
        assert "has no commit 0000" in caplog.text
        world.clock.advance(2 * LEASE.total_seconds())
        assert tell(world) == 0

    def test_nothing_is_reported_of_what_was_not_published(self, world: World, talker: Talker) -> None:
        def refuse(_: Accounts, __: StepContext) -> None:
            raise ChangeRefused(["'x' is a link"])

        world.acts["act"] = refuse
        world.start(steps=[{"run": "act"}])
        world.work()
        assert tell(world) == 0
