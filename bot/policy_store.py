"""The policies and templates folders on disk, and what orgs' own repositories add to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from bot.domain.events import RepositoryRef
from bot.domain.org_policies import OrgPolicy
from bot.domain.policies import CampaignPolicy
from bot.domain.policy_files import check_ceilings, check_labels, nearest, parse_campaign, parse_org, revision
from bot.domain.policy_sources import Sourced
from bot.errors import PolicyError, UsageError

__all__ = ["Catalogue", "Chosen", "Policies", "load_policies", "load_templates", "named", "nearest"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Policies:
    """Every policy on the disk by its name. What an org lists and is not there comes from its own repository."""

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
    """What the operator's folders hold at one moment: policies, and templates as texts by path.

    `sourced` is, by the name of an org, what its own repository held when it was last read without a mistake; `packaged` are
    the templates that came with this version.
    """

    policies: Policies
    templates: Mapping[str, str]
    sourced: Mapping[str, Sourced] = field(default_factory=dict)
    packaged: Mapping[str, str] = field(default_factory=dict)

    def choose(self, policy: str, org: str) -> Chosen:
        """Raises UsageError for a name that is not there, PolicyError for a policy that may not run on the org."""
        on = named(self.policies.orgs, org, "org policy", "policies/orgs")
        own = self.sourced.get(org)
        if own is not None and policy in own.campaigns:
            return self._from_git(on, own, policy)
        known = {**self.policies.campaigns, **(own.campaigns if own else {})}
        places = f"policies/campaigns/{f' or {own.source}' if own else ''}"
        if own is not None and own.problem and policy not in known:
            raise UsageError(f"there is no campaign policy {policy!r} in policies/campaigns/, and {own.problem}")
        wanted = named(known, policy, "campaign policy", places.removesuffix("/"))
        check_ceilings(on, wanted)
        made = revision(wanted, {name: text.encode() for name, text in self.templates.items()})
        return Chosen(on, wanted, self.templates, made)

    def listed(self, org: OrgPolicy) -> list[CampaignPolicy]:
        """The campaign policies that may run on an org, in the order of its list. What two places have by one name may not."""
        disk = self.policies.campaigns
        own = self.sourced[org.org].campaigns if org.org in self.sourced else {}
        return [own.get(name) or disk[name] for name in org.campaigns if (name in disk) != (name in own)]

    def _from_git(self, on: OrgPolicy, own: Sourced, policy: str) -> Chosen:
        if policy in self.policies.campaigns:
            raise PolicyError(
                f"{own.source} has a policy of this name too: neither wins",
                place=f"policies/campaigns/{policy}.yaml",
                mend="rename or remove one",
            )
        wanted = own.campaigns[policy]
        check_ceilings(on, wanted)
        return Chosen(on, wanted, own.templates, own.revision(policy), own.source)


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
        if name not in campaigns and org.policies_from is None:
            near = nearest(name, campaigns)
            raise PolicyError(
                f"`campaigns` lists {name}, and there is no {_shown(root / 'campaigns' / name)}.yaml",
                place=_shown(root / "orgs" / f"{org.org}.yaml"),
                mend=f"did you mean {near}?" if near else "write it, or take it off the list",
            )
    listed = [campaigns[name] for name in org.campaigns if name in campaigns]
    check_labels(org, listed, lambda name: _shown(root / "campaigns" / f"{name}.yaml"))
    for policy in listed:
        if policy.on.template_changed:
            raise PolicyError(
                "`on.template_changed` is told of what comes from the repository that `policies_from` names; it is on the disk",
                place=_shown(root / "campaigns" / f"{policy.name}.yaml"),
                mend="`on.schedule` starts it from time to time",
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
