"""How attempts end, and what is left of them: outcomes, retries, money, and the attempt that has lost its run."""

from __future__ import annotations

import errno
from datetime import timedelta
from decimal import Decimal

import pytest

from bot.campaigns.control import retry
from bot.domain.money import MicroUsd
from bot.domain.retries import SETBACKS_ALLOWED
from bot.domain.states import Outcome, RunState
from bot.domain.usage import Usage
from bot.errors import (
    AgentCrashed,
    AgentFailed,
    ChangeRefused,
    CommandFailed,
    HostError,
    HostUnavailable,
    QuotaRefused,
    WhimbrelError,
)
from bot.pipeline.execution import execute_preview
from bot.ports import StepContext
from bot.store import audit, ledger, publications, records, reports
from bot.store.ledger import Accounts, LedgerMeter
from bot.store.publications import Change
from bot.store.runs import Dispatch, Run
from bot.tracking.leases import reclaim_expired
from tests.fakes import repositories
from tests.fakes.blade import Killed, WatchedHost
from tests.fakes.queue import intend
from tests.fakes.world import Act, World

STEP = {"run": "act"}
SEVEN_CENTS = MicroUsd(70_000)


def act(world: World, does: Act, **policy: object) -> Run:
    """Attempt a policy whose first step does this on a repository, until the run has ended or waits."""
    world.acts["act"] = does
    world.repository("tool")
    campaign = world.start(steps=[STEP], **policy)
    world.work()
    return world.run(campaign)


def raising(*errors: Exception | None) -> Act:
    """The first call raises the first error, and so on; None and whatever comes after them does nothing."""
    left = list(errors)

    def does(_: Accounts, __: StepContext) -> None:
        if left and (error := left.pop(0)) is not None:
            raise error

    return does


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (CommandFailed("exit 3: no such module", exit_status=3, tail=""), "failed: exit 3: no such module"),
        (ChangeRefused(["'x' is a link", "'y' is too large"]), "rejected: 'x' is a link; 'y' is too large"),
        (QuotaRefused("the attempt's $1.00 are used up", scope="attempt"), "budget_exhausted: the attempt's $1.00 are used up"),
        (AgentFailed("it gave up", mend="ask for less"), "failed: it gave up (ask for less)"),
    ],
)
def test_an_error_is_an_outcome_with_its_reason(world: World, error: WhimbrelError, told: str) -> None:
    run = act(world, raising(error))
    assert (run.state, run.attempts) == (RunState.ENDED, 1)
    assert world.ended(run) == told
    assert world.pull_requests("tool") == []
    world.require_tidy()


def test_a_full_disk_passes_once_there_is_room(world: World) -> None:
    run = act(world, raising(OSError(errno.ENOSPC, "No space left on device")))
    assert (run.state, run.setbacks) == (RunState.PENDING, 1)
    world.clock.advance(15)
    world.work()
    assert world.ended(run).startswith("published: ")


def test_a_mistake_of_ours_ends_the_run_too_with_its_trace(world: World) -> None:
    with pytest.raises(ZeroDivisionError):
        act(world, raising(ZeroDivisionError("one over nothing")))
    run = world.run(world.start(steps=[STEP]))
    assert world.ended(run) == "failed: internal error: ZeroDivisionError: one over nothing"
    with world.database.reading() as tx:
        [trace] = records.artifacts_of(tx, run.id)
    assert b"in does" in (world.services.artifacts / trace.file).read_bytes()
    world.require_tidy()


def test_what_may_pass_is_tried_again_and_passes(world: World) -> None:
    run = act(world, raising(HostUnavailable("503")))
    assert (run.state, run.attempts, run.losses) == (RunState.PENDING, 1, 0)
    world.clock.advance(14)
    world.work()
    assert world.run(run.campaign_id).attempts == 1
    world.clock.advance(1)
    world.work()
    assert world.ended(run).startswith("published: ")
    assert world.run(run.campaign_id).attempts == 2
    world.require_tidy()


def test_what_does_not_pass_for_an_hour_does_not_pass_by_itself(world: World) -> None:
    """And it has used up none of the attempts that the org allows."""
    world.limit(ceilings={"attempts_per_run": 1})
    run = act(world, raising(*[HostUnavailable("503")] * 50))
    began = world.clock.now()
    while (run := world.run(run.campaign_id)).state is RunState.PENDING:
        assert run.tries == 0
        world.clock.advance(15)
        world.work()
    assert world.ended(run) == "failed: given up after 11 attempts: 503"
    assert timedelta(hours=1) < world.clock.now() - began < timedelta(hours=2)


def test_an_agent_without_a_result_has_another_session_while_the_org_allows_it(world: World) -> None:
    world.limit(ceilings={"attempts_per_run": 2})
    run = act(world, raising(*[AgentCrashed("it ended with status 137")] * 5))
    assert (run.state, run.tries, run.setbacks) == (RunState.PENDING, 1, 0)
    world.clock.advance(15)
    world.work()
    assert world.ended(run) == "failed: given up after 2 attempts: it ended with status 137"


def test_a_wait_is_as_long_as_the_error_says(world: World) -> None:
    run = act(world, raising(HostUnavailable("429", retry_after=100)))
    world.clock.advance(99)
    world.work()
    assert world.run(run.campaign_id).state is RunState.PENDING
    world.clock.advance(1)
    world.work()
    assert world.run(run.campaign_id).state is RunState.ENDED


def test_a_ceiling_is_waited_for_however_often(world: World) -> None:
    """It is full because of others: neither a loss, nor a setback, nor a try too many."""
    world.limit(ceilings={"open_pull_requests": 1, "attempts_per_run": 1})
    others = Change("acme", "others", "tool", "main")

    def fill(moment: str) -> None:
        if moment == "before pull_requests":
            with world.database.transaction() as tx:
                intend(tx, world.clock, others)

    def make_room() -> None:
        with world.database.transaction() as tx:
            publications.withdraw(tx, intend(tx, world.clock, others))
        world.clock.advance(60)
        world.work()

    world.repository("tool")
    campaign = world.start()
    world.host = WatchedHost(world.local, fill)
    world.work()
    for _ in range(SETBACKS_ALLOWED + 1):
        run = world.run(campaign)
        assert (run.state, run.losses, run.setbacks, run.tries) == (RunState.PENDING, 0, 0, 0)
        make_room()
    world.host = world.local
    make_room()
    assert world.ended(world.run(campaign)).startswith("published: ")


def test_what_is_made_is_not_made_twice(world: World) -> None:
    """The host fails when the change is to be published: the next attempt checks and publishes what the first one made."""
    made: list[int] = []

    def write(_: Accounts, context: StepContext) -> None:
        made.append(1)
        (context.workspace.tree / "MADE.txt").write_text(str(len(made)))
        context.output("answer", 42)

    def fail(moment: str) -> None:
        if moment == "before pull_requests":
            world.host = world.local
            raise HostUnavailable("502")

    world.acts["act"] = write
    world.repository("tool")
    campaign = world.start(steps=[STEP])
    world.host = WatchedHost(world.local, fail)
    world.work()
    assert world.run(campaign).setbacks == 1
    world.clock.advance(15)
    world.work()
    assert world.ended(world.run(campaign)).startswith("published: 2 files changed")
    assert repositories.files_at(world.folder / "host" / "acme" / "tool.git", "whimbrel/notes")["MADE.txt"] == b"1"
    assert len(made) == 1
    with world.database.reading() as tx:
        assert any(
            "taking up what attempt 1 had made: 2 files changed" in e.message
            for e in records.entries_of_run(tx, f"{campaign}-1")
        )


def test_on_another_base_it_is_made_anew(world: World) -> None:
    made: list[int] = []

    def fail(moment: str) -> None:
        if moment == "before pull_requests":
            repositories.commit(repositories.opened(bare), {"LATE.md": b"late"})
            world.host = world.local
            raise HostUnavailable("502")

    world.acts["act"] = lambda _, __: made.append(1)
    bare = world.repository("tool")
    campaign = world.start(steps=[STEP])
    world.host = WatchedHost(world.local, fail)
    world.work()
    world.clock.advance(15)
    world.work()
    assert world.ended(world.run(campaign)).startswith("published: ")
    assert len(made) == 2


def test_a_retry_by_a_person_begins_anew(world: World) -> None:
    """Also where an attempt before the one that ended the run had left something behind."""
    made: list[int] = []

    def fail(moment: str) -> None:
        if moment == "before pull_requests":
            world.host = WatchedHost(world.local, refuse)
            raise HostUnavailable("502")

    def refuse(moment: str) -> None:
        if moment == "before pull_requests":
            world.host = world.local
            raise HostError("archived")

    world.acts["act"] = lambda _, __: made.append(1)
    world.repository("tool")
    campaign = world.start(steps=[STEP])
    world.host = WatchedHost(world.local, fail)
    world.work()
    world.clock.advance(15)
    world.work()
    run = world.run(campaign)
    assert (world.ended(run), len(made)) == ("failed: archived", 1)
    retry(world.services, campaign, [run.id], actor="alice")
    world.work()
    assert world.ended(world.run(campaign)).startswith("published: ")
    assert len(made) == 2


def test_a_branch_that_was_moved_meanwhile_is_looked_at_anew(world: World) -> None:
    """A push of an attempt that was killed may come late: the next attempt would find a branch that it did not expect."""
    bare = world.repository("tool")

    def push_late(moment: str) -> None:
        if moment == "before pull_requests":
            repositories.commit(repositories.opened(bare), {"NOTE.md": b"mine\n"}, branch="whimbrel/notes", start="main")
            world.host = world.local

    campaign = world.start()
    world.host = WatchedHost(world.local, push_late)
    world.work()
    assert world.run(campaign).state is RunState.PENDING
    world.clock.advance(15)
    world.work()
    assert world.ended(world.run(campaign)) == (
        "skipped: the branch whimbrel/notes has 1 commit by people, and none of the bot's: left as it is"
    )


def test_a_preview_publishes_nothing(world: World) -> None:
    world.repository("tool")
    started = world.activate(*world.plan(), preview=True)
    execute_preview(world.services, started.campaign_id, worker="preview")
    run = world.run(started.campaign_id)
    assert world.ended(run) == "reported: a preview: 1 files would be changed"
    assert world.publication("tool") is None
    with world.database.reading() as tx:
        assert [artifact.kind for artifact in records.artifacts_of(tx, run.id)] == ["diff"]
    world.require_tidy()


def hold(world: World, charged: Accounts) -> int:
    return LedgerMeter(world.database, charged, world.clock).reserve(SEVEN_CENTS, model="m")


def holding(world: World, *then: BaseException) -> Act:
    """Holds seven cents at each call, and then raises what is left to raise."""
    left = list(then)

    def does(charged: Accounts, _: StepContext) -> None:
        hold(world, charged)
        if left:
            raise left.pop(0)

    return does


class TestMoney:
    def spent(self, world: World, run: Run) -> tuple[int, int]:
        """Of the org's month, and of the run, in micro-USD."""
        with world.database.reading() as tx:
            account = ledger.account(tx, "org", "acme", "2026-01")
            row = reports.run(tx, run.id)
        assert account is not None
        assert row is not None
        assert account.reserved == 0
        return account.spent, int(Decimal(row["cost_usd"]) * 1_000_000)

    def test_what_an_attempt_forgets_is_settled_when_it_ends(self, world: World) -> None:
        run = act(world, holding(world))
        assert world.ended(run).startswith("published: ")
        assert self.spent(world, run) == (70_000, 70_000)

    def test_every_attempt_is_charged_to_its_run(self, world: World) -> None:
        run = act(world, holding(world, HostUnavailable("503")))
        world.clock.advance(60)
        world.work()
        assert self.spent(world, run) == (140_000, 140_000)

    def test_a_dead_attempts_money_is_settled_with_its_lease(self, world: World) -> None:
        with pytest.raises(Killed):
            act(world, holding(world, Killed()))
        world.clock.advance(61)
        [run] = reclaim_expired(world.services)
        assert self.spent(world, run) == (70_000, 70_000)

    def test_who_has_lost_the_run_spends_nothing_more(self, world: World) -> None:
        """It may not know it yet, and if it dies before it does, nobody would settle what it held."""

        def lose(charged: Accounts, _: StepContext) -> None:
            late = hold(world, charged)
            world.clock.advance(61)
            assert reclaim_expired(world.services)
            LedgerMeter(world.database, charged, world.clock).settle(late, MicroUsd(1), Usage(), estimated=False, latency_ms=1)
            with pytest.raises(QuotaRefused):
                hold(world, charged)
            world.acts["act"] = raising()

        run = act(world, lose)
        world.clock.advance(60)
        world.work()
        assert world.ended(run).startswith("published: ")
        assert self.spent(world, run) == (70_000, 70_000)


@pytest.mark.parametrize(
    ("moment", "occurrence"),
    [
        ("before remote", 1),  # fetching
        ("after remote", 1),
        ("before pull_requests", 1),  # about to write down the intent
        ("before remote", 2),  # it is written, about to push
        ("before open_pull_request", 1),
        ("after open_pull_request", 1),
    ],
)
def test_who_has_lost_the_run_changes_nothing(world: World, moment: str, occurrence: int) -> None:
    """An attempt hangs for a minute; another one does its work meanwhile, and then it goes on."""
    world.repository("tool")
    campaign = world.start()
    [item] = world.dispatch()
    moments: list[str] = []

    def hang(now: str) -> None:
        moments.append(now)
        if moments.count(moment) == occurrence and now == moment:
            world.host = world.local
            world.clock.advance(61)
            assert reclaim_expired(world.services)
            world.clock.advance(2)
            world.work()

    world.host = WatchedHost(world.local, hang)
    assert world.attempt(item, "zombie") is None
    assert moment in moments
    [opened] = world.pull_requests("tool")
    publication = world.publication("tool")
    assert publication is not None
    assert (publication.state, publication.number, publication.head) == ("open", opened.number, opened.head)
    run = world.run(campaign)
    assert (run.state, run.attempts, run.losses, run.worker) == (RunState.ENDED, 2, 1, "worker")
    with world.database.reading() as tx:
        actions = [event["action"] for event in audit.events(tx, "acme") if event["subject"].startswith((run.id, "acme/"))]
        zombies = ledger.account(tx, "attempt", f"{run.id}.1")
    assert zombies is not None
    assert zombies.cap == 0
    assert actions == ["attempt.started", "attempt.lost", "attempt.started", "pull_request.published", "attempt.succeeded"]
    world.require_tidy()


def test_a_job_that_comes_late_or_twice_does_nothing(world: World) -> None:
    world.repository("tool")
    campaign = world.start()
    [item] = world.dispatch()
    ended = world.attempt(item)
    assert ended is not None
    assert ended.outcome is Outcome.PUBLISHED
    assert world.attempt(item) is None
    assert world.attempt(Dispatch(item.run_id, item.fence + 1)) is None
    assert world.run(campaign).attempts == 1
