"""The policies and templates folders on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bot.domain.policies import CampaignPolicy, OrgPolicy
from bot.domain.policy_files import nearest, parse_campaign, parse_org
from bot.errors import PolicyError

__all__ = ["Policies", "load_policies", "load_templates", "nearest"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Policies:
    """Every policy by its name. Each campaign that an org lists is there."""

    orgs: Mapping[str, OrgPolicy]
    campaigns: Mapping[str, CampaignPolicy]


def load_policies(root: Path) -> Policies:
    """Read `root`/orgs/*.yaml and `root`/campaigns/*.yaml. Raises PolicyError for the first file that cannot be used."""
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
    for file in sorted((root / kind).glob("*.y*ml")):
        if file.suffix != ".yaml":
            raise PolicyError("would not be read", place=_shown(file), mend=f"rename it to {file.stem}.yaml")
        policy = parse(_read(file), _shown(file))
        if name_of(policy) != file.stem:
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
