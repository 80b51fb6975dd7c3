"""Money through the real CLI: the ledger against the fake upstream's own bill, and a month's allowance that ends midway."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from threading import Event
from typing import Any

import psutil
import pytest

from bot.domain.money import micro_usd
from bot.domain.prices import cost
from bot.domain.usage import Usage
from bot.gateway.prices import load_prices
from tests.fakes.processes import workers_below
from tests.fakes.upstream import FakeUpstream, call, cut, held, message
from tests.story.conftest import COMMAND_SECONDS, KEY, Project

MODEL = "claude-sonnet-4-5"
USAGE = Usage(20_000, 4_000)
REQUEST = cost(USAGE, load_prices().models[MODEL])
SAY = message(input_tokens=USAGE.input_tokens, output_tokens=USAGE.output_tokens)
CALL = call("Bash", command="echo and so on, and so on, and so on; touch half")


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


class Billing:
    """A project whose Claude step asks an upstream that charges REQUEST, or less, for each request."""

    def __init__(self, project: Project, upstream: FakeUpstream):
        self.project, self.upstream = project, upstream
        upstream.script.extend([SAY] * 100)
        project.environment |= {"ANTHROPIC_BASE_URL": upstream.url, "ANTHROPIC_API_KEY": KEY}
        project.write_campaign("notes", steps=[{"prompt": "Begin.", "model": MODEL}, {"run": "echo 'Be kind.' > NOTE.md"}])

    def repositories(self, *names: str) -> None:
        for name in names:
            self.project.repository(name, {"a": b"a"})

    @property
    def bill(self) -> int:
        return self.upstream.charged * REQUEST

    @property
    def ledger(self) -> int:
        """What the org has spent in its month; nothing is held."""
        (month,) = self.project.whimbrel("quota", "acme", "--json").json
        assert micro_usd(month["reserved_usd"]) == 0
        assert micro_usd(month["spent_usd"]) <= micro_usd(month["cap_usd"])
        return micro_usd(month["spent_usd"])

    def requests(self, run: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.project.whimbrel("show", run, "--json").json["requests"]
        return found


@pytest.fixture
def billing(project: Project, upstream: FakeUpstream) -> Billing:
    return Billing(project, upstream)


def test_an_allowance_that_ends_midway_ends_the_rest_and_is_equal_to_the_bill(billing: Billing) -> None:
    names = ("a", "b", "c")
    billing.repositories(*names)
    billing.project.write_org(quota={"usd_per_month": 0.6})
    campaign = billing.project.run("notes", status=3)
    outcomes = [campaign[name]["outcome"] for name in names]
    paid = outcomes.count("published")
    assert 1 <= paid < len(names)
    assert outcomes == ["published"] * paid + ["budget_exhausted"] * (len(names) - paid)
    for name in names[paid:]:
        assert "of $0.60" in campaign[name]["reason"]
        assert (campaign[name]["cost_usd"], campaign[name]["pull_request"]) == ("0.000000", None)
    assert billing.ledger == billing.bill == paid * REQUEST
    assert sum(micro_usd(row["cost_usd"]) for row in campaign.rows) == billing.bill
    assert {pull["repository"] for pull in billing.project.pull_requests()} == set(names[:paid])


@pytest.mark.slow
def test_with_a_new_allowance_the_rest_goes_on(billing: Billing) -> None:
    billing.repositories("a", "b", "c")
    billing.project.write_org(quota={"usd_per_month": 0.6})
    first = billing.project.run("notes", status=3)
    billing.project.write_org(quota={"usd_per_month": 100})
    second = billing.project.run("notes")
    assert {pull["repository"] for pull in billing.project.pull_requests()} == {"a", "b", "c"}
    for name, outcome in first.outcomes.items():
        assert second[name]["outcome"] == ("published" if outcome == "budget_exhausted" else "skipped")
    assert billing.ledger == billing.bill == 3 * REQUEST


@pytest.mark.slow
def test_where_streams_are_cut_and_workers_killed_the_ledger_is_never_below_the_bill(billing: Billing) -> None:
    """What was cut is settled at its worst case, marked as such, and nothing else is."""
    billing.repositories("cut", "killed", "whole")
    started, go_on = Event(), Event()
    billing.upstream.script.extendleft([SAY, held(started, go_on), SAY, cut(CALL, share=0.5), cut(CALL, share=0.9)])
    running = subprocess.Popen(**billing.project.command("run", "notes", "--org", "acme", "--workers", "1"))
    assert started.wait(COMMAND_SECONDS)
    horse_of(running).kill()
    go_on.set()
    assert running.wait(COMMAND_SECONDS) == 0
    campaign = billing.project.campaign(billing.project.whimbrel("status", "--json").json[0])
    assert campaign.outcomes == dict.fromkeys(("cut", "killed", "whole"), "published")
    estimated = {row["target"]: [request["estimated"] for request in billing.requests(row["id"])] for row in campaign.rows}
    assert estimated == {"cut": [True, True, False], "killed": [True, False], "whole": [False]}
    assert billing.upstream.charged == 6
    assert billing.ledger > billing.bill


def horse_of(command: subprocess.Popen[str]) -> psutil.Process:
    """What works on the job of the only worker of `whimbrel run`."""
    (worker,) = workers_below(psutil.Process(command.pid))
    (horse,) = workers_below(worker)
    return horse
