"""Pull requests follow their base: one that conflicts with it is brought up to date by itself, any other when somebody asks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection

from bot.campaigns import control
from bot.domain.markdown import neutral
from bot.domain.org_policies import OrgPolicy
from bot.domain.pull_requests import PullRequestState
from bot.domain.repositories import Repository
from bot.domain.states import RunState
from bot.errors import HostError, UsageError
from bot.services import Services
from bot.store import audit, campaigns, effects, publications, refreshes, runs
from bot.store.publications import Publication
from bot.store.runs import Run
from bot.store.waves import OWN
from bot.tracking.pull_requests import settle

REFRESH_EVERY = timedelta(hours=1)
"""No pull request is brought up to date by itself more often, however often its base moves."""

log = logging.getLogger(__name__)


def refresh_conflicting(services: Services, orgs: Sequence[OrgPolicy]) -> int:
    """Rebase what has come to conflict with its base, once a head of its branch; return how many."""
    return sum(_refresh(services, each) for org in orgs for each in _conflicting(services, org))


def _conflicting(services: Services, org: OrgPolicy) -> list[Publication]:
    with services.database.reading() as tx:
        return refreshes.conflicting(tx, org.org, not_since=services.clock.now() - REFRESH_EVERY)


def _refresh(services: Services, publication: Publication) -> bool:
    """False where its run is at work, or its campaign is held: it is looked at again the next time."""
    now = services.clock.now()
    try:
        with services.database.transaction() as tx:
            run = runs.newest(tx, publication.change)
            if run is None or run.state is not RunState.ENDED:
                return False
            if not refreshes.begin(tx, publication, now, not_since=now - REFRESH_EVERY):
                return False
            control.rebase_alone(tx, services, run, actor="whimbrel")
            return True
    except UsageError as error:
        log.info("%s #%s conflicts with its base, and waits: %s", publication.change.repository, publication.number, error)
        return False


def close_done(services: Services, orgs: Sequence[OrgPolicy]) -> int:
    """Close what its base needs no more, with words; return how many. One with commits by people is theirs, and told so."""
    closed = 0
    for org in orgs:
        with services.database.reading() as tx:
            done = refreshes.to_be_closed(tx, org.org)
        for publication in done:
            try:
                closed += _close_done(services, org, publication)
            except HostError as error:
                log.warning("%s #%s is not closed yet: %s", publication.change.repository, publication.number, error)
    return closed


def _close_done(services: Services, org: OrgPolicy, publication: Publication) -> bool:
    change, number = publication.change, publication.number
    key = f"done:{publication.id}:{number}:{publication.facts.seen_head}"
    with services.database.reading() as tx:
        run = runs.newest(tx, change)
        left = publication.facts.edited > 0 and effects.is_done(tx, org.org, key)
    if number is None or left or (run is not None and run.state is not RunState.ENDED):
        return False
    repository = Repository(change.org, change.repository, change.base, None)
    said = f"`{change.base}` needs this no more: {neutral(publication.done)}."
    if publication.facts.edited > 0:
        said += " There are commits by people on the branch, so it is left open: close it, or go on with it."
    services.host(org).comment(repository, number, said, marker=f"<!-- whimbrel {key} -->")
    if publication.facts.edited > 0:
        with services.database.transaction() as tx:
            effects.do_once(tx, org.org, key, services.clock.now())
        return False
    services.conversation(org).close_pull_request(repository, number)
    if not settle(services, publication, PullRequestState.CLOSED, OWN, publication.done):
        return False
    with services.database.transaction() as tx:
        refreshes.closed_as_done(tx, publication)
    return True


def take_over(tx: Connection, services: Services, publication: Publication, run: Run | None, head: str, *, actor: str) -> None:
    """Somebody gives the bot the branch as it is at `head`, with people's commits, and the run goes on. Raises UsageError.

    Without a run, the next plan of the policy has it as a target.
    """
    change = publication.change
    refreshes.take_over(tx, publication, head, actor, services.clock.now())
    audit.append(
        tx, services.audit_key, services.clock, org=change.org, actor=actor, action="pull_request.taken_over",
        subject=f"{change.org}/{change.repository}#{publication.number}",
        details={"policy": change.policy, "branch": publication.branch, "head": head},
    )  # fmt: skip
    if run is not None:
        control.rebase_alone(tx, services, run, actor=actor)


def rebase_runs(services: Services, run_ids: Sequence[str], *, actor: str, taking_over: bool) -> int:
    """Rebase what these runs have published, as it is on the host now; return how many. Raises UsageError, HostError."""
    for run_id in run_ids:
        run, publication = _published(services, run_id)
        head = _head_on_host(services, run, publication) if taking_over else ""
        with services.database.transaction() as tx:
            if taking_over:
                take_over(tx, services, publication, run, head, actor=actor)
            else:
                control.rebase_alone(tx, services, run, actor=actor)
    return len(run_ids)


def _published(services: Services, run_id: str) -> tuple[Run, Publication]:
    with services.database.reading() as tx:
        run = runs.get(tx, run_id)
        policy = campaigns.get(tx, run.campaign_id).policy.name
        change = publications.Change(run.org, policy, run.repository.name, run.base, run.path)
        publication, newest = publications.find(tx, change), runs.newest(tx, change)
    if publication is None or publication.state != "open":
        raise UsageError(f"{run_id} has no pull request that is open")
    if newest is not None and newest.id != run_id:
        raise UsageError(f"{newest.id} has worked on its pull request since", mend=f"name {newest.id}")
    return run, publication


def _head_on_host(services: Services, run: Run, publication: Publication) -> str:
    with services.database.reading() as tx:
        org = campaigns.get(tx, run.campaign_id).org_policy
    found = services.host(org).pull_requests(Repository(run.org, run.repository.name, run.base, None), publication.branch)
    head = next((each.head for each in found if each.number == publication.number), None)
    if head is None:
        raise UsageError(f"the host shows #{publication.number} of {run.repository.full_name} no more")
    return head
