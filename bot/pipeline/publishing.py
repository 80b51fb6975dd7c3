"""Publish: exactly one open pull request for a change, through retries and kills at any line.

The order makes it so: the commit is recorded before it is pushed, so a branch head that this bot made is always known; the
intent is recorded before the host hears of it; the push is a compare-and-swap from the head that was seen; and opening a
pull request that is open already returns that one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.domain.changesets import Changeset
from bot.domain.guards.codeowners import read_owners
from bot.domain.habits import prefix_of
from bot.domain.judging import JUDGE
from bot.domain.markdown import fitted, neutral_data
from bot.domain.money import MicroUsd, dollars
from bot.domain.pull_requests import PullRequest, PullRequestState, PullRequestText
from bot.domain.states import Outcome
from bot.domain.steps import ClaudeStep, EditStep
from bot.domain.verdicts import Verdict
from bot.git import Mirror, read_blob, recent_subjects
from bot.pipeline.assignment import Assignment, Ended
from bot.pipeline.committing import committed
from bot.pipeline.places import Place, ready, told_why
from bot.pipeline.recorder import Recorder
from bot.pipeline.starting import Base
from bot.ports import Host
from bot.rendering import Renderer
from bot.services import Services
from bot.store import audit, ledger, own_commits, publications, runs, tellings
from bot.store.admission import require_admitted
from bot.store.publications import Publication

CODEOWNERS_PLACES = ("CODEOWNERS", ".github/CODEOWNERS", ".gitlab/CODEOWNERS", "docs/CODEOWNERS")


LIMITS = {"github": 65_536, "gitlab": 1_048_576, "local": 1_048_576}
"""Characters that a pull request's body may have, by the kind of its host."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proven change, ready to be published. `seen` is where its branch was when it was fetched, None without one."""

    changeset: Changeset
    verdict: Verdict
    variables: Mapping[str, Any]
    place: Place
    seen: str | None

    @property
    def head(self) -> str:
        """The branch, as pull requests name it."""
        return self.place.head


def publish(
    services: Services,
    assignment: Assignment,
    proposal: Proposal,
    commit: str,
    mirror: Mirror,
    host: Host,
    renderer: Renderer,
    recorder: Recorder,
) -> Ended:
    """Show the change to its reviewers, as `commit`. Raises CeilingReached, StaleHead, HostError, GitError or FenceLost."""
    stays = _why_it_stays(services, host, assignment, proposal.head)
    if stays is not None:
        return Ended(Outcome.SKIPPED, stays)
    publication = _intend(services, assignment, proposal)
    head = _push(services, assignment, proposal, commit, mirror, host, recorder)
    _record_push(services, assignment, proposal, publication, head)
    text = _text(services, assignment, proposal, mirror, renderer)
    pull_request = _ensure(host, assignment, proposal, text)
    _record(services, assignment, proposal, publication, pull_request)
    recorder.emit(f"pull request #{pull_request.number}: {text.title}", url=pull_request.url)
    return Ended(Outcome.PUBLISHED, _what_was_proven(proposal), proposal.changeset.paths, publication.id, looked=True)


def _what_was_proven(proposal: Proposal) -> str:
    files = len(proposal.changeset.files)
    return f"{files} file{'s' if files != 1 else ''} changed, {proposal.verdict.reason}"


def step_back(services: Services, assignment: Assignment, base: Base, reason: str) -> Ended:
    """The branch is people's: nothing is pushed to it, and they are told so, once a head."""
    branch, org = base.place.head, assignment.campaign.org_policy
    _tell_that_it_is_frozen(services.host(org), assignment, base, reason)
    with services.database.transaction() as tx:
        runs.require(tx, assignment.run)
        known = publications.find(tx, assignment.change)
        if known is not None and known.state == "open" and known.frozen != reason:
            publications.freeze(tx, known, reason, services.clock.now())
    return Ended(Outcome.SKIPPED, f"the branch {branch} has {reason}: left as it is")


def _tell_that_it_is_frozen(host: Host, assignment: Assignment, base: Base, reason: str) -> None:
    """On the open pull request: whoever added commits should know that the bot steps back, and how it comes back."""
    repository, policy = assignment.run.repository, assignment.policy
    for pull_request in host.pull_requests(repository, base.place.head):
        if pull_request.state is PullRequestState.OPEN:
            words = (
                f"This branch has {reason}, so it is theirs: nothing more is pushed to it. A newer change of the policy "
                f"`{policy.name}` was left out.\n\n{_how_to_hand_it_back(assignment)} Its files become what the policy "
                f"makes of `{assignment.run.base}` then; the commits stay in its history."
            )
            host.comment(repository, pull_request.number, words, marker=f"<!-- whimbrel frozen {base.branch_head} -->")


def _how_to_hand_it_back(assignment: Assignment) -> str:
    if assignment.policy.on.comment:
        return "`/whimbrel takeover`, in a comment by somebody who may direct the bot, gives the branch to it."
    return f"`whimbrel retry {assignment.run.id} --takeover`, by whoever operates the bot, gives the branch to it."


def _why_it_stays(services: Services, host: Host, assignment: Assignment, head: str) -> str | None:
    """Closed without a merge stays closed, unless that was another revision of the policy as far as this bot knows, or the bot
    itself closed it, because it was not needed.

    That, and that at most one is open, holds too where the last one came from another branch, or from a fork.
    """
    with services.database.reading() as tx:
        known = publications.find(tx, assignment.change)
    heads = dict.fromkeys([head] if known is None else [head, known.branch])
    found = [each for name in heads for each in host.pull_requests(assignment.run.repository, name)]
    opened = [each for each in found if each.state is PullRequestState.OPEN]
    if not found or opened:
        elsewhere = [each for each in opened if each.branch != head and each.base == assignment.run.base]
        return f"#{elsewhere[0].number} is open already, from {elsewhere[0].branch}" if elsewhere else None
    last = max(found, key=lambda each: each.number)
    ours = known is not None and known.number == last.number
    superseded = ours and known is not None and (known.revision != assignment.campaign.revision or bool(known.done))
    if last.state is not PullRequestState.CLOSED or superseded:
        return None
    return f"#{last.number} was closed without being merged, and stays closed for this revision of the policy"


def _intend(services: Services, assignment: Assignment, proposal: Proposal) -> Publication:
    org = assignment.campaign.org_policy
    with services.database.transaction() as tx:
        runs.require(tx, assignment.run)
        rollout = require_admitted(tx, assignment.run.id, services.clock.now())
        return publications.intend(
            tx, assignment.change, branch=proposal.head, ceilings=org.ceilings, now=services.clock.now(), rollout=rollout
        )


def _push(
    services: Services,
    assignment: Assignment,
    proposal: Proposal,
    commit: str,
    mirror: Mirror,
    host: Host,
    recorder: Recorder,
) -> str:
    """Move the branch; return where it is now. The very same change on the very same base stays as its reviewers saw it."""
    if proposal.seen is not None and (commit == proposal.seen or mirror.same_change(proposal.seen, commit)):
        return proposal.seen
    changeset, branch = proposal.changeset, proposal.place.branch
    repository = ready(proposal.place, host, assignment.run.repository)
    made = committed(services, assignment, changeset, commit, mirror, host, recorder, place=proposal.place)
    with made as head, told_why(proposal.place, host, repository):
        mirror.push(host.remote(repository, pushing=changeset.paths), head, branch, expected=proposal.seen)
    return head


def _record_push(services: Services, assignment: Assignment, proposal: Proposal, publication: Publication, head: str) -> None:
    """The branch is at `head`: the bot has moved it there, or people had, and it has all that the change is."""
    run, now = assignment.run, services.clock.now()
    with services.database.transaction() as tx:
        runs.require(tx, run)
        if own_commits.own_among(tx, [head]):
            publications.record_push(tx, publication, head=head, base_head=proposal.changeset.base, now=now)
        if publication.frozen:
            publications.freeze(tx, publication, "", now)
        tellings.intend_check(tx, run.org, run.repository.name, head, run.id, run.fence, now)


def _ensure(host: Host, assignment: Assignment, proposal: Proposal, text: PullRequestText) -> PullRequest:
    repository = assignment.run.repository
    found = host.open_pull_request(repository, branch=proposal.head, base=assignment.run.base, text=text)
    if found.text.says(text):
        return found
    return host.update_pull_request(repository, found.number, text)


def _record(
    services: Services, assignment: Assignment, proposal: Proposal, publication: Publication, pull_request: PullRequest
) -> None:
    now, org, policy = services.clock.now(), assignment.run.org, assignment.policy.name
    repository = assignment.run.repository
    with services.database.transaction() as tx:
        runs.require(tx, assignment.run)
        publications.record_open(tx, publication, pull_request, assignment.campaign.revision, now)
        audit.append(
            tx, services.audit_key, services.clock, org=org, actor="whimbrel", action="pull_request.published",
            subject=f"{repository.full_name}#{pull_request.number}",
            details={
                "policy": policy,
                "campaign": assignment.campaign.id,
                "branch": proposal.head,
                "files": list(proposal.changeset.paths),
            },
        )  # fmt: skip


def _text(
    services: Services, assignment: Assignment, proposal: Proposal, mirror: Mirror, renderer: Renderer
) -> PullRequestText:
    with services.database.reading() as tx:
        cost, tokens = ledger.spent_by_attempt(tx, assignment.run.attempt_key)
        earlier_cost, earlier_tokens = runs.cost_of(tx, assignment.run)
    policy = assignment.policy
    models = [step.model for step in policy.steps if isinstance(step, ClaudeStep | EditStep)]
    variables = {
        **proposal.variables,
        "outputs": neutral_data(proposal.variables["outputs"]),
        "files": list(proposal.changeset.paths),
        "checks": [
            {"command": child.name, "decision": child.decision.value, "reason": child.reason, "base": child.base}
            for child in _children(proposal.verdict, "checks")
        ],
        "guards": _guards(proposal.verdict),
        "judge": _said(proposal.verdict.part(JUDGE)),
        "comments": policy.on.comment,
        "prefix": prefix_of(recent_subjects(mirror, proposal.changeset.base)),
        "cost": dollars(MicroUsd(earlier_cost + cost)),
        "tokens": earlier_tokens + tokens,
        "model": ", ".join(dict.fromkeys(models)) or "none",
        "branch": proposal.place.branch,
    }
    return PullRequestText(
        title=" ".join(renderer.render(policy.pull_request.title, variables).split()),
        body=fitted(renderer.render(policy.pull_request.body, variables), LIMITS[assignment.campaign.org_policy.host_kind]),
        labels=tuple(policy.pull_request.labels),
        reviewers=_reviewers(policy.pull_request.reviewers, mirror, proposal.changeset),
        draft=policy.pull_request.draft,
        auto_merge=policy.pull_request.auto_merge,
    )


def _guards(verdict: Verdict) -> dict[str, Any]:
    """How many looked, and those that found something and let it through."""
    leaves = _children(verdict, "guards")
    return {"looked": len(leaves), "told": [_said(leaf) for leaf in leaves if leaf.children]}


def _said(leaf: Verdict | None) -> dict[str, str] | None:
    return {"name": leaf.name, "decision": leaf.decision.value, "reason": leaf.reason} if leaf else None


def _children(verdict: Verdict, part: str) -> tuple[Verdict, ...]:
    found = verdict.part(part)
    return found.children if found else ()


def _reviewers(wanted: str | list[str], mirror: Mirror, changeset: Changeset) -> tuple[str, ...]:
    """Those named by the policy, or the owners that the base's CODEOWNERS names for the changed files."""
    if wanted != "codeowners":
        return tuple(wanted)
    for place in CODEOWNERS_PLACES:
        text = read_blob(mirror, changeset.base, place)
        if text is not None:
            owners = read_owners(text.decode("utf-8", "replace"))
            return tuple(sorted({name for path in changeset.paths for _, name in owners.of(path)}))
    return ()
