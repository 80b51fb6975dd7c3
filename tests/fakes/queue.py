"""Campaigns in a database, for tests of what SQL decides: no host, no attempt."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection, select

from bot.domain.org_policies import OrgPolicy
from bot.domain.policies import CampaignPolicy
from bot.domain.pull_requests import PullRequest, PullRequestState, PullRequestText
from bot.domain.repositories import Repository, Target
from bot.store import campaigns, publications, runs, waves
from bot.store.campaigns import Plan, PlanEntry
from bot.store.database import Database
from bot.store.publications import Change, Publication
from bot.store.runs import Dispatch, Run
from bot.store.schema import runs as runs_table
from tests.fakes.clock import ManualClock

LEASE = timedelta(seconds=60)
PLENTY = 1000
REVISION = "r1"


class Queue:
    """The queue in SQL, as the pump and the workers see it."""

    def __init__(self, database: Database, clock: ManualClock):
        self.database, self.clock = database, clock

    def campaign(
        self,
        org: str,
        targets: int,
        *,
        policy: str = "notes",
        concurrent: int = PLENTY,
        open_ceiling: int = PLENTY,
        hourly_ceiling: int = PLENTY,
        preview: bool = False,
        **about: object,
    ) -> str:
        """Start a campaign on the repositories r1, r2, ... of an org; `about` goes into its policy. Return its id."""
        ceilings = {"open_pull_requests": open_ceiling, "pull_requests_per_hour": hourly_ceiling}
        quota = {"usd_per_month": 1, "concurrent_runs": concurrent}
        org_policy = OrgPolicy.model_validate({"org": org, "host": "local:host", "quota": quota, "ceilings": ceilings})
        asked = {"name": policy, "description": "D", "steps": [{"run": "true"}], **about}
        campaign_policy = CampaignPolicy.model_validate(asked)
        entries = tuple(
            PlanEntry(Target(name, "main", "0" * 40), Repository(org, name, "main", "0" * 40))
            for name in (f"r{number}" for number in range(1, targets + 1))
        )
        plan = Plan(campaigns.new_id("p"), org, policy, REVISION, entries, {})
        now = self.clock.now()
        with self.database.transaction() as tx:
            campaigns.save_revision(tx, REVISION, campaign_policy, {}, now)
            campaigns.save_plan(tx, plan, now)
            made = campaigns.start(tx, plan, campaign_policy, org_policy, actor="alice", preview=preview, now=now)
            waves.distribute(tx, campaigns.get(tx, made), now, actor="alice")
            return made

    def dispatch(self, slots: int = PLENTY) -> list[Dispatch]:
        with self.database.transaction() as tx:
            return runs.dispatch(tx, slots=slots, now=self.clock.now(), lease=LEASE)

    def claim(self, item: Dispatch, worker: str = "w") -> Run | None:
        with self.database.transaction() as tx:
            return runs.claim(tx, item.run_id, item.fence, worker=worker, now=self.clock.now(), lease=LEASE)

    def begin(self, slots: int = PLENTY) -> list[Run]:
        """Dispatch and claim."""
        claimed = [self.claim(item) for item in self.dispatch(slots)]
        return [run for run in claimed if run is not None]

    def get(self, run_id: str) -> Run:
        with self.database.reading() as tx:
            return runs.get(tx, run_id)

    def orgs_of(self, items: list[Dispatch]) -> list[str]:
        return [self.get(item.run_id).org for item in items]

    def publish(self, org: str, repository: str, *, policy: str = "notes") -> Publication:
        """Record an open pull request."""
        with self.database.transaction() as tx:
            made = intend(tx, self.clock, Change(org, policy, repository, "main"))
            publications.record_open(tx, made, pull_request(int(repository[1:])), REVISION, self.clock.now())
            return made

    def states(self, campaign_id: str) -> list[str]:
        """Of its runs, in their order."""
        wanted = select(runs_table.c.state).where(runs_table.c.campaign_id == campaign_id).order_by(runs_table.c.position)
        with self.database.reading() as tx:
            return list(tx.execute(wanted).scalars())


def intend(
    tx: Connection, clock: ManualClock, change: Change, *, open_ceiling: int = PLENTY, hourly_ceiling: int = PLENTY
) -> Publication:
    org = OrgPolicy.model_validate(
        {
            "org": change.org,
            "host": "local:host",
            "quota": {"usd_per_month": 1},
            "ceilings": {"open_pull_requests": open_ceiling, "pull_requests_per_hour": hourly_ceiling},
        }
    )
    return publications.intend(tx, change, branch="whimbrel/notes", ceilings=org.ceilings, now=clock.now())


def pull_request(number: int, state: PullRequestState = PullRequestState.OPEN) -> PullRequest:
    return PullRequest(
        number, state, "whimbrel/notes", "main", "f" * 40, PullRequestText("T", "B", (), (), False), f"u/{number}"
    )
