"""Discovery: every repository of an org becomes a target, or a skip with its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

from bot.domain.org_policies import OrgPolicy
from bot.domain.policies import CampaignPolicy, RepositoryPolicy
from bot.domain.policy_files import parse_repository
from bot.domain.pull_requests import PullRequestState
from bot.domain.repositories import Repository, Target
from bot.domain.selection import (
    REPOSITORY_POLICY,
    FileFacts,
    decide_by_files,
    decide_by_listing,
    decide_by_properties,
    is_among,
    literal,
    wanted_files,
    why_not_by_files,
)
from bot.domain.variables import inputs_digest
from bot.errors import NotFound, PolicyError
from bot.ports import Host, KnowsProperties, ReadsInBulk
from bot.store.campaigns import PlanEntry
from bot.store.looked import Looked
from bot.store.opt_outs import OptOut
from bot.store.publications import Change, Publication
from bot.store.quarantine import Quarantine
from bot.store.records import Rejection


@dataclass(frozen=True, slots=True)
class Earlier:
    """What became of the same changes before: pull requests, rejections by the same revision, what was looked at last, and
    where it failed again and again."""

    published: Mapping[Change, Publication] = field(default_factory=dict)
    rejected: Mapping[tuple[str, str, str], Rejection] = field(default_factory=dict)
    looked: Mapping[Change, Looked] = field(default_factory=dict)
    quarantined: Mapping[tuple[str, str, str], Quarantine] = field(default_factory=dict)
    left_alone: Mapping[str, OptOut] = field(default_factory=dict)
    """By the repository's name, whatever became of it before."""


NOTHING = Earlier()
READ_AT_ONCE = 50
"""So many repositories are read together, where the host can do that."""


def discover(
    host: Host,
    org: OrgPolicy,
    policy: CampaignPolicy,
    listed: Iterable[Repository],
    *,
    revision: str,
    earlier: Earlier = NOTHING,
    seen: Callable[[Repository], None] = lambda _: None,
) -> list[PlanEntry]:
    """An entry for each of the repositories of the org that are `listed`.

    The cheap reasons to skip come first: nothing is read of a repository that its listing rules out.
    """
    asked = iter(listed)
    properties = host.properties(org.org) if policy.select.properties and isinstance(host, KnowsProperties) else {}
    entries = []
    while some := list(islice(asked, READ_AT_ONCE)):
        reasons = {
            each.name: decide_by_properties(policy, properties.get(each.name, {}))
            or _by_what_is_known(each, policy, revision, earlier)
            for each in some
        }
        watched = {each.name for each in some if _is_open(each, policy, earlier)} if _by_files(policy) else set()
        contents = _read(host, [each for each in some if reasons[each.name] is None or each.name in watched], policy)
        for repository in some:
            known = reasons[repository.name]
            if known is not None and repository.name not in watched:
                entries.append(PlanEntry(_target(repository), repository, known))
            else:
                entries.append(_entry(host, repository, policy, contents.get(repository.name), known))
            seen(repository)
    return entries


def listing(host: Host, org: str, only: Sequence[str] = ()) -> Iterator[Repository]:
    """Those whose names match one of the globs `only`; all, without any.

    Plain names are asked for one by one: nobody lists thousands to look at one.
    """
    names = [name for glob in only if (name := literal(glob)) is not None]
    if only and len(names) == len(only):
        with suppress(NotFound):
            return iter([host.repository(org, name) for name in sorted(set(names))])
    return (each for each in host.repositories(org) if is_among(each.name, only))


def already_published(publication: Publication | None, revision: str) -> str | None:
    """Why an earlier pull request for the same change leaves nothing to do; None when there is something."""
    if publication is None:
        return None
    if publication.adopted and publication.state == PullRequestState.OPEN:
        return f"#{publication.number} is open for it: {publication.frozen}"
    if publication.revision != revision:
        return None
    if publication.state == PullRequestState.OPEN:
        return f"already open: #{publication.number}"
    if publication.state == PullRequestState.CLOSED and publication.number is not None and not publication.done:
        return f"#{publication.number} was closed without being merged, and stays closed for this revision of the policy"
    return None


def already_rejected(rejection: Rejection | None, head: str) -> str | None:
    """The same change on the same commit would be rejected again, and an agent would be paid for it again."""
    if rejection is None or rejection.head != head:
        return None
    return f"rejected before, and nothing has changed since: {rejection.reason} (whimbrel retry {rejection.run_id})"


def unchanged(looked: Looked | None, revision: str, head: str, inputs: str) -> str | None:
    """The same steps on the same commit would come to the same. What is not listed is not asked for: nothing is fetched."""
    if looked is None or (looked.revision, looked.head, looked.inputs) != (revision, head, inputs):
        return None
    return f"unchanged since run {looked.run_id}: {looked.reason} (--anew looks again)"


def _target(repository: Repository) -> Target:
    return Target(repository.name, repository.default_branch, repository.head or "")


def _by_people(opt_out: OptOut | None) -> str | None:
    return opt_out.reason if opt_out else None


def _by_what_is_known(repository: Repository, policy: CampaignPolicy, revision: str, earlier: Earlier) -> str | None:
    target = _target(repository)
    change = Change(repository.org, policy.name, target.repository, target.base, target.path)
    place = (target.repository, target.base, target.path)
    quarantine = earlier.quarantined.get(place)
    return (
        decide_by_listing(repository, policy)
        or _by_people(earlier.left_alone.get(repository.name))
        or _open_or_closed(policy, earlier, change, revision, target.head)
        or already_rejected(earlier.rejected.get(place), target.head)
        or (quarantine.why(target.head) if quarantine else None)
        or unchanged(earlier.looked.get(change), revision, target.head, _inputs(repository, policy, target))
    )


def _open_or_closed(policy: CampaignPolicy, earlier: Earlier, change: Change, revision: str, head: str) -> str | None:
    """What is open is looked at all the same where a command tells whether it is needed, and its base has moved."""
    publication, looked = earlier.published.get(change), earlier.looked.get(change)
    asks = policy.detect is not None and policy.detect.run is not None
    opened = publication is not None and publication.state == "open" and not publication.adopted
    if asks and opened and (looked is None or (looked.revision, looked.head) != (revision, head)):
        return None
    return already_published(publication, revision)


def _inputs(repository: Repository, policy: CampaignPolicy, target: Target) -> str:
    return inputs_digest(repository, policy, path=target.path, base=target.base)


def _read(host: Host, repositories: Sequence[Repository], policy: CampaignPolicy) -> Mapping[str, Mapping[str, bytes]]:
    """The files that the decision asks for, by repository and path."""
    wanted = [*wanted_files(policy).literals, REPOSITORY_POLICY]
    if isinstance(host, ReadsInBulk):
        return host.read_many(repositories, wanted) if repositories else {}
    return {repository.name: host.read_files(repository, wanted) for repository in repositories}


def _entry(
    host: Host, repository: Repository, policy: CampaignPolicy, contents: Mapping[str, bytes] | None, known: str | None
) -> PlanEntry:
    """By the content of its files; `known` is why it is skipped whatever that is, where only `detect:` is to be asked."""
    target = _target(repository)
    if contents is None:
        return PlanEntry(target, repository, known or "it is not there any more")
    facts = FileFacts(frozenset(contents), tuple(host.list_paths(repository) if wanted_files(policy).needs_listing else ()))
    reason = _decide_by_content(repository, policy, facts, contents.get(REPOSITORY_POLICY))
    done = _why_not_needed(repository, policy, facts) if reason is None else None
    if done is not None:
        return PlanEntry(target, repository, f"the change is not needed: {done}", done=done)
    return PlanEntry(target, repository, known or reason)


def _decide_by_content(repository: Repository, policy: CampaignPolicy, facts: FileFacts, own: bytes | None) -> str | None:
    try:
        repositorys = None if own is None else _parse(own, repository)
    except PolicyError as error:
        return f"its own policy cannot be read, so it is left alone: {error}"
    return decide_by_files(repository, policy, facts, repositorys)


def _by_files(policy: CampaignPolicy) -> bool:
    return policy.detect is not None and policy.detect.files is not None


def _is_open(repository: Repository, policy: CampaignPolicy, earlier: Earlier) -> bool:
    target = _target(repository)
    known = earlier.published.get(Change(repository.org, policy.name, target.repository, target.base, target.path))
    return known is not None and known.state == "open" and decide_by_listing(repository, policy) is None


def _why_not_needed(repository: Repository, policy: CampaignPolicy, facts: FileFacts) -> str | None:
    if policy.detect is None or policy.detect.files is None:
        return None
    return why_not_by_files(policy.detect.files, facts, repository.default_branch)


def _parse(text: bytes, repository: Repository) -> RepositoryPolicy:
    source = f"{repository.full_name}:{REPOSITORY_POLICY}"
    try:
        return parse_repository(text.decode(), source)
    except UnicodeDecodeError as error:
        raise PolicyError("is not UTF-8", place=source) from error
