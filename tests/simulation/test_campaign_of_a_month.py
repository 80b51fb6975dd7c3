"""A month of a campaign, with people who merge, close, edit, ignore and break CI, and a machine that dies now and then.

After each tick the host's own books are held against what was promised: the wave, the gates, the windows, the limits.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from bot.domain.states import CampaignState
from bot.tracking.waiting import why_waiting
from tests.simulation.campaigning import Fate, Script, Simulation

Simulate = Callable[..., Simulation]

ROLLOUT: dict[str, Any] = {
    "waves": [3, "10%", "50%", "100%"],
    "gate": {"merged": "50%", "rejected": "30%", "edited": "60%", "failed": "40%", "after": "4h"},
    "max_open": 40,
    "per_hour": 8,
    "windows": ["mon-fri 09:00-17:00"],
}


def play(simulation: Simulation, *, days: int = 30, ticks: int = 8) -> None:
    """Until the campaign is completed, at most for so many days."""
    for _ in range(days):
        simulation.day(ticks=ticks)
        if simulation.finished():
            return


def waiting(simulation: Simulation) -> str:
    with simulation.world.database.reading() as tx:
        return why_waiting(tx, simulation.world.campaign(simulation.campaign), simulation.world.clock.now())


@pytest.mark.slow
def test_a_campaign_goes_its_way(simulate: Simulate) -> None:
    simulation = simulate(40, rollout=ROLLOUT)
    play(simulation)
    simulation.require_nobody_lost()
    assert simulation.most["waves"] == 4
    assert simulation.most["an hour"] == 8


def test_a_machine_that_dies_now_and_then_comes_to_the_same(simulate: Simulate) -> None:
    simulation = simulate(24, rollout=ROLLOUT, seed=3)
    simulation.fate.chance = 0.02
    play(simulation, ticks=6)
    simulation.require_nobody_lost()
    assert simulation.fate.deaths > 5


def test_where_everybody_says_no_three_repositories_are_all_that_it_reaches(simulate: Simulate) -> None:
    def no(name: str, _: Random) -> Script:
        return Script(closed=2, words=f"{name} is frozen until spring")

    simulation = simulate(200, rollout=ROLLOUT, casting=no)
    simulation.day()
    assert simulation.world.campaign(simulation.campaign).state is CampaignState.HALTED
    assert len(simulation.host.opened_at) == 3
    assert "r0001#1 closed by bob: r0001 is frozen until spring" in waiting(simulation)


def test_where_nobody_answers_it_waits_and_says_for_what(simulate: Simulate) -> None:
    simulation = simulate(40, rollout=ROLLOUT, casting=lambda *_: Script())
    play(simulation, days=3, ticks=4)
    assert len(simulation.host.opened_at) == 3
    assert waiting(simulation) == "wave 2 begins after wave 1: 0 of 3 merged, 50% needed"


@pytest.mark.slow
def test_a_broken_ci_halts_it_when_nobody_mends_it(simulate: Simulate) -> None:
    rollout = ROLLOUT | {"gate": {"ci_passed": "90%", "after": "4h"}, "windows": []}
    mended = simulate(10, rollout=rollout, casting=lambda *_: Script(broken=True, mended=3))
    mended.day()
    assert mended.most["waves"] > 1
    broken = simulate(10, rollout=rollout, casting=lambda *_: Script(broken=True))
    broken.day(ticks=12)
    assert broken.world.campaign(broken.campaign).state is CampaignState.HALTED
    assert "0 of 3 passed by CI, 90% needed, and at most 0 can be" in waiting(broken)


@pytest.mark.slow
def test_repositories_that_join_later_are_nobodys_blast_radius(simulate: Simulate) -> None:
    simulation = simulate(10, rollout=ROLLOUT, casting=lambda *_: Script(merged=20))
    simulation.day()
    for number in range(100, 120):
        simulation.add_repository(f"r{number}")
    assert simulation.start() == simulation.campaign
    simulation.check()
    play(simulation, ticks=6)
    simulation.require_nobody_lost()


def few(simulate: Simulate, seed: int = 4) -> Simulation:
    rollout = {"waves": [2, "100%"], "gate": {"merged": "50%", "after": "1h"}, "max_open": 2}
    return simulate(4, rollout=rollout, seed=seed, casting=lambda _, rng: Script(merged=rng.uniform(1, 8)))


def die_at(simulate: Simulate, boundary: int) -> None:
    simulation = few(simulate)
    simulation.fate = Fate(at=boundary)
    play(simulation, days=4, ticks=6)
    assert simulation.fate.deaths == 1
    simulation.require_nobody_lost()


@pytest.mark.parametrize("boundary", [23, 40])
def test_a_death_at_a_boundary_changes_nothing_in_the_end(simulate: Simulate, boundary: int) -> None:
    die_at(simulate, boundary)


PARTS = 12


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_a_death_at_each_boundary_changes_nothing_in_the_end(simulate: Simulate, part: int) -> None:
    undisturbed = few(simulate)
    play(undisturbed, days=4, ticks=6)
    assert undisturbed.fate.passed > 100
    for boundary in range(part, undisturbed.fate.passed, PARTS):
        die_at(simulate, boundary)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_two_hundred_repositories_on_a_machine_that_dies_often(simulate: Simulate, seed: int) -> None:
    simulation = simulate(200, rollout=ROLLOUT | {"per_hour": 15}, seed=seed)
    simulation.fate.chance = 0.01
    play(simulation, ticks=24)
    simulation.require_nobody_lost()
    assert simulation.most["waves"] == 4


@pytest.mark.slow
@pytest.mark.timeout(900)  # on a machine that does much else; alone it is less than two minutes
def test_two_thousand_repositories_in_thirty_days(simulate: Simulate) -> None:
    rollout = ROLLOUT | {"waves": [3, "5%", "20%", "50%", "100%"], "max_open": 400, "per_hour": 80}
    simulation = simulate(2000, rollout=rollout, seed=5)
    simulation.fate.chance = 0.0005
    began = simulation.world.clock.now()
    play(simulation, ticks=24)
    simulation.require_nobody_lost()
    assert simulation.world.clock.now() - began <= timedelta(days=30)
    assert (simulation.most["waves"], simulation.most["an hour"]) == (5, 80)
