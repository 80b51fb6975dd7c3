"""One active campaign an org and policy."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bot.campaigns.activation import complete_finished, hold
from bot.domain.money import MicroUsd
from bot.domain.states import CampaignState, RunState
from bot.domain.usage import Usage
from bot.errors import NotFound, QuotaRefused, UsageError
from bot.store import audit, campaigns, ledger
from bot.store.ledger import Accounts
from tests.fakes.world import World

CLAUDE = {"prompt": "Do it.", "model": "claude-sonnet-4-5"}


@pytest.fixture(autouse=True)
def two_repositories(world: World) -> None:
    world.repository("one")
    world.repository("two")


def actions(world: World) -> list[str]:
    with world.database.reading() as tx:
        return [event["action"] for event in audit.events(tx, "acme")]


def test_a_second_start_joins_and_brings_what_is_missing(world: World) -> None:
    first = world.activate(*world.plan())
    world.repository("three")
    second = world.activate(*world.plan())
    assert (first.joined, second.joined) == (False, True)
    assert first.campaign_id == second.campaign_id
    names = [world.run(first.campaign_id, number).repository.name for number in (1, 2, 3)]
    assert names == ["one", "two", "three"]
    with pytest.raises(NotFound):
        world.run(first.campaign_id, 4)
    assert actions(world) == ["campaign.started", "campaign.joined"]


def test_another_revision_takes_over_what_has_not_begun(world: World) -> None:
    old = world.start("Be brief.")
    assert len(world.dispatch(1)) == 1
    new = world.start()
    assert new != old
    assert world.run(old, 1).state is RunState.DISPATCHED
    assert world.run(old, 2).state is RunState.ENDED
    with world.database.reading() as tx:
        active = campaigns.active(tx, "acme", "notes")
    assert active is not None
    assert active.id == new


def test_a_preview_is_beside_the_active_one(world: World) -> None:
    active = world.start()
    preview = world.activate(*world.plan(), preview=True)
    assert (preview.joined, preview.campaign_id == active) == (False, False)
    assert world.start() == active
    assert actions(world)[1] == "campaign.previewed"


def test_an_interrupted_one_waits_and_is_taken_up_by_the_next_start(world: World) -> None:
    campaign = world.start()
    taken = world.dispatch(1)
    hold(world.services, campaign, actor="alice")
    hold(world.services, campaign, actor="alice")
    assert world.campaign(campaign).state is CampaignState.INTERRUPTED
    assert [world.attempt(item) for item in taken] == [None]
    assert world.dispatch() == []
    assert world.start() == campaign
    assert len(world.dispatch()) == 2
    assert actions(world) == ["campaign.started", "campaign.interrupted", "campaign.joined"]


def test_a_campaign_is_completed_once(world: World) -> None:
    campaign = world.start()
    assert complete_finished(world.services) == []
    for item in world.dispatch():
        world.attempt(item)
    assert [found.id for found in complete_finished(world.services)] == [campaign]
    assert complete_finished(world.services) == []
    found = world.campaign(campaign)
    assert (found.state, found.finished_at) == (CampaignState.COMPLETED, world.clock.now())
    assert actions(world).count("campaign.completed") == 1
    assert world.start() != campaign


def test_a_campaign_of_skips_alone_is_completed(world: World) -> None:
    campaign = world.start(select={"include": ["nothing"]})
    assert [found.id for found in complete_finished(world.services)] == [campaign]


def spend(world: World, amount: MicroUsd) -> None:
    with world.database.transaction() as tx:
        charged = Accounts(
            org=ledger.open_account(tx, "org", "acme", "2026-01", MicroUsd(100_000_000)),
            campaign=ledger.open_account(tx, "campaign", "c", "", MicroUsd(100_000_000)),
            attempt=ledger.open_account(tx, "attempt", "a", "", MicroUsd(100_000_000)),
        )
        held = ledger.reserve(tx, charged, amount, model="m", clock=world.clock)
        ledger.settle(tx, held, amount, Usage(), estimated=False, latency_ms=1, clock=world.clock)


def test_a_month_that_is_used_up_refuses_what_asks_a_model_alone(world: World) -> None:
    spend(world, MicroUsd(100_000_000))
    planned = world.plan(steps=[CLAUDE])
    with pytest.raises(QuotaRefused, match=r"acme"):
        world.activate(*planned)
    assert world.start()
    world.clock.advance(31 * 24 * 3600)
    assert world.start(name="another", steps=[CLAUDE])


@pytest.mark.parametrize(("asked", "cap"), [(None, "200"), (Decimal(5), "5"), (Decimal(500), "200")])
def test_the_campaigns_cap_is_the_smaller(world: World, asked: Decimal | None, cap: str) -> None:
    campaign = world.activate(*world.plan(), max_usd=asked).campaign_id
    with world.database.reading() as tx:
        account = ledger.account(tx, "campaign", campaign)
    assert account is not None
    assert account.cap == int(cap) * 1_000_000


def test_a_paused_one_is_not_started_by_accident(world: World) -> None:
    campaign = world.start()
    with world.database.transaction() as tx:
        campaigns.set_state(tx, campaign, CampaignState.PAUSED)
    with pytest.raises(UsageError, match="is paused") as refused:
        world.start()
    assert refused.value.mend == f"whimbrel resume {campaign}"
