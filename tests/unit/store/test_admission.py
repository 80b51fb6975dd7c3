"""Who may begin: the campaign's own rules, and that what they hold back takes nobody else's place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from bot.domain.pull_requests import PullRequestState
from bot.domain.states import CampaignState, Outcome
from bot.errors import CeilingReached, HeldBack
from bot.store import campaigns, publications, runs, waves
from bot.store.admission import require_admitted
from bot.store.database import Database
from bot.store.publications import Change
from bot.store.runs import Dispatch, Run
from bot.store.schema import campaigns as campaigns_table
from bot.store.schema import runs as runs_table
from tests.fakes.clock import ManualClock
from tests.fakes.queue import Queue, pull_request

RAMP: dict[str, Any] = {"waves": [3, "10%", "50%", "100%"]}


@pytest.fixture
def queue(database: Database, clock: ManualClock) -> Queue:
    return Queue(database, clock)


def end(queue: Queue, run: Run, outcome: Outcome = Outcome.NO_CHANGE) -> None:
    with queue.database.transaction() as tx:
        runs.end(tx, run, outcome, "done", now=queue.clock.now())


def publish(queue: Queue, run: Run, number: int) -> None:
    """As an attempt does: intent, pull request, end."""
    with queue.database.transaction() as tx:
        campaign = campaigns.get(tx, run.campaign_id)
        rollout = require_admitted(tx, run.id, queue.clock.now())
        policy = tx.execute(select(campaigns_table.c.policy).where(campaigns_table.c.id == campaign.id)).scalar_one()
        change = Change(run.org, policy, run.repository.name, run.base)
        ceilings = campaign.org_policy.ceilings
        made = publications.intend(tx, change, branch="b", ceilings=ceilings, now=queue.clock.now(), rollout=rollout)
        publications.record_open(tx, made, pull_request(number), "r1", queue.clock.now())
        runs.end(tx, run, Outcome.PUBLISHED, "done", now=queue.clock.now(), publication_id=made.id)


def set_open_wave(queue: Queue, campaign: str, wave: int) -> None:
    with queue.database.transaction() as tx:
        tx.execute(update(campaigns_table).where(campaigns_table.c.id == campaign).values(open_wave=wave))


def by_campaign(items: Iterable[Dispatch]) -> Counter[str]:
    return Counter(item.run_id.partition("-")[0] for item in items)


class TestWaves:
    def test_only_runs_of_waves_that_have_begun(self, queue: Queue) -> None:
        campaign = queue.campaign("acme", 40, rollout=RAMP)
        assert len(queue.dispatch()) == 3
        assert queue.dispatch() == []
        set_open_wave(queue, campaign, 2)
        assert [item.run_id for item in queue.dispatch()] == [f"{campaign}-4"]
        set_open_wave(queue, campaign, 4)
        assert len(queue.dispatch()) == 36

    def test_a_campaign_that_is_halted_begins_nothing(self, queue: Queue) -> None:
        campaign = queue.campaign("acme", 5, rollout=RAMP)
        with queue.database.transaction() as tx:
            campaigns.set_state(tx, campaign, CampaignState.HALTED)
        assert queue.dispatch() == []

    def test_what_was_begun_goes_on_when_the_policy_has_fewer_waves(self, queue: Queue) -> None:
        campaign = queue.campaign("acme", 40, rollout=RAMP)
        set_open_wave(queue, campaign, 3)
        taken = queue.dispatch()
        with queue.database.transaction() as tx:
            campaigns.take_rollout(tx, campaign, campaigns.get(tx, campaign).policy.rollout.model_copy(update={"waves": []}))
            runs.recall(tx, campaign)
            waves.distribute(tx, campaigns.get(tx, campaign), queue.clock.now(), actor="alice")
        assert len(queue.dispatch()) == 40 > len(taken)

    def test_what_it_holds_back_takes_no_place_of_another_campaign(self, queue: Queue) -> None:
        for number in range(6):
            queue.campaign("acme", 10, policy=f"held-{number}", rollout={"max_open": 1}, concurrent=6, open_ceiling=100)
        for run in queue.begin():
            publish(queue, run, 1)
        queue.clock.advance(1)
        free = queue.campaign("acme", 10, policy="free", concurrent=6, open_ceiling=100)
        assert by_campaign(queue.dispatch()) == {free: 6}


class TestLimitsOfAPolicy:
    def test_build_storms_are_held_off_by_max_open(self, queue: Queue) -> None:
        """multi-gitter #481: a hundred pull requests at once bring down the CI that they share."""
        campaign = queue.campaign("acme", 30, rollout={"max_open": 4})
        most, done, number = 0, 0, 0
        while begun := queue.begin():
            for run in begun:
                number += 1
                publish(queue, run, number)
            with queue.database.transaction() as tx:
                found = [each for each in publications.of_policy(tx, "acme", "notes") if each.state == "open"]
                most = max(most, len(found))
                for each in found[:2]:
                    publications.record_state(tx, each, PullRequestState.MERGED, queue.clock.now())
                    done += 1
        assert (most, number, queue.states(campaign).count("ended")) == (4, 30, 30)

    def test_an_attempt_under_way_counts_as_an_open_one(self, queue: Queue) -> None:
        queue.campaign("acme", 30, rollout={"max_open": 4})
        assert len(queue.begin()) == 4
        assert queue.begin() == []

    def test_the_hour_is_counted(self, queue: Queue) -> None:
        queue.campaign("acme", 9, rollout={"per_hour": 2})
        for number, run in enumerate(queue.begin(), 1):
            publish(queue, run, number)
            queue.clock.advance(60)
        assert queue.begin() == []
        queue.clock.advance(3600 - 119)
        assert len(queue.begin()) == 1

    def test_other_policies_of_the_org_are_not_bound_by_it(self, queue: Queue) -> None:
        bound = queue.campaign("acme", 9, policy="bound", rollout={"max_open": 1})
        free = queue.campaign("acme", 9, policy="free")
        assert by_campaign(queue.dispatch()) == {bound: 1, free: 9}

    def test_an_intent_is_held_to_them_too(self, queue: Queue) -> None:
        queue.campaign("acme", 3)
        first, second, third = queue.begin()
        publish(queue, first, 1)
        with queue.database.transaction() as tx:
            tight = campaigns.get(tx, first.campaign_id).policy.rollout.model_copy(update={"max_open": 1})
            campaigns.take_rollout(tx, first.campaign_id, tight)
        with pytest.raises(CeilingReached, match="1 of 1 pull requests of notes are open"):
            publish(queue, second, 2)
        with queue.database.transaction() as tx:
            campaigns.take_rollout(tx, first.campaign_id, tight.model_copy(update={"max_open": None, "per_hour": 1}))
        with pytest.raises(CeilingReached, match="1 of 1 pull requests of notes were opened this hour"):
            publish(queue, third, 3)


class TestWindows:
    FRIDAY = datetime(2026, 1, 16, 16, 59, tzinfo=UTC)

    def test_nothing_begins_outside_and_others_do(self, queue: Queue) -> None:
        queue.clock.advance((self.FRIDAY - queue.clock.now()).total_seconds())
        bound = queue.campaign("acme", 3, policy="bound", rollout={"windows": ["mon-fri 09:00-17:00"]})
        assert by_campaign(queue.dispatch(1)) == {bound: 1}
        queue.clock.advance(60)
        free = queue.campaign("acme", 3, policy="free")
        assert by_campaign(queue.dispatch()) == {free: 3}
        queue.clock.advance(timedelta(days=2, hours=16).total_seconds())
        assert by_campaign(queue.dispatch()) == {bound: 2}

    def test_whoever_gets_to_publish_outside_waits_until_they_open(self, queue: Queue) -> None:
        queue.clock.advance((self.FRIDAY - queue.clock.now()).total_seconds())
        queue.campaign("acme", 1, rollout={"windows": ["mon-fri 09:00-17:00"]})
        [run] = queue.begin()
        queue.clock.advance(60)
        with pytest.raises(HeldBack, match="waiting until Mon 2026-01-19 09:00 UTC") as held:
            publish(queue, run, 1)
        assert held.value.retry_after == timedelta(days=2, hours=16).total_seconds()

    def test_a_halt_and_a_wave_are_asked_for_before_publishing_too(self, queue: Queue) -> None:
        campaign = queue.campaign("acme", 1, rollout=RAMP)
        [run] = queue.begin()
        set_open_wave(queue, campaign, 0)
        with pytest.raises(HeldBack, match="it begins with wave 1, and wave 0 is open"):
            publish(queue, run, 1)
        with queue.database.transaction() as tx:
            campaigns.set_state(tx, campaign, CampaignState.HALTED)
        with pytest.raises(HeldBack, match="halted"):
            publish(queue, run, 1)


class TestFairness:
    def test_a_slot_that_gets_free_goes_to_the_campaign_that_has_fewest(self, queue: Queue) -> None:
        large = queue.campaign("acme", 500, policy="large")
        busy = queue.begin(4)
        queue.clock.advance(1)
        small = queue.campaign("acme", 4, policy="small")
        given: Counter[str] = Counter()
        for run in busy:
            end(queue, run)
            given += by_campaign(queue.dispatch(4))
        assert given == {small: 2, large: 2}

    def test_what_a_person_asked_for_goes_before_scheduled_work(self, queue: Queue) -> None:
        for number in range(3):
            queue.campaign("acme", 100, policy=f"scheduled-{number}")
        queue.begin(6)
        queue.clock.advance(1)
        asked = queue.campaign("acme", 50, policy="asked")
        with queue.database.transaction() as tx:
            waves.ask_for(tx, asked, {("r40", "main", ""), ("r41", "main", "")})
        assert [item.run_id for item in queue.dispatch(8)] == [f"{asked}-40", f"{asked}-41"]
        assert by_campaign(queue.dispatch(12))[asked] < 4

    def test_whoever_is_asked_for_is_in_the_first_wave_that_has_room(self, queue: Queue) -> None:
        campaign = queue.campaign("acme", 40, rollout=RAMP)
        queue.begin()
        with queue.database.transaction() as tx:
            waves.ask_for(tx, campaign, {("r40", "main", "")})
            waves.distribute(tx, campaigns.get(tx, campaign), queue.clock.now(), actor="alice")
            number = tx.execute(select(runs_table.c.wave).where(runs_table.c.id == f"{campaign}-40")).scalar_one()
        assert number == 2

    def test_a_run_that_is_retried_by_its_name_goes_first(self, queue: Queue) -> None:
        campaign = queue.campaign("acme", 5)
        [first] = queue.begin(1)
        end(queue, first)
        with queue.database.transaction() as tx:
            runs.reopen(tx, campaign, [first.id], by_hand=True)
        assert [item.run_id for item in queue.dispatch(1)] == [first.id]

    def test_three_poison_repositories_do_not_starve_two_hundred(self, queue: Queue) -> None:
        """conda-forge-bot #3272: those that kill their worker come back first, and nobody else ever begins."""
        campaign = queue.campaign("acme", 203, concurrent=3)
        poison, rounds = {f"{campaign}-{number}" for number in (1, 2, 3)}, 0
        while "pending" in queue.states(campaign)[3:] or "running" in queue.states(campaign)[3:]:
            rounds += 1
            for run in queue.begin(3):
                if run.id in poison:
                    with queue.database.transaction() as tx:
                        runs.hand_back(tx, run, "its worker died", now=queue.clock.now(), count="losses")
                else:
                    end(queue, run)
        assert rounds <= 1 + (200 + 2) // 3
        assert queue.states(campaign)[:3] == ["pending"] * 3
