"""The queue in SQL: who is dispatched, and who may write."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from bot.domain.pull_requests import PullRequestState
from bot.domain.states import CampaignState, Outcome, RunState, Stage
from bot.errors import FenceLost, NotFound
from bot.store import campaigns, own_commits, publications, records, runs
from bot.store.database import Database
from bot.store.runs import Dispatch, Run
from tests.fakes.clock import ManualClock
from tests.fakes.queue import LEASE, Queue
from tests.racing import race


@pytest.fixture
def queue(database: Database, clock: ManualClock) -> Queue:
    return Queue(database, clock)


def end(queue: Queue, run: Run, outcome: Outcome = Outcome.NO_CHANGE) -> None:
    with queue.database.transaction() as tx:
        runs.end(tx, run, outcome, "done", now=queue.clock.now())


def hand_back(queue: Queue, run: Run, *, lost: bool = False, wait_seconds: float = 0) -> None:
    now = queue.clock.now()
    with queue.database.transaction() as tx:
        runs.hand_back(
            tx, run, "later", now=now, not_before=now + timedelta(seconds=wait_seconds), count="losses" if lost else None
        )


class TestDispatch:
    def test_the_plans_order_is_kept_within_a_campaign(self, queue: Queue) -> None:
        campaign = queue.campaign("acme", 5)
        assert queue.dispatch(3) == [Dispatch(f"{campaign}-{number}", 1) for number in (1, 2, 3)]
        assert queue.dispatch(5) == [Dispatch(f"{campaign}-{number}", 1) for number in (4, 5)]
        assert queue.dispatch() == []

    def test_what_is_busy_takes_its_slot(self, queue: Queue) -> None:
        queue.campaign("acme", 5)
        [first, _] = queue.begin(2)
        assert queue.dispatch(2) == []
        end(queue, first)
        assert len(queue.dispatch(2)) == 1
        assert queue.dispatch(0) == []

    def test_the_campaigns_of_an_org_take_turns_the_older_one_first(self, queue: Queue) -> None:
        older = queue.campaign("acme", 3, policy="older")
        queue.clock.advance(1)
        newer = queue.campaign("acme", 2, policy="newer")
        assert [item.run_id for item in queue.dispatch(3)] == [f"{older}-1", f"{newer}-1", f"{older}-2"]
        assert [item.run_id for item in queue.dispatch(4)] == [f"{newer}-2"]

    def test_orgs_take_turns_however_many_runs_wait(self, queue: Queue) -> None:
        queue.campaign("large", 40)
        queue.clock.advance(1)
        queue.campaign("small", 3)
        assert Counter(queue.orgs_of(queue.dispatch(6))) == {"large": 3, "small": 3}

    def test_a_slot_that_gets_free_goes_to_the_org_that_has_fewest(self, queue: Queue) -> None:
        """Slots get free one by one: an order by id alone would give each to the same org."""
        queue.campaign("first", 20)
        busy = queue.begin(4)
        queue.campaign("second", 20)
        given = []
        for run in busy[:3]:
            end(queue, run)
            given += queue.orgs_of(queue.dispatch(4))
        assert given == ["second", "second", "first"]

    def test_equals_draw_lots(self, queue: Queue) -> None:
        """With one slot, and an org always as good as the other, none is served alone."""
        for org in ("one", "two", "three"):
            queue.campaign(org, 30)
        served: Counter[str] = Counter()
        while len(served) < 3:
            [run] = queue.begin(1)
            served[run.org] += 1
            end(queue, run)
        assert served.total() <= 60

    def test_concurrency_is_held_for_each_org(self, queue: Queue) -> None:
        queue.campaign("narrow", 5, concurrent=2)
        queue.campaign("wide", 5, concurrent=4)
        taken = queue.dispatch()
        assert Counter(queue.orgs_of(taken)) == {"narrow": 2, "wide": 4}
        for item in taken:
            run = queue.claim(item)
            assert run is not None
            end(queue, run)
        assert Counter(queue.orgs_of(queue.dispatch())) == {"narrow": 2, "wide": 1}

    def test_concurrency_counts_all_campaigns_of_the_org(self, queue: Queue) -> None:
        queue.campaign("acme", 3, policy="a", concurrent=3)
        queue.campaign("acme", 3, policy="b", concurrent=3)
        assert len(queue.dispatch()) == 3
        assert queue.dispatch() == []

    def test_an_attempt_under_way_counts_as_a_pull_request(self, queue: Queue) -> None:
        queue.campaign("acme", 5, open_ceiling=3)
        queue.publish("acme", "r9", policy="another")
        assert len(queue.dispatch()) == 2
        assert queue.dispatch() == []

    def test_an_intent_counts_as_open_and_a_closed_one_does_not(self, queue: Queue) -> None:
        queue.campaign("acme", 5, open_ceiling=1)
        published = queue.publish("acme", "r9", policy="another")
        assert queue.dispatch() == []
        with queue.database.transaction() as tx:
            publications.record_state(tx, published, PullRequestState.CLOSED, queue.clock.now())
        assert len(queue.dispatch()) == 1

    def test_the_hours_pull_requests_are_counted_for_an_hour(self, queue: Queue) -> None:
        queue.campaign("acme", 5, hourly_ceiling=1)
        published = queue.publish("acme", "r9", policy="another")
        with queue.database.transaction() as tx:
            publications.record_state(tx, published, PullRequestState.CLOSED, queue.clock.now())
        queue.clock.advance(3599)
        assert queue.dispatch() == []
        queue.clock.advance(2)
        assert len(queue.dispatch()) == 1

    def test_a_target_whose_pull_request_is_open_passes_the_ceiling(self, queue: Queue) -> None:
        campaign = queue.campaign("acme", 4, concurrent=2, open_ceiling=1)
        queue.publish("acme", "r4")
        assert [item.run_id for item in queue.dispatch()] == [f"{campaign}-4"]

    def test_a_report_needs_no_place_under_the_ceilings(self, queue: Queue) -> None:
        held = queue.campaign("acme", 3, open_ceiling=1, hourly_ceiling=1, concurrent=3)
        queue.publish("acme", "r9", policy="another")
        queue.clock.advance(1)
        scan = queue.campaign("acme", 4, policy="scan", open_ceiling=1, hourly_ceiling=1, concurrent=3, output={"report": "r"})
        assert [item.run_id for item in queue.dispatch()] == [f"{scan}-{number}" for number in (1, 2, 3)]
        assert queue.states(held) == ["pending"] * 3

    def test_ceilings_of_one_org_are_not_anothers(self, queue: Queue) -> None:
        queue.campaign("full", 2, open_ceiling=1)
        queue.publish("full", "r9", policy="another")
        queue.campaign("free", 2, open_ceiling=2)
        assert set(queue.orgs_of(queue.dispatch())) == {"free"}

    @pytest.mark.parametrize("state", [CampaignState.INTERRUPTED, CampaignState.PAUSED])
    def test_a_held_campaign_waits(self, queue: Queue, state: CampaignState) -> None:
        campaign = queue.campaign("acme", 1)
        with queue.database.transaction() as tx:
            campaigns.set_state(tx, campaign, state)
            assert not runs.any_admitted(tx, queue.clock.now())
        assert queue.dispatch() == []
        with queue.database.transaction() as tx:
            campaigns.set_state(tx, campaign, CampaignState.RUNNING)
            assert runs.any_admitted(tx, queue.clock.now())
        assert len(queue.dispatch()) == 1

    def test_a_preview_is_never_in_the_queue(self, queue: Queue) -> None:
        campaign = queue.campaign("acme", 2, preview=True)
        assert queue.dispatch() == []
        with queue.database.transaction() as tx:
            taken = runs.dispatch_preview(tx, campaign, now=queue.clock.now(), lease=LEASE)
        assert taken == [Dispatch(f"{campaign}-1", 1), Dispatch(f"{campaign}-2", 1)]

    def test_a_run_waits_until_its_time(self, queue: Queue) -> None:
        queue.campaign("acme", 1)
        [run] = queue.begin()
        hand_back(queue, run, wait_seconds=30)
        queue.clock.advance(29)
        assert queue.dispatch() == []
        queue.clock.advance(1)
        assert queue.dispatch() == [Dispatch(run.id, 2)]

    def test_what_is_recalled_begins_nowhere(self, queue: Queue) -> None:
        campaign = queue.campaign("acme", 2)
        begun, waiting = queue.dispatch()
        assert queue.claim(begun) is not None
        with queue.database.transaction() as tx:
            runs.recall(tx, campaign)
            assert runs.dispatched(tx) == []
        assert queue.claim(waiting) is None
        assert queue.states(campaign) == ["running", "pending"]
        assert queue.dispatch() == [Dispatch(waiting.run_id, 2)]


class TestFences:
    def test_only_one_claims(self, queue: Queue) -> None:
        queue.campaign("acme", 1)
        [item] = queue.dispatch()
        claimed = queue.claim(item, "first")
        assert claimed is not None
        assert (claimed.state, claimed.worker, claimed.attempts) == (RunState.RUNNING, "first", 1)
        assert queue.claim(item, "second") is None
        assert queue.claim(Dispatch(item.run_id, 2)) is None

    @pytest.fixture
    def zombie(self, queue: Queue) -> Run:
        """An attempt whose run is another attempt's now."""
        queue.campaign("acme", 1)
        [run] = queue.begin()
        hand_back(queue, run, lost=True)
        [again] = queue.begin()
        assert (again.id, again.fence, again.attempts, again.losses) == (run.id, 2, 2, 1)
        return run

    def test_a_zombie_writes_nothing(self, queue: Queue, zombie: Run) -> None:
        now = queue.clock.now()
        for write in (
            lambda tx: runs.require(tx, zombie),
            lambda tx: runs.renew(tx, zombie, until=now),
            lambda tx: runs.enter_stage(tx, zombie, Stage.PUBLISH),
            lambda tx: runs.end(tx, zombie, Outcome.PUBLISHED, "mine", now=now),
            lambda tx: runs.hand_back(tx, zombie, "mine", now=now),
        ):
            with pytest.raises(FenceLost, match=r"no longer attempt 1's"), queue.database.transaction() as tx:
                write(tx)
        present = queue.get(zombie.id)
        assert (present.state, present.fence) == (RunState.RUNNING, 2)

    def test_nobody_writes_once_it_has_ended(self, queue: Queue) -> None:
        queue.campaign("acme", 1)
        [run] = queue.begin()
        end(queue, run)
        with pytest.raises(FenceLost):
            end(queue, run, Outcome.FAILED)
        with pytest.raises(FenceLost):
            hand_back(queue, run)

    def test_a_run_that_nobody_has_claimed_is_no_workers(self, queue: Queue) -> None:
        queue.campaign("acme", 1)
        [item] = queue.dispatch()
        seen = queue.get(item.run_id)
        assert queue.claim(item) is not None
        with pytest.raises(FenceLost):
            hand_back(queue, seen)

    def test_each_attempt_has_a_record(self, queue: Queue, zombie: Run) -> None:
        with queue.database.transaction() as tx:
            runs.note_attempt(tx, zombie, commit="c" * 40)
        end(queue, queue.get(zombie.id))
        with queue.database.reading() as tx:
            first, second = records.attempts_of(tx, zombie.id)
            assert own_commits.strangers(tx, ["c" * 40, "d" * 40]) == ["d" * 40]
        assert (first.commit, first.outcome, first.reason) == ("c" * 40, None, "later")
        assert (second.commit, second.outcome) == ("", "no_change")


class TestLeases:
    def test_an_expired_lease_is_found(self, queue: Queue) -> None:
        queue.campaign("acme", 2)
        claimed, dispatched = queue.dispatch()
        queue.claim(claimed)
        queue.clock.advance(LEASE.total_seconds())
        with queue.database.reading() as tx:
            assert runs.expired(tx, queue.clock.now()) == []
            found = runs.expired(tx, queue.clock.now() + timedelta(seconds=1))
        assert {run.id for run in found} == {claimed.run_id, dispatched.run_id}

    def test_a_renewed_lease_holds(self, queue: Queue) -> None:
        queue.campaign("acme", 1)
        [run] = queue.begin()
        queue.clock.advance(59)
        with queue.database.transaction() as tx:
            runs.renew(tx, run, until=queue.clock.now() + LEASE)
        queue.clock.advance(59)
        with queue.database.reading() as tx:
            assert runs.expired(tx, queue.clock.now()) == []

    def test_what_a_worker_holds(self, queue: Queue) -> None:
        queue.campaign("acme", 2)
        for item, worker in zip(queue.dispatch(), ("one", "two"), strict=True):
            queue.claim(item, worker)
        with queue.database.reading() as tx:
            assert [run.worker for run in runs.held_by(tx, "two")] == ["two"]


def test_an_unknown_run(queue: Queue) -> None:
    with pytest.raises(NotFound, match="there is no run c1-1"):
        queue.get("c1-1")


def test_words_that_postgres_refuses_are_written_all_the_same(queue: Queue) -> None:
    """A command's output has what it likes in it: it must not keep a run from ending."""
    queue.campaign("acme", 1)
    [run] = queue.begin()
    with queue.database.transaction() as tx:
        runs.end(tx, run, Outcome.REJECTED, "a\0b \udcff", now=queue.clock.now())
        records.add_entry(tx, run.id, 1, at=queue.clock.now(), stage="", message="a\0b \udcff", data={"path": "\udcff\0"})
    with queue.database.reading() as tx:
        [entry] = records.entries_of_run(tx, run.id)
    assert entry.message == r"a\0b \udcff"
    assert entry.data == {"path": "\udcff\0"}


def pump(number: int, url: str) -> list[str]:
    """One of several schedulers that dispatch and workers that claim at once; return what this one began."""
    queue = Queue(Database(url), ManualClock())
    begun = []
    for _ in range(20):
        for item in queue.dispatch(6):
            run = queue.claim(item, f"w{number}")
            if run is not None:
                begun.append(run.id)
        with queue.database.reading() as tx:
            assert runs.count_busy(tx) <= 6
        for run_id in begun:
            run = queue.get(run_id)
            if run.state is RunState.RUNNING:
                end(queue, run)
    queue.database.dispose()
    return begun


def test_many_pumps_at_once_take_each_run_once_and_keep_to_the_slots(database_url: str) -> None:
    queue = Queue(Database(database_url), ManualClock())
    campaign = queue.campaign("acme", 40, concurrent=4)
    begun = [run_id for each in race(pump, 4, database_url) for run_id in each]
    assert len(begun) == len(set(begun))
    assert len(begun) >= 20
    assert set(queue.states(campaign)) <= {"ended", "pending"}
    queue.database.dispose()
