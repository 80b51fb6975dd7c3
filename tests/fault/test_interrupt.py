"""Ctrl-C, and more hands than one on the same campaign."""

from __future__ import annotations

import signal

import pytest

from tests.fakes.queue_parts import eventually
from tests.fault.conftest import Faulty

NAMES = ("one", "three", "two")
ENDS_WITHIN_SECONDS = 60


@pytest.fixture(autouse=True)
def three_repositories(faulty: Faulty) -> None:
    for name in NAMES:
        faulty.project.repository(name, {"README.md": b"# Hello\n"})


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_command_hands_back_and_the_same_command_goes_on(faulty: Faulty, number: signal.Signals) -> None:
    running = faulty.run("--workers", "2")
    first, *_ = faulty.wait_for(2)
    (first / "tree" / "go").touch()
    eventually(lambda: faulty.campaign().status["outcomes"] == {"published": 1}, "one is published")
    running.send_signal(number)
    assert running.wait(ENDS_WITHIN_SECONDS) == 130
    faulty.require_nothing_left()
    campaign = faulty.campaign()
    assert campaign.status["state"] == "interrupted"
    assert sorted(row["state"] for row in campaign.rows) == ["ended", "pending", "pending"]
    assert faulty.finish(faulty.run("--workers", "2")) == 0
    again = faulty.require_all_published(*NAMES)
    assert again.id == campaign.id


def test_two_commands_for_one_policy(faulty: Faulty) -> None:
    """They share the campaign, its queue and the server; each target is attempted once."""
    commands = [faulty.run("--workers", "1"), faulty.run("--workers", "1")]
    faulty.wait_for(2)
    assert [faulty.finish(command) for command in commands] == [0, 0]
    campaign = faulty.require_all_published(*NAMES)
    assert [row["attempts"] for row in campaign.rows] == [1, 1, 1]
    assert len(faulty.campaigns()) == 1


@pytest.mark.slow
def test_one_of_two_commands_is_interrupted(faulty: Faulty) -> None:
    """The other one says so and ends; it does not wait for ever."""
    interrupted, other = faulty.run("--workers", "1"), faulty.run("--workers", "1")
    faulty.wait_for(2)
    interrupted.send_signal(signal.SIGINT)
    assert interrupted.wait(ENDS_WITHIN_SECONDS) == 130
    assert other.wait(ENDS_WITHIN_SECONDS) == 0
    assert "the campaign was interrupted elsewhere" in faulty.said
    faulty.require_nothing_left()


@pytest.mark.slow
def test_two_schedulers_and_four_workers(faulty: Faulty) -> None:
    for _ in range(2):
        faulty.start("scheduler")
        faulty.start("worker", "-n", "2")
    faulty.project.whimbrel("run", "notes", "--org", "acme", "--detach")
    faulty.finish_campaign()
    faulty.stop_all()
    campaign = faulty.require_all_published(*NAMES)
    assert [row["attempts"] for row in campaign.rows] == [1, 1, 1]
