"""The reports of a campaign, gathered from the artifacts of its runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bot.domain.policies import OutputPolicy
from bot.domain.states import Outcome
from bot.errors import UsageError
from bot.pipeline.assignment import Assignment
from bot.pipeline.reporting import report_path
from bot.services import Services
from bot.store import campaigns, records, reports, runs
from bot.store.campaigns import Campaign


@dataclass(frozen=True, slots=True)
class Gathered:
    """One run: `row` as `runs --json` has it. Its report, and the path of that; None and "" where it came to none."""

    row: Mapping[str, Any]
    path: str = ""
    text: str | None = None

    @property
    def name(self) -> str:
        return str(self.row["target"])

    @property
    def reason(self) -> str:
        """Why there is a report or none; of a run that has not ended, where it stands."""
        return str(self.row["reason"] or self.row["state"])


@dataclass(frozen=True, slots=True)
class Gathering:
    """Every run of a campaign whose policy has `output`, in the plan's order."""

    campaign: Campaign
    output: OutputPolicy
    runs: Sequence[Gathered]


def gather(services: Services, campaign_id: str) -> Gathering:
    """Raises NotFound, and UsageError for a campaign that makes no reports."""
    with services.database.reading() as tx:
        campaign = campaigns.get(tx, campaign_id)
        output = campaign.policy.output
        if output is None:
            raise UsageError(f"campaign {campaign_id} makes no reports: its policy {campaign.policy.name} has no `output:`")
        rows = reports.campaign_runs(tx, campaign_id)
        return Gathering(campaign, output, [_gathered(services, tx, campaign, row) for row in rows])


def places(found: Sequence[Gathered]) -> dict[str, Gathered]:
    """Every report by a path of its own: its path, or below a folder of its target where several have the same."""
    made = [each for each in found if each.text is not None]
    if max(Counter(each.path for each in made).values(), default=0) > 1:
        return {f"{each.name}/{each.path}": each for each in made}
    return {each.path: each for each in made}


def _gathered(services: Services, tx: Connection, campaign: Campaign, row: Mapping[str, Any]) -> Gathered:
    if row["outcome"] != Outcome.REPORTED:
        return Gathered(row)
    *_, artifact = (kept for kept in records.artifacts_of(tx, row["id"]) if kept.kind == "report")
    try:
        text = (services.artifacts / artifact.file).read_text("utf-8", "replace")
    except FileNotFoundError:
        return Gathered({**row, "reason": f"its report is gone: artifacts/{artifact.file}"})
    assignment = Assignment(runs.get(tx, row["id"]), campaign, campaign.policy)
    return Gathered(row, report_path(services, assignment), text)
