"""Where a change's branch is: in the repository itself or, where the bot may not push there, in a fork of it.

One change has one place as long as its pull request is open: another one would be a second pull request.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bot.domain.pull_requests import PullRequestState, head_name, split_head
from bot.domain.repositories import Repository
from bot.errors import ConfigurationError, GitError, HostError, StaleHead
from bot.pipeline.assignment import Assignment
from bot.ports import Forks, Host
from bot.services import Services
from bot.store import publications


@dataclass(frozen=True, slots=True)
class Place:
    """`owner` is whose fork it is, "" without one; `fork` is None as long as that is not made. `head` names both."""

    branch: str
    owner: str = ""
    fork: Repository | None = None

    @property
    def head(self) -> str:
        return head_name(self.branch, self.owner)


def find_place(services: Services, assignment: Assignment, host: Host, branch: str) -> Place:
    """Where `branch` is, or will be. Raises HostError where the open pull request has it where the bot may not push."""
    following = _open_head(services, assignment, host)
    owner, branch = split_head(following) if following is not None else (_owner(assignment, host), branch)
    if not owner:
        _require_push(assignment, host, following)
        return Place(branch)
    if not isinstance(host, Forks) or owner != _allowed_owner(assignment, host):
        raise HostError(
            f"its pull request is open from {following}, and no fork of {owner} is to be pushed to (any more)",
            mend="merge or close it; or set `fork: true` in the policy and `forks` in the org policy as they were",
        )
    return Place(branch, owner, host.find_fork(assignment.run.repository, owner))


def ready(place: Place, host: Host, repository: Repository) -> Repository:
    """The repository that the branch is in: the fork is made by now. Raises HostUnavailable while that goes on."""
    if not place.owner:
        return repository
    assert isinstance(host, Forks), "no other host has a fork as a place"
    return place.fork or host.make_fork(repository, place.owner)


@contextmanager
def told_why(place: Place, host: Host, repository: Repository) -> Iterator[None]:
    """What git has only refused, the host may say in words: of a repository that has turned archived, or is gone."""
    try:
        yield
    except GitError as error:
        if place.owner or error.retryable or isinstance(error, StaleHead):
            raise
        if host.repository(repository.org, repository.name).archived:
            mend = "unarchive it, or leave archived ones out of the selection"
            raise HostError(f"{repository.full_name} is archived: nothing can be pushed to it", mend=mend) from error
        raise


def _open_head(services: Services, assignment: Assignment, host: Host) -> str | None:
    """From where this change's pull request is open; an attempt that died may have opened it, and said no word of it."""
    with services.database.reading() as tx:
        known = publications.find(tx, assignment.change)
    if known is None or known.state not in ("intent", "open"):
        return None
    if known.state == "open":
        return known.branch
    found = host.pull_requests(assignment.run.repository, known.branch)
    return known.branch if any(each.state is PullRequestState.OPEN for each in found) else None


def _owner(assignment: Assignment, host: Host) -> str:
    """Whose fork a new pull request comes from; "" where none is needed, or allowed."""
    if not assignment.policy.pull_request.fork or not isinstance(host, Forks) or host.may_push(assignment.run.repository):
        return ""
    owner = _allowed_owner(assignment, host)
    if not owner:
        org = assignment.run.org
        raise ConfigurationError(
            f"the bot may not push to {assignment.run.repository.full_name}, and nobody has said where its forks go",
            mend=f"`forks: OWNER` in policies/orgs/{org}.yaml",
        )
    return owner


def _allowed_owner(assignment: Assignment, host: Forks) -> str:
    if not assignment.policy.pull_request.fork:
        return ""
    return assignment.campaign.org_policy.forks or host.fork_owner()


def _require_push(assignment: Assignment, host: Host, following: str | None) -> None:
    """Only where a fork would do instead: else the push itself says what is wrong."""
    asks = following is not None and assignment.policy.pull_request.fork and isinstance(host, Forks)
    if asks and isinstance(host, Forks) and not host.may_push(assignment.run.repository):
        raise HostError(
            f"its pull request is open from {following}, where the bot may not push any more",
            mend="merge or close it: the next one comes from a fork; or let the bot push there",
        )
