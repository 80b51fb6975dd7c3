"""The policies and templates folders on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bot.domain.events import RepositoryRef
from bot.domain.org_policies import OrgPolicy
from bot.domain.policies import CampaignPolicy
from bot.domain.policy_files import check_ceilings, nearest, parse_campaign, parse_org, revision
from bot.errors import PolicyError, UsageError

__all__ = ["Catalogue", "Chosen", "Policies", "load_policies", "load_templates", "named", "nearest"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Policies:
    """Every policy by its name. Each campaign that an org lists is there."""

    orgs: Mapping[str, OrgPolicy]
    campaigns: Mapping[str, CampaignPolicy]

    def org_on(self, host: str, name: str) -> OrgPolicy | None:
        """The policy of an org on the host with this network name. Hosts tell no names of orgs apart by their case."""
        own = (org for org in self.orgs.values() if org.network_name == host)
        return next((org for org in own if org.org.casefold() == name.casefold()), None)

    def place_of(self, repository: RepositoryRef) -> tuple[OrgPolicy, RepositoryRef] | None:
        """Whose it is, and as it is named below that org: of nested groups that have a policy, the innermost one's."""
        *groups, name = str(repository).split("/")
        for depth in range(len(groups), 0, -1):
            org = self.org_on(repository.host, "/".join(groups[:depth]))
            if org is not None:
                return org, RepositoryRef(repository.host, org.org, "/".join([*groups[depth:], name]))
        return None


@dataclass(frozen=True, slots=True)
class Chosen:
    """A campaign policy on an org, with the templates and the revision that they make."""

    org: OrgPolicy
    policy: CampaignPolicy
    templates: Mapping[str, str]
    revision: str
    source: str = ""
    """The REPOSITORY@COMMIT that the policy was read from; empty where that is the operator's disk."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the operator's folders hold at one moment: policies, and templates as texts by path."""

    policies: Policies
    templates: Mapping[str, str]

    def choose(self, policy: str, org: str) -> Chosen:
        """Raises UsageError for a name that is not there, PolicyError for a policy that may not run on the org."""
        on = named(self.policies.orgs, org, "org policy", "policies/orgs")
        wanted = named(self.policies.campaigns, policy, "campaign policy", "policies/campaigns")
        check_ceilings(on, wanted)
        made = revision(wanted, {name: text.encode() for name, text in self.templates.items()})
        return Chosen(on, wanted, self.templates, made)

    def listed(self, org: OrgPolicy) -> list[CampaignPolicy]:
        """The campaign policies that may run on an org, in the order of its list."""
        return [self.policies.campaigns[name] for name in org.campaigns]


def named(known: Mapping[str, T], name: str, kind: str, place: str) -> T:
    """The policy of that name. Raises UsageError, with the nearest one."""
    if name in known:
        return known[name]
    hint = nearest(name, known)
    raise UsageError(f"there is no {kind} {name!r} in {place}/", mend=f"did you mean {hint}?" if hint else "")


def load_policies(root: Path) -> Policies:
    """Read `root`/orgs/**/*.yaml and `root`/campaigns/*.yaml. Raises PolicyError for the first file that cannot be used."""
    orgs = {org.org: org for org in _load(root, "orgs", parse_org, lambda org: org.org)}
    campaigns = {policy.name: policy for policy in _load(root, "campaigns", parse_campaign, lambda policy: policy.name)}
    for org in orgs.values():
        _check_listed(org, campaigns, root)
    return Policies(orgs, campaigns)


def load_templates(roots: Sequence[Path]) -> dict[str, str]:
    """Every template by its path below its root; a later root's replaces an earlier one's. Raises PolicyError.

    A root that is not there has none. Links are not followed, and README.md files are not templates.
    """
    templates: dict[str, str] = {}
    for root in roots:
        for file in sorted(root.rglob("*")):
            if file.name != "README.md" and _is_plain(file, root):
                templates[file.relative_to(root).as_posix()] = _read(file)
    return templates


def _load(root: Path, kind: str, parse: Callable[[str, str], T], name_of: Callable[[T], str]) -> Iterator[T]:
    pattern = "**/*.y*ml" if kind == "orgs" else "*.y*ml"  # a group in a group is in a folder
    for file in sorted((root / kind).glob(pattern)):
        if file.suffix != ".yaml":
            raise PolicyError("would not be read", place=_shown(file), mend=f"rename it to {file.stem}.yaml")
        policy = parse(_read(file), _shown(file))
        if name_of(policy) != file.relative_to(root / kind).with_suffix("").as_posix():
            name = name_of(policy)
            raise PolicyError(f"is the policy {name}", place=_shown(file), mend=f"rename it to {name}.yaml, or the policy")
        yield policy


def _check_listed(org: OrgPolicy, campaigns: Mapping[str, CampaignPolicy], root: Path) -> None:
    for name in org.campaigns:
        if name not in campaigns:
            near = nearest(name, campaigns)
            raise PolicyError(
                f"`campaigns` lists {name}, and there is no {_shown(root / 'campaigns' / name)}.yaml",
                place=_shown(root / "orgs" / f"{org.org}.yaml"),
                mend=f"did you mean {near}?" if near else "write it, or take it off the list",
            )
    labels = [campaigns[name].on.label for name in org.campaigns]
    for name, label in zip(org.campaigns, labels, strict=True):
        if label is not None and labels.count(label) > 1:
            raise PolicyError(
                f"`on.label` is {label}, which starts another policy of {org.org} too",
                place=_shown(root / "campaigns" / f"{name}.yaml"),
            )


def _is_plain(file: Path, root: Path) -> bool:
    below = file.relative_to(root).parts
    linked = any((root / Path(*below[: depth + 1])).is_symlink() for depth in range(len(below)))
    return file.is_file() and not linked


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise PolicyError("is not UTF-8", place=_shown(file)) from error
    except OSError as error:
        raise PolicyError(f"cannot be read: {error.strerror}", place=_shown(file)) from error


def _shown(file: Path) -> str:
    """Relative to the working directory where it is below it."""
    return str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)
