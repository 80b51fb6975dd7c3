"""What somebody who may asks for in an issue or a pull request, and the answer. Each acts on that repository alone."""

from __future__ import annotations

import glob
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from bot.campaigns import control, refreshing
from bot.campaigns.activation import activate
from bot.campaigns.planning import make_plan
from bot.domain.commands import USAGE, Command, Verb
from bot.domain.org_policies import OrgPolicy
from bot.domain.policies import CampaignPolicy
from bot.domain.pull_requests import PullRequest, PullRequestState, Thread
from bot.domain.repositories import Repository
from bot.domain.states import RunState
from bot.errors import HostError, HostUnavailable, NotFound, UsageError
from bot.policy_store import Catalogue, Chosen, nearest
from bot.ports import Conversation, DecidesPullRequests
from bot.services import Services
from bot.store import audit, campaigns, effects, publications, reports, runs, tellings
from bot.store.campaigns import Plan, PlanEntry
from bot.store.publications import Change, Publication
from bot.store.runs import Run
from bot.tracking.pull_requests import settle
from bot.tracking.telling import describe

RUNS_SHOWN = 10

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ask:
    """Who asks, where, and what it takes to answer. `key` is the event's own."""

    services: Services
    conversation: Conversation
    catalogue: Catalogue
    org: OrgPolicy
    repository: Repository
    thread: Thread
    login: str
    key: str

    @property
    def number(self) -> int:
        return self.thread.number

    @property
    def place(self) -> str:
        """The issue or pull request, as people write it there."""
        return self.org.reference(self.number, self.thread.kind)

    @property
    def actor(self) -> str:
        """Such as `github:mia`: no user of the operator's machine has that name."""
        return f"{self.org.host_kind}:{self.login}"


@dataclass(frozen=True, slots=True)
class Reply:
    """A comment: a template below comments/, and what it sees."""

    template: str
    variables: Mapping[str, Any] = field(default_factory=dict)


def answer(ask: Ask, command: Command, *, by_label: bool = False) -> Reply | None:
    """Do it; None where the comment that follows the run is the answer. Raises UsageError or QuotaRefused."""
    match command.verb:
        case Verb.RUN:
            return _run(ask, _chosen(ask, command.policy, by_label=by_label))
        case Verb.PLAN:
            return _plan(ask, _chosen(ask, command.policy))
        case Verb.RETRY:
            return _retry(ask, command.words)
        case verb:
            return _WITHOUT_WORDS[verb](ask)


def _chosen(ask: Ask, name: str, *, by_label: bool = False) -> Chosen:
    admitted = [policy.name for policy in ask.catalogue.listed(ask.org) if by_label or policy.on.comment]
    if name not in admitted:
        near = nearest(name, admitted)
        mend = f"did you mean `{near}`?" if near else "`/whimbrel help` lists those that are"
        raise UsageError(f"no policy `{name}` of {ask.org.org} is started by comments", mend=mend)
    return ask.catalogue.choose(name, ask.org.org)


def _planned(ask: Ask, chosen: Chosen) -> tuple[Plan, PlanEntry]:
    """A plan of this repository alone. Raises NotFound where the host lists it no more."""
    only = [glob.escape(ask.repository.name)]
    plan = make_plan(
        ask.services, chosen.org, chosen.policy, chosen.templates, chosen.revision, only=only, source=chosen.source
    )
    if not plan.entries:
        raise NotFound(f"there is no repository {ask.repository.full_name}")
    return plan, plan.entries[0]


def _skipped(ask: Ask, chosen: Chosen, reason: str) -> Reply:
    return Reply("skipped", {"policy": chosen.policy.name, "repository": ask.repository.full_name, "reason": reason})


def _run(ask: Ask, chosen: Chosen) -> Reply | None:
    plan, entry = _planned(ask, chosen)
    if entry.skip_reason is not None:
        return _skipped(ask, chosen, entry.skip_reason)
    activate(ask.services, plan, chosen.policy, chosen.org, actor=ask.actor, alone=True)
    target = entry.target
    change = Change(ask.org.org, chosen.policy.name, target.repository, target.base, target.path)
    with ask.services.database.transaction() as tx:
        run = runs.newest(tx, change)
        assert run is not None, "the campaign has a run for each target of the plan"
        had_ended = run.state is RunState.ENDED
        _follow(tx, ask, run, "its campaign had attempted it before; `/whimbrel retry` does so once more" if had_ended else "")
    return None


def _plan(ask: Ask, chosen: Chosen) -> Reply:
    plan, entry = _planned(ask, chosen)
    if entry.skip_reason is not None:
        return _skipped(ask, chosen, entry.skip_reason)
    return Reply("plan", {
        "policy": chosen.policy.name,
        "repository": ask.repository.full_name,
        "base": entry.target.base,
        "head": entry.target.head,
        "uses_model": chosen.policy.uses_model,
        "estimate": plan.estimate,
    })  # fmt: skip


def _retry(ask: Ask, words: str = "") -> Reply | None:
    """Attempt the run anew, on the base as it is by then; what it was told before no longer counts.

    That somebody closed the pull request counts no more either: it is opened again, or a new one is, as the host allows.
    """
    run, publication = _behind(ask)
    if publication is not None:
        _require_admitted(ask, publication.change.policy)
        _open_again(ask, publication)
    with ask.services.database.transaction() as tx:
        policy = campaigns.get(tx, run.campaign_id).policy
        _require_admitted(ask, policy.name)
        if effects.do_once(tx, ask.org.org, f"retry:{ask.key}", ask.services.clock.now()):
            control.retry_alone(tx, ask.services, run, actor=ask.actor, words=words)
            in_vain = words and not policy.uses_model
            _follow(tx, ask, run, "no step of it asks a model, so the words have no effect" if in_vain else "")
    return None


def _open_again(ask: Ask, publication: Publication) -> None:
    """A closed one, where the host lets that be and the org has room for it; otherwise a new one is opened in its turn."""
    host, state = ask.services.host(ask.org), _state_on_host(ask, publication)
    if state is PullRequestState.MERGED:
        raise UsageError(f"#{ask.number} is merged already")
    if state is PullRequestState.CLOSED and isinstance(host, DecidesPullRequests) and _has_room(ask):
        try:
            host.reopen_pull_request(ask.repository, ask.number)
        except HostUnavailable:
            raise
        except HostError as error:
            log.info("%s#%d stays closed: %s", ask.repository.full_name, ask.number, error)
            return
        state = PullRequestState.OPEN
    if state is PullRequestState.OPEN:
        settle(ask.services, publication, PullRequestState.OPEN, ask.login, f"retried by {ask.login}")


def _has_room(ask: Ask) -> bool:
    with ask.services.database.reading() as tx:
        return not publications.room(tx, ask.org.org, ask.org.ceilings, ask.services.clock.now()).reason


def _rebase(ask: Ask) -> Reply | None:
    """Bring what was published to the base as it is by then."""
    run, publication = _behind(ask)
    if publication is not None:
        _require_open(ask, publication)
    with ask.services.database.transaction() as tx:
        _require_admitted(ask, campaigns.get(tx, run.campaign_id).policy.name)
        if effects.do_once(tx, ask.org.org, f"rebase:{ask.key}", ask.services.clock.now()):
            control.rebase_alone(tx, ask.services, run, actor=ask.actor)
            _follow(tx, ask, run, "")
    return None


def _take_over(ask: Ask) -> Reply | None:
    """Give the branch to the bot, with the commits that people have put on it so far. One that was adopted starts a run."""
    publication = _published(ask)
    _require_admitted(ask, publication.change.policy)
    _require_open(ask, publication)
    found = _on_host(ask, publication)
    if found is None:
        raise UsageError(f"the host shows {ask.place} no more")
    with ask.services.database.transaction() as tx:
        run = None if publication.adopted else runs.newest(tx, publication.change)
        if effects.do_once(tx, ask.org.org, f"takeover:{ask.key}", ask.services.clock.now()):
            refreshing.take_over(tx, ask.services, publication, run, found.head, actor=ask.actor)
            if run is not None:
                _follow(tx, ask, run, "")
    return _run(ask, _chosen(ask, publication.change.policy)) if run is None else None


def _close(ask: Ask) -> Reply:
    publication = _published(ask)
    _require_admitted(ask, publication.change.policy)
    if _state_on_host(ask, publication) is PullRequestState.MERGED:
        raise UsageError(f"{ask.place} is merged already")
    ask.conversation.close_pull_request(ask.repository, ask.number)
    with ask.services.database.transaction() as tx:
        if publications.record_state(tx, publication, PullRequestState.CLOSED, ask.services.clock.now(), by=ask.login):
            audit.append(
                tx, ask.services.audit_key, ask.services.clock, org=ask.org.org, actor=ask.actor, action="pull_request.closed",
                subject=f"{ask.repository.full_name}#{ask.number}", details={"policy": publication.change.policy},
            )  # fmt: skip
    return Reply("closed", {"actor": ask.login, "policy": publication.change.policy})


def _status(ask: Ask) -> Reply:
    with ask.services.database.reading() as tx:
        found = reports.newest_runs_of(tx, ask.org.org, ask.repository.name, RUNS_SHOWN)
    return Reply("state", {"repository": ask.repository.full_name, "runs": [describe(run, ask.org) for run in found]})


def _help(ask: Ask) -> Reply:
    admitted = [policy for policy in ask.catalogue.listed(ask.org) if policy.on.comment or policy.on.label]
    return Reply("help", {
        "org": ask.org.org,
        "usages": list(USAGE.values()),
        "permission": ask.org.may_trigger.permission,
        "teams": ask.org.may_trigger.teams,
        "policies": [_shown(policy) for policy in admitted],
    })  # fmt: skip


def _shown(policy: CampaignPolicy) -> dict[str, Any]:
    return {"name": policy.name, "description": policy.description, "comment": policy.on.comment, "label": policy.on.label}


def _behind(ask: Ask) -> tuple[Run, Publication | None]:
    """The run of this pull request; on an issue, the one that was asked for there last."""
    with ask.services.database.reading() as tx:
        publication = _publication(tx, ask)
        run = runs.newest(tx, publication.change) if publication else None
        if run is None and (asked_here := tellings.followed(tx, ask.org.org, ask.repository.name, ask.thread)):
            run = runs.get(tx, asked_here[-1])
    if run is None:
        raise UsageError(f"no run is behind {ask.place}", mend="`/whimbrel run POLICY` starts one")
    return run, publication


def _published(ask: Ask) -> Publication:
    with ask.services.database.reading() as tx:
        publication = _publication(tx, ask)
    if publication is None:
        raise UsageError(f"{ask.place} is no pull request of the bot's")
    return publication


def _publication(tx: Connection, ask: Ask) -> Publication | None:
    """The bot's own, where they talk on it."""
    if ask.thread.kind == "issue":
        return None
    return publications.numbered(tx, ask.org.org, ask.repository.name, ask.number)


def _require_admitted(ask: Ask, name: str) -> None:
    if not any(policy.name == name and policy.on.comment for policy in ask.catalogue.listed(ask.org)):
        raise UsageError(f"the policy {name} is not directed by comments", mend="`on: {comment: true}` in it admits them")


def _require_open(ask: Ask, publication: Publication) -> None:
    state = _state_on_host(ask, publication)
    if state is not None and state is not PullRequestState.OPEN:
        raise UsageError(f"{ask.place} is {state} already")


def _state_on_host(ask: Ask, publication: Publication) -> PullRequestState | None:
    """As the host has it now; None where it shows it no more."""
    found = _on_host(ask, publication)
    return found.state if found else None


def _on_host(ask: Ask, publication: Publication) -> PullRequest | None:
    found = ask.services.host(ask.org).pull_requests(ask.repository, publication.branch)
    return next((each for each in found if each.number == ask.number), None)


def _follow(tx: Connection, ask: Ask, run: Run, note: str) -> None:
    tellings.follow(tx, ask.org.org, ask.repository.name, ask.thread, run.id, note, ask.services.clock.now())


_WITHOUT_WORDS: Mapping[Verb, Callable[[Ask], Reply | None]] = {
    Verb.REBASE: _rebase,
    Verb.TAKEOVER: _take_over,
    Verb.CLOSE: _close,
    Verb.STATUS: _status,
    Verb.HELP: _help,
}
