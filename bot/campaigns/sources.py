"""Policies from an org's own repository: looked for, read as data, validated, and taken into use, or refused with the reason.

What is in use is in SQL, so that every process has the same, also while the host is out of reach. A commit that is broken
changes nothing: the last one that could be used stays.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from bot.domain.events import PullRequestChanged, Pushed
from bot.domain.markdown import fenced
from bot.domain.org_policies import OrgPolicy
from bot.domain.policy_sources import CAMPAIGNS, ORGS, TEMPLATES, Sourced, changed, check_source, parse_source
from bot.domain.pull_requests import CheckReport
from bot.domain.redaction import one_line
from bot.domain.repositories import Repository
from bot.errors import HostError, NotFound, PolicyError, WhimbrelError
from bot.git import Mirror, read_folder
from bot.policy_store import Catalogue
from bot.ports import Host, ListsPullRequests
from bot.services import Services
from bot.store import audit, policy_sources, starts, tellings
from bot.store.policy_sources import Source

CHECK = "whimbrel/policies"
LOOK_EVERY = timedelta(minutes=5)
"""For what no webhook told of, and hosts without any."""
START_WITHIN = timedelta(days=1)

log = logging.getLogger(__name__)


def look_after(services: Services) -> int:
    """Look at each org's own repository whose time has come; return at how many. What is wrong with one holds up no other."""
    catalogue = services.catalogue()
    return sum(_look_after(services, catalogue, org) for org in catalogue.policies.orgs.values() if org.policies_from)


def expect_news(services: Services, org: OrgPolicy, event: Pushed | PullRequestChanged) -> None:
    """The host told of a change: where it is of the repository that policies come from, it is looked at soon."""
    if org.policies_from is not None and event.repository.name == org.policies_repository:
        with services.database.transaction() as tx:
            policy_sources.expect_news(tx, org.org, services.clock.now())


def look(services: Services, catalogue: Catalogue, org: OrgPolicy) -> None:
    """Read what the branch points at, unless that was read already. Raises HostUnavailable or GitError where it cannot be."""
    with services.database.transaction() as tx:
        policy_sources.expect(tx, org, services.clock.now())
        source = policy_sources.find(tx, org)
    assert source is not None, "it is expected"
    try:
        fetched = fetch(services, org)
    except NotFound as error:
        with services.database.transaction() as tx:
            policy_sources.note_problem(tx, source, str(error))
        return
    if fetched.commit != source.seen or source.problem:  # which the operator may have mended
        _take_up(services, catalogue, org, source, fetched)


@dataclass(frozen=True, slots=True)
class Fetched:
    """The repository's mirror, the `commit` that policies come from, and the head of each branch that was fetched with it."""

    repository: Repository
    mirror: Mirror
    commit: str
    heads: Mapping[str, str | None]


def fetch(services: Services, org: OrgPolicy, *branches: str) -> Fetched:
    """The branch that `policies_from` names, and others. Raises NotFound where it is not there."""
    host = services.host(org)
    repository, branch = place_of(host, org)
    mirror = Mirror.open(services.mirrors, org.org, repository.name)
    heads = mirror.fetch(host.remote(repository), [branch, *branches])
    commit = heads[branch]
    if commit is None:
        raise NotFound(f"{repository.full_name} has no branch {branch}")
    return Fetched(repository, mirror, commit, heads)


def place_of(host: Host, org: OrgPolicy) -> tuple[Repository, str]:
    """The repository and the branch that policies come from. Raises NotFound."""
    assert org.policies_from is not None
    repository = host.repository(org.org, org.policies_repository)
    branch = org.policies_from.ref or repository.default_branch
    if not branch:
        raise NotFound(f"{repository.full_name} has no commit yet")
    return repository, branch


def note_proposals(services: Services, org: OrgPolicy) -> None:
    """Have each open pull request to that branch be told what it would come to, once for each commit that it is at."""
    host = services.host(org)
    if not isinstance(host, ListsPullRequests):
        return
    repository, branch = place_of(host, org)
    for found in host.pull_requests_to(repository, branch):
        with services.database.transaction() as tx:
            now = services.clock.now()
            tellings.intend_proposal(tx, org.org, repository.name, found.number, found.branch, found.head, now)


def read(catalogue: Catalogue, org: OrgPolicy, mirror: Mirror, commit: str) -> tuple[Sourced, dict[str, str]]:
    """What the repository holds at a commit, parsed, and its files. Raises PolicyError."""
    assert org.policies_from is not None
    folder, source = org.policies_from.folder, f"{org.org}/{org.policies_repository}@{commit}"
    files = read_folder(mirror, commit, folder, [each.rstrip("/") for each in (CAMPAIGNS, TEMPLATES, ORGS)])
    found = parse_source(files, source, catalogue.packaged, folder)
    check_source(org, found, catalogue.policies.campaigns)
    return found, files


def _look_after(services: Services, catalogue: Catalogue, org: OrgPolicy) -> bool:
    now = services.clock.now()
    try:
        with services.database.transaction() as tx:
            policy_sources.expect(tx, org, now)
            taken = policy_sources.take_look(tx, org.org, now=now, every=LOOK_EVERY)
        if taken:
            look(services, catalogue, org)
            note_proposals(services, org)
        _tell(services, org)
    except WhimbrelError as error:
        log.warning("policies of %s are looked for again: %s: %s", org.org, type(error).__name__, error.explanation)
        return False
    return taken


def _take_up(services: Services, catalogue: Catalogue, org: OrgPolicy, source: Source, fetched: Fetched) -> None:
    """Into use with it, or say why not: both with the audit event, and with what is to be started."""
    commit = fetched.commit
    try:
        found, files = read(catalogue, org, fetched.mirror, commit)
    except PolicyError as error:
        if (commit, error.explanation) != (source.seen, source.problem):
            _refuse(services, source, commit, error)
        return
    names = _changed(catalogue, source, found)
    begin = [name for name in names if source.commit and name in org.campaigns and found.campaigns[name].on.template_changed]
    now = services.clock.now()
    with services.database.transaction() as tx:
        if not policy_sources.adopt(tx, source, commit, files):
            return
        audit.append(
            tx, services.audit_key, services.clock, org=org.org, actor="whimbrel", action="policies.adopted",
            subject=found.source, details={"before": source.commit, "changed": names, "policies": sorted(found.campaigns)},
        )  # fmt: skip
        for name in begin:
            starts.note(tx, org.org, name, "template_changed", now, late_at=now + START_WITHIN, now=now)


def _changed(catalogue: Catalogue, source: Source, found: Sourced) -> list[str]:
    """The policies that come to another change than they did; all, where nobody can say what they did."""
    try:
        return changed(parse_source(source.files, source.name, catalogue.packaged), found)
    except PolicyError:  # of another version of the bot
        return sorted(found.campaigns)


def _refuse(services: Services, source: Source, commit: str, error: PolicyError) -> None:
    with services.database.transaction() as tx:
        if policy_sources.refuse(tx, source, commit, error.explanation):
            audit.append(
                tx, services.audit_key, services.clock, org=source.org, actor="whimbrel", action="policies.refused",
                subject=f"{source.org}/{source.repository}@{commit}", reason=error.explanation,
                details={"in_use": source.commit},
            )  # fmt: skip


def _tell(services: Services, org: OrgPolicy) -> None:
    """Show what became of the commit that was read last, beside it."""
    with services.database.reading() as tx:
        source = policy_sources.find(tx, org)
    if source is None or source.told:
        return
    report = report_of(source.problem, f"`{source.commit[:12]}` stays in use." if source.commit else "No policies are in use.")
    try:
        repository = Repository(org.org, source.repository, "", None)
        services.conversation(org).report_check(repository, source.seen, report)
    except HostError as error:
        if error.retryable:
            raise
        log.warning("what became of %s is not shown there: %s", source.seen, error.explanation)
    with services.database.transaction() as tx:
        policy_sources.note_told(tx, source)


def report_of(problem: str, otherwise: str, summary: str = "These policies are in use.") -> CheckReport:
    """The check on a commit; `otherwise` is what holds where it has a problem."""
    if not problem:
        return CheckReport(CHECK, passed=True, title="The policies can be used", summary=summary)
    return CheckReport(CHECK, passed=False, title=one_line(problem), summary=f"{fenced(problem)}\n\n{otherwise}")
