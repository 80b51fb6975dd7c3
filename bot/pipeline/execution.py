"""A job's work: claim the run, attempt it, write down how it ended. This is where every error becomes an outcome."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from sqlalchemy import Connection

from bot.domain.money import decimal_usd, month_of
from bot.domain.retries import again
from bot.domain.states import Outcome
from bot.domain.variables import inputs_digest
from bot.errors import ChangeRefused, DiskFull, FenceLost, QuotaRefused, WhimbrelError
from bot.pipeline.assignment import Assignment, Ended
from bot.pipeline.attempt import attempt
from bot.pipeline.lease import LEASE, Lease
from bot.pipeline.recorder import Recorder
from bot.pipeline.starting import OptedOut
from bot.services import Services
from bot.store import audit, campaigns, ledger, looked, records, refreshes, runs
from bot.store.ledger import Accounts
from bot.tracking.renames import followed


def execute(services: Services, run_id: str, fence: int, *, worker: str) -> Ended | None:
    """Make one attempt of a dispatched run; None when it is not this fence's (any more), or another attempt will follow."""
    claimed = _claim(services, run_id, fence, worker)
    if claimed is None:
        return None
    assignment, accounts = claimed
    recorder = Recorder(services, assignment.run)
    began = services.clock.monotonic()
    with Lease(services, assignment.run) as lease:
        try:
            with disk_full_told():
                ended = attempt(services, assignment, accounts, recorder, lease)
            error = None
        except FenceLost:
            return None
        except OptedOut as reason:
            ended, error = Ended(Outcome.SKIPPED, str(reason)), None
        except WhimbrelError as told:
            error = followed(services, assignment.run.org, told)
            ended = explain(error)
        except Exception:
            # Ours to mend, not the repository's: it is told as a failure, with its trace in the record.
            recorder.artifact("traceback", traceback.format_exc().encode())
            ended = Ended(Outcome.FAILED, f"internal error: {traceback.format_exc(limit=0).strip()}", error="internal")
            _finish(services, assignment, recorder, ended, 0)
            raise
    duration_ms = int((services.clock.monotonic() - began) * 1000)
    if error is not None:
        if _try_again(services, assignment, error):
            return None
        if error.retryable:
            ended = replace(ended, reason=f"given up after {assignment.run.attempts} attempts: {ended.reason}")
    return _finish(services, assignment, recorder, ended, duration_ms)


@contextmanager
def disk_full_told() -> Iterator[None]:
    """Any write of an attempt may find no room: that passes, once somebody has made some."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFull(str(error)) from error


def execute_preview(services: Services, campaign_id: str, *, worker: str) -> None:
    """Attempt a preview's runs here and now, until each has ended."""
    while True:
        with services.database.transaction() as tx:
            taken = runs.dispatch_preview(tx, campaign_id, now=services.clock.now(), lease=LEASE)
        if not taken:
            return
        for item in taken:
            execute(services, item.run_id, item.fence, worker=worker)


def explain(error: WhimbrelError) -> Ended:
    """The outcome that an error stands for, in its own words."""
    match error:
        case QuotaRefused():
            return Ended(Outcome.BUDGET_EXHAUSTED, str(error), error=error.code)
        case ChangeRefused():
            return Ended(Outcome.REJECTED, str(error), error=error.code)
        case _:
            return Ended(Outcome.FAILED, error.explanation, error=error.code)


def _claim(services: Services, run_id: str, fence: int, worker: str) -> tuple[Assignment, Accounts] | None:
    now = services.clock.now()
    with services.database.transaction() as tx:
        run = runs.claim(tx, run_id, fence, worker=worker, now=now, lease=LEASE)
        if run is None:
            return None
        campaign = campaigns.get(tx, run.campaign_id)
        org, policy = campaign.org_policy, campaign.policy
        accounts = Accounts(
            org=ledger.open_account(tx, "org", run.org, month_of(now, org.timezone), org.quota.month),
            campaign=ledger.open_account(tx, "campaign", campaign.id, "", policy.budget.campaign),
            attempt=ledger.ensure_account(tx, "attempt", run.attempt_key, "", policy.budget.attempt),
        )
        audit.append(
            tx, services.audit_key, services.clock, org=run.org, actor=campaign.actor, action="attempt.started",
            subject=run.attempt_key, details={"target": run.target, "policy": policy.name, "worker": worker},
        )  # fmt: skip
    return Assignment(run, campaign, policy), accounts


def _finish(services: Services, assignment: Assignment, recorder: Recorder, ended: Ended, duration_ms: int) -> Ended | None:
    """The last word of a run, its cost and its audit event, in one transaction."""
    try:
        with services.database.transaction() as tx:
            runs.end(
                tx, assignment.run, ended.outcome, ended.reason, now=services.clock.now(), duration_ms=duration_ms,
                files_changed=len(ended.files), publication_id=ended.publication_id,
            )  # fmt: skip
            _remember(tx, services, assignment, ended)
            cost = _charge(tx, services, assignment)
            records.add_entry(
                tx, assignment.run.id, assignment.run.fence, at=services.clock.now(), stage="", message=ended.reason,
                data={"outcome": ended.outcome.value, "cost_usd": cost},
            )  # fmt: skip
            failed = ended.outcome in (Outcome.FAILED, Outcome.BUDGET_EXHAUSTED)
            _audit(tx, services, assignment, "attempt.failed" if failed else "attempt.succeeded", ended.reason, {
                "outcome": ended.outcome.value,
                "files": list(ended.files),
                "prompts_sha256": recorder.prompts,
                "error": ended.error or None,
                "duration_ms": duration_ms,
                "cost_usd": cost,
            })  # fmt: skip
    except FenceLost:
        return None
    return ended


def _remember(tx: Connection, services: Services, assignment: Assignment, ended: Ended) -> None:
    """What need not be looked at again as long as it is unchanged, and what is not needed any more."""
    run, campaign = assignment.run, assignment.campaign
    if campaign.preview:
        return
    if ended.done:
        refreshes.needed_no_more(tx, assignment.change, ended.reason, services.clock.now())
    if not ended.looked:
        return
    looked.record(
        tx, assignment.change, run, revision=campaign.revision,
        inputs=inputs_digest(run.repository, campaign.policy, path=run.path, base=run.base),
        outcome=ended.outcome, reason=ended.reason, now=services.clock.now(),
    )  # fmt: skip


def _try_again(services: Services, assignment: Assignment, error: WhimbrelError) -> bool:
    """Hand a run back whose error may pass by itself, or may not come again."""
    run, now = assignment.run, services.clock.now()
    allowed = assignment.campaign.org_policy.ceilings.attempts_per_run
    following = again(error, tries=run.tries, setbacks=run.setbacks, tries_allowed=allowed)
    if following is None:
        return False
    not_before = now + following.after
    try:
        with services.database.transaction() as tx:
            runs.hand_back(tx, run, error.explanation, now=now, not_before=not_before, count=following.counts_as)
            _charge(tx, services, assignment)
            _audit(tx, services, assignment, "attempt.retried", error.explanation, {"again_after": not_before.isoformat()})
    except FenceLost:
        pass
    return True


def _charge(tx: Connection, services: Services, assignment: Assignment) -> str:
    cost, tokens = ledger.close_attempt(tx, assignment.run.attempt_key, clock=services.clock)
    runs.add_cost(tx, assignment.run, cost, tokens)
    return decimal_usd(cost)


def _audit(
    tx: Connection, services: Services, assignment: Assignment, action: str, reason: str, details: dict[str, object]
) -> None:
    run = assignment.run
    audit.append(
        tx, services.audit_key, services.clock, org=run.org, actor=run.worker, action=action, subject=run.attempt_key,
        reason=reason, details={"target": run.target, "policy": assignment.policy.name, **details},
    )  # fmt: skip
