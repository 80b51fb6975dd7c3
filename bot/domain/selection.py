"""Is a repository a target of a policy? None means yes; else the answer is the reason, in words.

In two steps, so that nothing is read of a repository that its listing rules out: `decide_by_listing`, then `decide_by_files`
with what `wanted_files` asked for.
"""

from __future__ import annotations

import fnmatch
import glob
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bot.domain.policies import CampaignPolicy, FileSelection, RepositoryPolicy, Selection
from bot.domain.policy_types import path_rules
from bot.domain.repositories import Repository

REPOSITORY_POLICY = ".whimbrel.yaml"
"""Where a repository's own policy is, on its default branch."""


@dataclass(frozen=True, slots=True)
class WantedFiles:
    """What the decision needs: which of `literals` exist, and the list of all paths where `needs_listing`."""

    literals: tuple[str, ...]
    needs_listing: bool


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Which of the wanted literals exist at the head of the default branch, and every path there if that was wanted."""

    existing: frozenset[str]
    paths: tuple[str, ...] = ()


def is_among(name: str, globs: Sequence[str]) -> bool:
    """Does the repository's name match one of the globs? Any does, where there are none."""
    return not globs or any(fnmatch.fnmatchcase(name, glob) for glob in globs)


def literal(pattern: str) -> str | None:
    """The one name that a glob stands for (`glob.escape` makes such ones); None where it may match several."""
    name = re.sub(r"\[([*?[])\]", r"\1", pattern)
    return name if glob.escape(name) == pattern else None


def decide_by_listing(repository: Repository, policy: CampaignPolicy) -> str | None:
    """By what the host's listing says of the repository."""
    select = policy.select
    return (
        _by_state(repository, select)
        or _by_name(repository, select)
        or _by_topics(repository, select)
        or _by_languages(repository, select)
        or _by_size(repository, select)
    )


def decide_by_properties(policy: CampaignPolicy, properties: Mapping[str, Sequence[str]]) -> str | None:
    """By what the org says of the repository: the values of each of its properties."""
    for name, wanted in policy.select.properties.items():
        values = properties.get(name, ())
        if not set(wanted) & set(values):
            return f"its property {name} is {' and '.join(values) or 'not set'}: wanted is {' or '.join(wanted)}"
    return None


def wanted_files(policy: CampaignPolicy) -> WantedFiles:
    """Which files `decide_by_files` asks about."""
    wanted = [policy.select.files]
    if policy.detect is not None and policy.detect.files is not None:
        wanted.append(policy.detect.files)
    patterns = [pattern for files in wanted for pattern in (*files.exist, *files.absent)]
    literals = sorted({pattern for pattern in patterns if not _is_glob(pattern)})
    return WantedFiles(tuple(literals), any(_is_glob(pattern) for pattern in patterns))


def decide_by_files(
    repository: Repository, policy: CampaignPolicy, facts: FileFacts, repository_policy: RepositoryPolicy | None
) -> str | None:
    """By the files at the head of the default branch, and by what the repository's own policy says."""
    return why_not_by_files(policy.select.files, facts, repository.default_branch) or opted_out(policy, repository_policy)


def why_not_by_files(wanted: FileSelection, facts: FileFacts, branch: str) -> str | None:
    """What of the wanted files is not so on the branch; None where all is."""
    for pattern in wanted.exist:
        if _find(pattern, facts) is None:
            return f"no {pattern} on {branch}"
    for pattern in wanted.absent:
        if (path := _find(pattern, facts)) is not None:
            return f"{path} is on {branch}"
    return None


def opted_out(policy: CampaignPolicy, repository_policy: RepositoryPolicy | None) -> str | None:
    """How the repository's own policy opts out of the campaign, if it does."""
    if repository_policy is None:
        return None
    if not repository_policy.enabled:
        return f"opted out in {REPOSITORY_POLICY}: enabled is false"
    if not repository_policy.campaigns.get(policy.name, True):
        return f"opted out in {REPOSITORY_POLICY}: campaigns.{policy.name} is false"
    return None


def _by_state(repository: Repository, select: Selection) -> str | None:
    if repository.unusable:
        return f"cannot be read: {repository.unusable}"
    if repository.unusable:
        return repository.unusable
    if repository.head is None:
        return "empty: there is no commit yet"
    if repository.archived and not select.archived:
        return "archived"
    if repository.fork and not select.forks:
        return "a fork"
    return None


def _by_name(repository: Repository, select: Selection) -> str | None:
    if _glob_for(repository.name, select.include) is None:
        return f"not included by {_listed(select.include)}"
    excluding = _glob_for(repository.name, select.exclude)
    return f"excluded by `{excluding}`" if excluding is not None else None


def _by_topics(repository: Repository, select: Selection) -> str | None:
    forbidden = _common(select.topics.none, repository.topics)
    if forbidden:
        return f"excluded by topic {forbidden[0]}"
    if select.topics.any and not _common(select.topics.any, repository.topics):
        return f"has none of the topics {_listed(select.topics.any)}"
    return None


def _by_languages(repository: Repository, select: Selection) -> str | None:
    if not select.languages or _common(select.languages, repository.languages):
        return None
    found = ", ".join(sorted(repository.languages)) or "no known language"
    return f"has {found}, not {_listed(select.languages)}"


def _by_size(repository: Repository, select: Selection) -> str | None:
    megabytes = repository.size_kb / 1024
    return f"{megabytes:,.0f} MB, above max_size_mb {select.max_size_mb}" if megabytes > select.max_size_mb else None


def _glob_for(name: str, globs: Iterable[str]) -> str | None:
    return next((glob for glob in globs if fnmatch.fnmatchcase(name.lower(), glob.lower())), None)


def _common(wanted: Iterable[str], there: Iterable[str]) -> list[str]:
    known = {item.lower() for item in there}
    return [item for item in wanted if item.lower() in known]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _is_glob(pattern: str) -> bool:
    return any(sign in pattern for sign in "*?[") or pattern.endswith("/")


def _find(pattern: str, facts: FileFacts) -> str | None:
    """The first path that the pattern stands for. A leading `/` holds a glob to the root, as a literal path is."""
    if not _is_glob(pattern):
        return pattern if pattern in facts.existing else None
    return next(iter(path_rules([f"/{pattern}"]).match_files(facts.paths)), None)
