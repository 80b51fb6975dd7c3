"""What people are shown of the work that they asked for: one comment that follows it, and a check report on what was published.

Both are intents in SQL until they are shown, and are made of what SQL says at that moment: safe to repeat, by any process.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from bot.domain.markdown import neutral
from bot.domain.money import dollars
from bot.domain.org_policies import OrgPolicy
from bot.domain.pull_requests import OWN_CHECKS, CheckReport, Thread
from bot.domain.redaction import one_line, redact
from bot.domain.repositories import Repository
from bot.domain.states import Outcome, RunState, Stage
from bot.domain.verdicts import leaves_of
from bot.errors import HostError
from bot.services import Services
from bot.store import records, reports, runs, tellings
from bot.store.reports import RunNow
from bot.store.tellings import Telling
from bot.tracking.renames import followed

STATUS_MARKER = "<!-- whimbrel status -->"
REASON_LIMIT = 500
LEASE = timedelta(minutes=1)
"""For so long nobody else tells what a process has taken; a host that is out of reach is asked again after it."""

log = logging.getLogger(__name__)


def tell_due(services: Services, orgs: Sequence[OrgPolicy]) -> int:
    """Show what has changed since it was last shown; return how many comments and reports were written."""
    by_name = {org.org: org for org in orgs}
    now = services.clock.now()
    with services.database.reading() as tx:
        statuses = tellings.waiting(tx, "status", by_name, now)
        checks = tellings.waiting(tx, "check", by_name, now)
    told = [_tell_status(services, by_name[each.org], each) for each in statuses]
    told += [_report_check(services, by_name[each.org], each) for each in checks]
    return sum(told)


def describe(run: RunNow, org: OrgPolicy) -> dict[str, Any]:
    """A run for a template. `now` is how it stands, in words that are safe to show; `number` its pull request's, or None, and
    `reference` that number as people write it there."""
    return {
        "id": run.id,
        "policy": run.policy,
        "now": neutral(_words(run)),
        "number": run.number,
        "reference": org.reference(run.number or 0),
        "campaign_id": run.campaign_id,
        "campaign_state": run.campaign_state,
    }


def _tell_status(services: Services, org: OrgPolicy, telling: Telling) -> bool:
    notes = telling.data["runs"]
    with services.database.reading() as tx:
        found = reports.runs_now(tx, notes)
    lines = [describe(run, org) | {"note": neutral(notes[run.id])} for run in found]
    body = services.replies().render("comments/status.md.j2", {"runs": lines})
    digest, ended = hashlib.sha256(body.encode()).hexdigest(), all(run.state is RunState.ENDED for run in found)
    if digest == telling.data["told"] and not ended:
        return False
    repository = Repository(org.org, telling.data["repository"], "", None)
    thread = Thread(telling.data["number"], telling.data.get("kind", "issue"))

    def tell() -> None:
        services.conversation(org).tell(repository, thread, body, marker=STATUS_MARKER)

    return _tell(services, telling, tell, done=ended, told=digest)


def _report_check(services: Services, org: OrgPolicy, telling: Telling) -> bool:
    """Once the run has ended: before that nobody knows what it costs."""
    with services.database.reading() as tx:
        run = runs.get(tx, telling.data["run"])
        if run.state is not RunState.ENDED:
            return False
        report = _report(tx, services, run.id, telling.data["fence"])

    def tell() -> None:
        services.conversation(org).report_check(run.repository, telling.data["commit"], report)

    return _tell(services, telling, tell, done=True)


def _tell(services: Services, telling: Telling, tell: Callable[[], None], *, done: bool, **changes: str) -> bool:
    """Take it, tell it, note it as told. False where another process has it, or the host would not have it."""
    with services.database.transaction() as tx:
        if not tellings.take(tx, telling, services.clock.now() + LEASE):
            return False
    try:
        tell()
    except HostError as failure:
        error = followed(services, telling.org, failure)
        log.warning("%s %s is not told: %s", telling.org, dict(telling.data), error.explanation)
        if error.retryable:  # when the lease is over
            return False
        done = True
    with services.database.transaction() as tx:
        tellings.told(tx, telling, services.clock.now(), done=done, **changes)
    return True


def _report(tx: Connection, services: Services, run_id: str, fence: int) -> CheckReport:
    (run,) = reports.runs_now(tx, [run_id])
    verdict = next((each.verdict for each in records.attempts_of(tx, run_id) if each.fence == fence), None) or {}
    checks, cost = leaves_of(verdict, "checks"), dollars(run.cost)
    about = {"checks": checks, "policy": run.policy, "run": run.id, "cost": cost, "tokens": run.tokens}
    return CheckReport(
        name=f"{OWN_CHECKS}{run.policy}",
        passed=verdict.get("decision") == "pass" if verdict else None,
        title=neutral(one_line(redact(f"{verdict.get('reason', 'no verdict')}{f', {cost}' if run.tokens else ''}"))),
        summary=services.replies().render("comments/check.md.j2", about),
    )


def _words(run: RunNow) -> str:
    reason = one_line(redact(run.reason), REASON_LIMIT)
    if run.state is RunState.PENDING:
        return f"waiting: {reason}" if reason else "waiting for its turn"
    if run.state is not RunState.ENDED:
        return "publishing" if run.stage == Stage.PUBLISH else "at work"
    spent = f", {dollars(run.cost)}" if run.tokens else ""
    if run.outcome == Outcome.PUBLISHED:
        return f"{reason}{spent}"
    return f"{str(run.outcome).replace('_', ' ')}: {reason}{spent}"
