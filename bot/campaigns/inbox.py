"""The inbox: what hosts delivered is handled after it was answered, by whichever scheduler takes it.

A delivery whose handler died is taken again when its lease runs out. What must not happen twice is an effect, under the key of
what it is about (a comment, a label that was put on, a review): the same told by another delivery is the same effect.
"""

from __future__ import annotations

import functools
import logging
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from bot.campaigns import sources, ticking, triggers
from bot.campaigns.arrivals import arrived, has_arrived
from bot.domain.events import (
    ChecksChanged,
    Commented,
    Event,
    InstallationChanged,
    IssueEdited,
    Labelled,
    Ping,
    PullRequestChanged,
    Pushed,
    RepositoryChanged,
    RepositoryEvent,
    Reviewed,
)
from bot.domain.org_policies import OrgPolicy
from bot.errors import ConfigurationError, HostError, Renamed, UsageError, WhimbrelError
from bot.policy_store import Policies
from bot.services import Services
from bot.store import deliveries, effects
from bot.store.deliveries import Delivery, End
from bot.tracking.changes import installation_changed, news_of, pull_request_changed, repository_changed
from bot.tracking.renames import follow_error

BATCH = 20
LEASE = timedelta(seconds=30)
FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(hours=1)
TRIES_ALLOWED = 20
"""With the waits between them some ten hours."""
KEPT = timedelta(days=30)
TOLD_ALREADY = "it was told by another delivery already"

log = logging.getLogger(__name__)

Normalise = Callable[[str, bytes], list[Event]]
ReadPolicies = Callable[[], Policies]


@dataclass(frozen=True, slots=True)
class Inbox:
    """`normalise` tells the events of a delivery's body, by the kind of its host; it raises HostError for a malformed one."""

    services: Services
    normalise: Mapping[str, Normalise]

    def handle_pending(self) -> int:
        """Handle some of the deliveries that wait; return how many were taken. Raises StoreError."""
        services = self.services
        with services.database.transaction(durable=False) as tx:
            now = services.clock.now()  # a writer may have waited long for its turn
            taken = deliveries.take(tx, now=now, lease=LEASE, limit=BATCH)
        policies = functools.cache(lambda: services.catalogue().policies)
        for delivery in taken:
            if services.clock.now() >= now + LEASE:
                break  # the rest is another one's by now
            self._handle(delivery, policies)
        return len(taken)

    def _handle(self, delivery: Delivery, policies: ReadPolicies) -> None:
        """Every error becomes an end of the delivery, or another try, here and nowhere else."""
        try:
            self._end(delivery, *self._read(delivery, policies))
        except WhimbrelError as error:
            self._end_or_put_back(delivery, error)
        except Exception:
            # Ours to mend: with this one out of the way, the next ones are handled.
            log.exception("delivery %s (%s) failed", delivery.id, delivery.event)
            self._end(delivery, "failed", f"internal error: {traceback.format_exc(limit=0).strip()}")

    def _read(self, delivery: Delivery, policies: ReadPolicies) -> tuple[End, str]:
        if delivery.tries > TRIES_ALLOWED:
            return "failed", f"whoever took it died of it, {TRIES_ALLOWED} times"
        events = [_own(delivery, event) for event in self.normalise[delivery.host](delivery.event, delivery.body)]
        reasons = [self._dispatch(delivery, event, policies) for event in events]
        if not reasons:
            return "ignored", "nothing follows such an event"
        return ("ignored" if all(reasons) else "done"), "; ".join(filter(None, reasons))

    def _dispatch(self, delivery: Delivery, event: Event, policies: ReadPolicies) -> str:
        """Who handles what. Returns why nothing was done, or an empty text."""
        if isinstance(event, InstallationChanged):
            return self._install(delivery, event)
        if isinstance(event, Ping):
            return ""
        place = policies().place_of(event.repository)
        if place is None:
            return f"no org policy is for {event.repository.org} on {event.repository.host}"
        org, event = place[0], replace(event, repository=place[1])
        try:
            return self._act(delivery, org, event)
        except Renamed as error:
            name = follow_error(self.services, org.org, error)
            return self._act(delivery, org, replace(event, repository=replace(event.repository, name=name)))

    def _act(self, delivery: Delivery, org: OrgPolicy, event: RepositoryEvent) -> str:
        if isinstance(event, PullRequestChanged | Pushed):
            sources.expect_news(self.services, org, event)
        match event:
            case Labelled() | Commented() | Reviewed():
                if isinstance(event, Reviewed):
                    news_of(self.services, org, event)
                return self._trigger_once(delivery, org, event)
            case IssueEdited():
                return self._trigger_once(delivery, org, event) if ticking.has_ticks(event) else ticking.NO_TICK
            case PullRequestChanged():
                pull_request_changed(self.services, org, event)
            case RepositoryChanged():
                repository_changed(self.services, org, event)
            case ChecksChanged() | Pushed():
                news_of(self.services, org, event)
        if isinstance(event, RepositoryChanged | Pushed) and has_arrived(event):
            return arrived(self.services, org, event.repository.name)
        return ""

    def _trigger_once(self, delivery: Delivery, org: OrgPolicy, event: triggers.Trigger | IssueEdited) -> str:
        services = self.services
        with services.database.transaction() as tx:
            now = services.clock.now()
            mine = deliveries.renew(tx, delivery, until=now + LEASE)
            if not mine or not effects.begin(tx, org.org, event.key, by=delivery.id, now=now):
                return TOLD_ALREADY
        reason = ticking.handle(services, event) if isinstance(event, IssueEdited) else triggers.handle(services, event)
        with services.database.transaction() as tx:
            effects.finish(tx, org.org, event.key, reason, services.clock.now())
        return reason

    def _install(self, delivery: Delivery, event: InstallationChanged) -> str:
        # A power cut that undoes it undoes what is told of the delivery after it, too: it is handled again.
        with self.services.database.transaction(durable=False) as tx:
            if not effects.do_once(tx, event.org, f"installation:{delivery.sha256}", self.services.clock.now()):
                return TOLD_ALREADY
            installation_changed(tx, self.services, event)
        return ""

    def _end_or_put_back(self, delivery: Delivery, error: WhimbrelError) -> None:
        # What is wrong with the set-up or the policies, the operator will mend.
        passing = error.retryable or isinstance(error, ConfigurationError | UsageError)
        if not passing:
            self._end(delivery, "failed", error.explanation)
        elif delivery.tries >= TRIES_ALLOWED:
            self._end(delivery, "failed", f"given up after {delivery.tries} tries: {error.explanation}")
        else:
            wait = timedelta(seconds=error.retry_after) if error.retry_after else _wait(delivery.tries)
            with self.services.database.transaction(durable=False) as tx:
                not_before = self.services.clock.now() + wait
                deliveries.put_back(tx, delivery, error.explanation, not_before=not_before)

    def _end(self, delivery: Delivery, state: End, reason: str) -> None:
        if state == "failed":
            log.warning("delivery %s (%s) failed: %s", delivery.id, delivery.event, reason)
        # Undone by a power cut, it is handled again, which has no second effect.
        with self.services.database.transaction(durable=False) as tx:
            deliveries.end(tx, delivery, state, reason, self.services.clock.now())


def forget_old(services: Services) -> int:
    """Delete what was handled long ago; return how many. By then no host delivers it again."""
    with services.database.transaction(durable=False) as tx:
        return deliveries.forget(tx, before=services.clock.now() - KEPT)


def _own(delivery: Delivery, event: Event) -> Event:
    """An instance speaks of itself alone, whatever it says. Raises HostError."""
    if isinstance(event, Ping):
        return event
    own = ", ".join(sorted(delivery.signers)) or "nobody"
    host = event.host if isinstance(event, InstallationChanged) else event.repository.host
    if host in delivery.signers:
        return event
    if host or isinstance(event, InstallationChanged) or len(delivery.signers) != 1:
        raise HostError(f"it speaks of {host or 'its own host'}, and is signed with the secret of {own}")
    return replace(event, repository=replace(event.repository, host=own))


def _wait(tries: int) -> timedelta:
    return min(LONGEST_WAIT, FIRST_WAIT * (1 << tries - 1))
