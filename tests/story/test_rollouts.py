"""Waves through the real command line, the real queue and workers, on a local host with people on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.story.conftest import Project

TEMPLATE: dict[str, Any] = {
    "steps": [{"template": "files/CONTRIBUTING.md.j2", "to": "CONTRIBUTING.md", "mode": "create"}],
    "variables": {"contact": "team@acme.example"},
}
ROLLOUT: dict[str, Any] = {"waves": [1, "100%"], "gate": {"merged": "50%", "rejected": "40%"}}


@pytest.fixture
def acme(new_project: Callable[[], Project]) -> Project:
    project = new_project()
    for name in ("alpha", "beta", "gamma"):
        project.repository(name, {"a": b"a"})
    project.write_campaign("rules", **TEMPLATE, rollout=ROLLOUT)
    return project


def person(project: Project, *arguments: str) -> None:
    project.whimbrel("host", "pr", *arguments, "--org", "acme")


def status(project: Project, campaign: str) -> Any:
    return project.whimbrel("status", campaign, "--json").json


@pytest.mark.slow
def test_a_wave_is_merged_and_the_next_one_begins(acme: Project) -> None:
    first = acme.run("rules")
    assert [row["pull_request"] is not None for row in first.rows] == [True, False, False]
    assert "2 targets wait: wave 2 begins after wave 1: 0 of 1 merged, 50% needed" in first.said
    waves = first.status["waves"]
    assert [(wave["number"], wave["state"], wave["targets"]) for wave in waves] == [(1, "open", 1), (2, "waiting", 2)]

    person(acme, "merge", "alpha", "1")
    again = acme.run("rules")
    assert again.id == first.id
    assert again.outcomes == dict.fromkeys(("alpha", "beta", "gamma"), "published")
    shown = acme.whimbrel("status", first.id).stdout
    assert "passed" in shown
    assert "1 of 1 merged, 50% needed" in shown


@pytest.mark.slow
def test_a_rejection_halts_it_until_somebody_resumes(acme: Project) -> None:
    campaign = acme.run("rules").id
    person(acme, "close", "alpha", "1")
    halted = acme.run("rules")
    assert (halted.id, halted.status["state"]) == (campaign, "halted")
    assert "1 of 1 rejected, 40% allowed" in halted.said
    assert status(acme, campaign)["waves"][0]["objections"][0].startswith("alpha#1 closed by ")
    assert "halted" in acme.whimbrel("status", campaign).stdout

    refused = acme.whimbrel("run", "rules", "--org", "acme", status=2)
    assert f"whimbrel resume {campaign}" in refused.stderr
    acme.whimbrel("resume", campaign)
    assert acme.run("rules").outcomes == dict.fromkeys(("alpha", "beta", "gamma"), "published")
    (event,) = [each for each in audit(acme) if each["action"] == "rollout.alert"]
    assert event["subject"] == campaign


def test_a_person_approves_the_next_wave(acme: Project) -> None:
    acme.write_campaign("rules", **TEMPLATE, rollout={**ROLLOUT, "approval": "manual"})
    campaign = started(acme)
    assert f"wave 2 of {campaign} has begun" in acme.whimbrel("approve", campaign, "--wave", "2").stdout
    assert len(acme.run("rules").outcomes) == 3


@pytest.mark.slow
def test_who_approves_twice_is_told_the_same_and_nothing_comes_after_the_last(acme: Project) -> None:
    acme.write_campaign("rules", **TEMPLATE, rollout={**ROLLOUT, "approval": "manual"})
    campaign = started(acme)
    for _ in range(2):
        assert f"wave 2 of {campaign} has begun" in acme.whimbrel("approve", campaign, "--wave", "2").stdout
    assert "the last one" in acme.whimbrel("approve", campaign, status=2).stderr


def started(project: Project) -> str:
    return str(project.whimbrel("run", "rules", "--org", "acme", "--workers", "1", "--json").json["id"])


def audit(project: Project) -> list[dict[str, Any]]:
    lines = project.whimbrel("audit", "export", "--org", "acme").stdout.splitlines()
    return [json.loads(line) for line in lines]
