"""Campaigns in waves, with people who merge, close and say why: on the local host, through the real pump and attempts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from bot.campaigns import control
from bot.campaigns.activation import complete_finished
from bot.domain.repositories import Repository
from bot.domain.states import CampaignState, Outcome
from bot.errors import UsageError
from bot.store import audit, publications
from bot.store import runs as store_runs
from bot.store.schema import runs
from bot.tracking.pull_requests import refresh_all, settle_lost
from bot.tracking.waiting import describe, why_waiting
from bot.tracking.waves import advance, standing
from tests.fakes.world import World

NAMES = ("a", "b", "c", "d", "e")
ROLLOUT = {"waves": [1, "60%", "100%"], "gate": {"merged": "50%", "rejected": "40%"}}


@pytest.fixture
def acme(new_world: Callable[..., World]) -> World:
    world = new_world()
    for name in NAMES:
        world.repository(name)
    return world


def start(world: World, **rollout: Any) -> str:
    campaign = world.start(rollout=ROLLOUT | rollout)
    world.work()
    return campaign


def go_on(world: World) -> int:
    """A round of the scheduler, and all attempts that it begins."""
    refresh_all(world.services, [world.org])
    moved = advance(world.services)
    world.work()
    return moved


def repository(name: str) -> Repository:
    return Repository("acme", name, "main", None)


def merge(world: World, *names: str) -> None:
    for name in names:
        world.local.merge(repository(name), 1, by="mia")


def close(world: World, *names: str, words: str = "") -> None:
    for name in names:
        if words:
            world.local.add_comment(repository(name), 1, words, author="bob")
        world.local.close(repository(name), 1, by="bob")


def close_archived(world: World, name: str) -> None:
    """As an event tells of it."""
    with world.database.reading() as tx:
        [publication] = publications.of_repository(tx, "acme", name)
    settle_lost(world.services, publication, "mia", "the repository was archived")


def opened(world: World) -> list[str]:
    """The repositories that have, or had, a pull request."""
    return [name for name in NAMES if world.pull_requests(name)]


def told(world: World, campaign: str) -> str:
    with world.database.reading() as tx:
        return why_waiting(tx, world.campaign(campaign), world.clock.now())


def states(world: World, campaign: str) -> dict[int, str]:
    with world.database.reading() as tx:
        return {wave["number"]: wave["state"] for wave in describe(tx, world.campaign(campaign), world.clock.now())}


def actions(world: World) -> list[str]:
    with world.database.reading() as tx:
        return [event["action"] for event in audit.events(tx, "acme")]


def test_the_next_wave_begins_when_the_gate_holds(acme: World) -> None:
    campaign = start(acme)
    assert opened(acme) == ["a"]
    assert told(acme, campaign) == "wave 2 begins after wave 1: 0 of 1 merged, 50% needed"
    assert go_on(acme) == 0

    merge(acme, "a")
    assert go_on(acme) == 1
    assert opened(acme) == ["a", "b", "c"]
    assert states(acme, campaign) == {1: "passed", 2: "open", 3: "waiting"}

    merge(acme, "c")
    assert go_on(acme) == 1
    assert opened(acme) == list(NAMES)
    assert acme.campaign(campaign).state is CampaignState.COMPLETED
    assert actions(acme).count("wave.begun") == 2
    acme.require_tidy()


def test_a_breached_gate_halts_and_has_the_words_of_those_who_rejected(acme: World) -> None:
    campaign = start(acme)
    close(acme, "a", words="We pin our\nversions, please leave us alone.")
    assert go_on(acme) == 1
    assert (acme.campaign(campaign).state, opened(acme)) == (CampaignState.HALTED, ["a"])
    assert "a#1 closed by bob: We pin our versions, please leave us alone." in told(acme, campaign)
    assert "1 of 1 rejected, 40% allowed" in told(acme, campaign)
    with acme.database.reading() as tx:
        halted, alert = [event for event in audit.events(tx, "acme") if event["action"] in ("campaign.halted", "rollout.alert")]
    assert halted["reason"] == alert["reason"]
    assert alert["details"]["objections"] == ["a#1 closed by bob: We pin our versions, please leave us alone."]
    assert alert["details"]["gate"]["decision"] == "fail"
    assert go_on(acme) == 0


def test_one_that_went_with_its_repository_is_no_rejection(acme: World) -> None:
    campaign = start(acme, gate={"rejected": "0%"}, waves=[2, "100%"], approval="manual")
    close_archived(acme, "a")
    bare = acme.folder / "host" / "acme" / "b.git"
    bare.rename(bare.with_suffix(".gone"))
    go_on(acme)
    assert acme.campaign(campaign).state is CampaignState.RUNNING
    with acme.database.reading() as tx:
        found = standing(tx, acme.campaign(campaign), acme.clock.now())
    assert found is not None
    assert (found.facts.published, found.facts.closed, found.facts.objections) == (0, 0, ())


def test_a_halted_campaign_is_joined_by_nobody_and_superseded_by_a_new_revision(acme: World) -> None:
    campaign = start(acme)
    close(acme, "a")
    go_on(acme)
    with pytest.raises(UsageError, match="halted"):
        acme.start(rollout=ROLLOUT)
    with pytest.raises(UsageError, match="halted"):
        control.retry(acme.services, campaign, [f"{campaign}-1"], actor="alice")
    with pytest.raises(UsageError, match="halted"):
        control.approve(acme.services, campaign, actor="alice")
    newer = acme.start("Be kinder.", rollout=ROLLOUT)
    assert newer != campaign
    assert {acme.run(campaign, number).state for number in (2, 3, 4, 5)} == {"ended"}
    acme.work()
    assert len(acme.pull_requests("a")) == 2


def test_resume_goes_on_past_the_breach_and_says_so(acme: World) -> None:
    campaign = start(acme)
    close(acme, "a")
    go_on(acme)
    control.resume(acme.services, campaign, actor="alice")
    assert go_on(acme) == 1
    assert opened(acme) == ["a", "b", "c"]
    with acme.database.reading() as tx:
        (resumed,) = [event for event in audit.events(tx, "acme") if event["action"] == "campaign.resumed"]
    assert (resumed["actor"], resumed["details"]["wave"]) == ("alice", 1)
    assert "1 of 1 rejected" in resumed["details"]["past"]

    close(acme, "b", "c")
    assert go_on(acme) == 1
    assert acme.campaign(campaign).state is CampaignState.HALTED


def test_where_a_person_approves_the_gate_is_not_enough(acme: World) -> None:
    campaign = start(acme, approval="manual")
    merge(acme, "a")
    assert go_on(acme) == 0
    assert told(acme, campaign) == f"wave 2 waits for approval: whimbrel approve {campaign}"
    assert control.approve(acme.services, campaign, 2, actor="alice") == 2
    assert control.approve(acme.services, campaign, 2, actor="alice") == 2
    assert go_on(acme) == 0
    assert opened(acme) == ["a", "b", "c"]
    with acme.database.reading() as tx:
        begun = [event for event in audit.events(tx, "acme") if event["action"] == "wave.begun"]
    assert [(event["actor"], event["details"]["wave"]) for event in begun] == [("alice", 2)]


def test_a_person_may_begin_the_next_wave_before_the_gate_holds(acme: World) -> None:
    campaign = start(acme)
    with pytest.raises(UsageError, match="wave 2 comes first"):
        control.approve(acme.services, campaign, 3, actor="alice")
    assert control.approve(acme.services, campaign, actor="alice") == 2
    assert control.approve(acme.services, campaign, actor="alice") == 3
    with pytest.raises(UsageError, match="wave 3 has begun, and is the last one"):
        control.approve(acme.services, campaign, actor="alice")
    go_on(acme)
    assert opened(acme) == list(NAMES)


def test_what_was_dispatched_when_the_gate_was_breached_does_not_begin(acme: World) -> None:
    campaign = acme.start(rollout={"waves": [3, "100%"], "gate": {"rejected": "0%"}})
    first, second, third = acme.dispatch()
    acme.attempt(first)
    close(acme, "a")
    assert go_on(acme) == 1
    assert acme.attempt(second) is None
    assert acme.run(campaign, 2).state == "pending"
    assert third.run_id == f"{campaign}-3"


def test_an_attempt_that_is_under_way_when_the_campaign_halts_keeps_its_change_and_publishes_nothing(acme: World) -> None:
    made: list[str] = []

    def act(*_: object) -> None:
        made.append("made")
        if len(made) == 2:
            close(acme, "a")
            refresh_all(acme.services, [acme.org])
            assert advance(acme.services) == 1

    acme.acts["make"] = act
    steps = [{"run": "make"}]
    campaign = acme.start(steps=steps, rollout={"waves": [2, "100%"], "gate": {"rejected": "0%"}})
    for item in acme.dispatch():
        acme.attempt(item)
    assert (opened(acme), acme.run(campaign, 2).state, len(made)) == (["a"], "pending", 2)
    assert acme.run(campaign, 2).tries == acme.run(campaign, 2).setbacks == 0

    control.resume(acme.services, campaign, actor="alice")
    acme.clock.advance(61)
    [item] = acme.dispatch()
    acme.attempt(item)
    assert (opened(acme), len(made)) == (["a", "b"], 2)


def test_a_change_that_is_made_when_the_window_closes_is_published_in_the_next_one(acme: World) -> None:
    made: list[str] = []

    def act(*_: object) -> None:
        made.append("made")
        acme.clock.advance(6 * 3600)  # from noon on a Thursday

    acme.acts["make"] = act
    campaign = acme.start(steps=[{"run": "make"}], rollout={"windows": ["mon-fri 09:00-17:00"]})
    acme.attempt(acme.dispatch()[0])
    assert opened(acme) == []
    assert told(acme, campaign) == "outside the windows of its rollout: waiting until Fri 2026-01-16 09:00 UTC"
    assert acme.run(campaign).setbacks == acme.run(campaign).tries == 0

    acme.clock.advance(14.9 * 3600)
    assert acme.dispatch() == []
    acme.clock.advance(0.2 * 3600)
    with acme.database.transaction() as tx:
        store_runs.recall(tx, campaign)
    acme.attempt(next(item for item in acme.dispatch() if item.run_id == f"{campaign}-1"))
    assert (opened(acme), made) == (["a"], ["made"])


def test_a_new_repository_joins_a_later_wave_and_one_that_is_asked_for_the_open_one(acme: World) -> None:
    campaign = start(acme)
    acme.repository("f")
    acme.start(rollout=ROLLOUT)
    acme.work()
    assert opened(acme) == ["a"]
    with acme.database.reading() as tx:
        found = tx.execute(select(runs.c.repository, runs.c.wave).where(runs.c.campaign_id == campaign)).all()
    assert {row.repository: row.wave for row in found} == {"a": 1, "b": 2, "c": 2, "d": 2, "e": 3, "f": 3}

    plan, policy = acme.plan(rollout=ROLLOUT)
    only_e = tuple(entry for entry in plan.entries if entry.target.repository == "e")
    acme.activate(type(plan)(plan.id, plan.org, plan.policy, plan.revision, only_e, plan.estimate), policy, alone=True)
    acme.work()
    assert opened(acme) == ["a", "e"]


def test_a_campaign_of_one_that_others_join_does_not_begin_all_at_once(acme: World) -> None:
    plan, policy = acme.plan(rollout=ROLLOUT)
    only_b = tuple(entry for entry in plan.entries if entry.target.repository == "b")
    acme.activate(type(plan)(plan.id, plan.org, plan.policy, plan.revision, only_b, plan.estimate), policy, alone=True)
    acme.start(rollout=ROLLOUT)
    acme.work()
    assert opened(acme) == ["b"]


def test_the_pace_of_a_campaign_is_that_of_the_policy_when_it_was_started_last(acme: World) -> None:
    campaign = start(acme)
    assert acme.start(rollout={}) == campaign
    acme.work()
    assert opened(acme) == list(NAMES)
    assert acme.campaign(campaign).state is CampaignState.COMPLETED


def test_runs_that_come_to_nothing_are_no_wave_that_was_accepted(acme: World) -> None:
    def fail(*_: object) -> None:
        raise UsageError("the tool is broken")

    acme.acts["fail"] = fail
    campaign = acme.start(steps=[{"run": "fail"}], rollout=ROLLOUT)
    acme.work()
    assert acme.run(campaign).state == "ended"
    assert go_on(acme) == 1
    assert "none of it came to a pull request: 1 failed" in told(acme, campaign)


def test_a_pull_request_counts_also_when_a_rebase_of_it_came_to_nothing(acme: World) -> None:
    campaign = start(acme)
    came_to_nothing = update(runs).where(runs.c.id == f"{campaign}-1").values(outcome=Outcome.SKIPPED, publication_id=None)
    with acme.database.transaction() as tx:
        tx.execute(came_to_nothing)
    assert told(acme, campaign) == "wave 2 begins after wave 1: 0 of 1 merged, 50% needed"
    merge(acme, "a")
    assert go_on(acme) == 1


def test_small_ones_first(acme: World) -> None:
    acme.repository("tiny", {"x": b""})
    plan, _ = acme.plan(rollout={"order": "small_first"})
    sizes = [entry.repository.size_kb for entry in plan.entries]
    assert sizes == sorted(sizes)


def test_the_last_one_ends_with_its_campaign(acme: World) -> None:
    campaign = start(acme, gate={}, waves=[2, "100%"])
    go_on(acme)
    complete_finished(acme.services)
    assert acme.campaign(campaign).state is CampaignState.COMPLETED
    assert go_on(acme) == 0
    assert opened(acme) == list(NAMES)
