"""Campaigns that nobody asks for by hand: what is due is noted once, and started by whichever scheduler takes it.

A plan takes long, and whoever makes it may die of it. So a slot is a row that is taken under a lease, and the transaction that
starts the campaign is the one that ends the row: a slot is never run twice, and is lost only when its grace is over.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.campaigns.activation import activate_within
from bot.campaigns.planning import make_plan
from bot.domain.org_policies import OrgPolicy
from bot.domain.policies import CampaignPolicy
from bot.domain.repositories import Repository
from bot.domain.schedules import Schedule, due
from bot.errors import QuotaRefused, UsageError, WhimbrelError
from bot.policy_store import Catalogue
from bot.services import Services
from bot.store import audit, starts
from bot.store.starts import End, Start

LEASE = timedelta(minutes=5)
"""For so long nobody else takes what somebody has taken; making a long plan renews it."""
KEPT = timedelta(days=90)
"""Longer than any slot is looked back for."""
WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(minutes=30)

log = logging.getLogger(__name__)


class Taken(Exception):
    """Somebody else has taken the slot meanwhile: it is theirs."""


def start_due(services: Services) -> int:
    """Note what has come to be due, and start one campaign of what waits; return how many were taken. Raises PolicyError."""
    catalogue = services.catalogue()
    note_due(services, catalogue)
    now = services.clock.now()
    with services.database.transaction() as tx:
        start = starts.take(tx, catalogue.policies.orgs, now=now, lease=LEASE)
    if start is None:
        return 0
    _Starting(services, catalogue, start).do()
    return 1


def forget_ended(services: Services) -> int:
    """Delete what ended long ago; return how many. The audit trail still knows of it."""
    with services.database.transaction(durable=False) as tx:
        return starts.forget(tx, before=services.clock.now() - KEPT)


def note_due(services: Services, catalogue: Catalogue) -> None:
    """Have each slot that was reached since somebody looked be run, or known as missed."""
    now = services.clock.now()
    with services.database.reading() as tx:
        known = starts.decided(tx)
    for schedule in schedules(catalogue):
        until = known.get((schedule.org, schedule.policy, schedule.cron, schedule.timezone))
        if until is None or schedule.due_at(next(schedule.slots(until))) <= now:
            _decide(services, schedule, now)


def schedules(catalogue: Catalogue) -> Iterator[Schedule]:
    """Of each policy that may run on an org."""
    for org in catalogue.policies.orgs.values():
        for policy in catalogue.listed(org):
            if (found := schedule_of(org, policy)) is not None:
                yield found


def schedule_of(org: OrgPolicy, policy: CampaignPolicy) -> Schedule | None:
    on = policy.on
    if on.schedule is None:
        return None
    grace, jitter = (timedelta(minutes=each) for each in (on.schedule_grace_minutes, on.schedule_jitter_minutes))
    return Schedule(org.org, policy.name, on.schedule, org.timezone, grace, jitter)


def _decide(services: Services, schedule: Schedule, now: datetime) -> None:
    with services.database.transaction() as tx:
        found = due(schedule, starts.lock(tx, schedule, now), now)
        for missed in found.missed:
            noted = starts.note(
                tx, schedule.org, schedule.policy, "schedule", missed.slot,
                late_at=schedule.late_at(missed.slot), now=now, missed=missed.reason,
            )  # fmt: skip
            if noted:
                audit.append(
                    tx, services.audit_key, services.clock, org=schedule.org, actor="schedule", action="schedule.missed",
                    subject=schedule.policy, reason=missed.reason, details={"slot": missed.slot.isoformat()},
                )  # fmt: skip
        if found.run is not None:
            late_at = schedule.late_at(found.run)
            starts.note(tx, schedule.org, schedule.policy, "schedule", found.run, late_at=late_at, now=now)
        starts.decide(tx, schedule, found.until)


@dataclass(slots=True)
class _Starting:
    """The making of one start, by the one who has taken it."""

    services: Services
    catalogue: Catalogue
    start: Start
    _renewed: float = float("-inf")

    def do(self) -> None:
        """Every error becomes an end of it, or another try, here and nowhere else."""
        try:
            if self.services.clock.now() >= self.start.late_at:
                self._end("failed", f"given up: {self.start.reason or 'whoever took it died of it'}")
            else:
                self._start()
        except Taken:
            log.info("%s of %s was taken by another scheduler", self.start.policy, self.start.org)
        except (UsageError, QuotaRefused) as error:
            self._end("refused", error.explanation)
        except WhimbrelError as error:
            self._put_back(error)
        except Exception:
            # Ours to mend: with this one out of the way, the next ones are started.
            log.exception("%s of %s could not be started", self.start.policy, self.start.org)
            self._end("failed", f"internal error: {traceback.format_exc(limit=0).strip()}")

    def _start(self) -> None:
        services, start = self.services, self.start
        chosen = self.catalogue.choose(start.policy, start.org)
        plan = make_plan(
            services, chosen.org, chosen.policy, chosen.templates, chosen.revision, source=chosen.source, seen=self._keep
        )
        if not plan.targets:
            self._end("nothing", f"nothing to do: each of {len(plan.entries)} repositories would be skipped (plan {plan.id})")
            return
        now = services.clock.now()
        with services.database.transaction() as tx:
            # First, so that a slot which is another's by now starts nothing.
            if not starts.renew(tx, start, until=now + LEASE):
                raise Taken
            made = activate_within(tx, services, plan, chosen.policy, chosen.org, actor=start.cause)
            words = f"{len(plan.targets)} targets, {len(plan.entries) - len(plan.targets)} repositories skipped"
            starts.end(tx, start, "joined" if made.joined else "started", words, now, campaign_id=made.campaign_id)

    def _keep(self, _: Repository) -> None:
        """Renew the lease now and then, while the plan is made. Raises Taken."""
        clock = self.services.clock
        if clock.monotonic() - self._renewed < LEASE.total_seconds() / 5:
            return
        self._renewed = clock.monotonic()
        with self.services.database.transaction(durable=False) as tx:
            if not starts.renew(tx, self.start, until=clock.now() + LEASE):
                raise Taken

    def _put_back(self, error: WhimbrelError) -> None:
        wait = timedelta(seconds=error.retry_after) if error.retry_after else _wait(self.start.tries)
        with self.services.database.transaction() as tx:
            starts.put_back(tx, self.start, error.explanation, not_before=self.services.clock.now() + wait)

    def _end(self, state: End, reason: str) -> None:
        services, start = self.services, self.start
        with services.database.transaction() as tx:
            if starts.end(tx, start, state, reason, services.clock.now()) and state != "nothing":
                audit.append(
                    tx, services.audit_key, services.clock, org=start.org, actor=start.cause, action=f"schedule.{state}",
                    subject=start.policy, reason=reason, details={"slot": start.slot.isoformat()},
                )  # fmt: skip


def _wait(tries: int) -> timedelta:
    return min(LONGEST_WAIT, WAIT * (1 << min(tries, 10) - 1))


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to come of a policy by itself, and what last came of it."""

    org: OrgPolicy
    policy: CampaignPolicy
    next: datetime | None
    next_at: datetime | None
    """With the jitter."""
    last: Start | None


def outlook(services: Services, catalogue: Catalogue, orgs: Sequence[OrgPolicy]) -> list[Outlook]:
    """Each policy of the orgs that starts by itself, and when."""
    now = services.clock.now()
    found = []
    with services.database.reading() as tx:
        for org in orgs:
            for policy in catalogue.listed(org):
                schedule = schedule_of(org, policy)
                if schedule is None and not (policy.on.repository_created or policy.on.template_changed):
                    continue
                slot = schedule.next_slot(now) if schedule else None
                last = starts.last(tx, org.org, policy.name)
                found.append(Outlook(org, policy, slot, schedule.due_at(slot) if schedule and slot else None, last))
    return found
