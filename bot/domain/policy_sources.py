"""Campaign policies and templates from an org's own repository: its files, as they are at one commit, read as data.

Only these come from there. What an org may spend, who may start something, which policies may run: that is the operator's word,
on the operator's disk.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from bot.domain.org_policies import OrgPolicy
from bot.domain.policies import CampaignPolicy
from bot.domain.policy_files import check_ceilings, check_labels, parse_campaign, revision
from bot.errors import PolicyError

CAMPAIGNS, TEMPLATES, ORGS = "campaigns/", "templates/", "orgs/"


@dataclass(frozen=True, slots=True)
class Sourced:
    """What an org's own repository holds at a commit. `source` is REPOSITORY@COMMIT; `problem` says why it holds nothing.

    `templates` are those that came with this version, and the repository's in their place: none of the operator's, which are
    all orgs'.
    """

    source: str
    campaigns: Mapping[str, CampaignPolicy] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    folder: str = ""

    def revision(self, name: str) -> str:
        """Raises PolicyError as `revision` does."""
        return revision(self.campaigns[name], {path: text.encode() for path, text in self.templates.items()})


def parse_source(files: Mapping[str, str], source: str, packaged: Mapping[str, str], folder: str = "") -> Sourced:
    """`files` are by their path below the folder that `policies_from` names. Raises PolicyError, at its place there."""
    place = _place(source, folder)
    campaigns: dict[str, CampaignPolicy] = {}
    for path, text in sorted(files.items()):
        if path.startswith(ORGS):
            raise PolicyError("org policies come from the operator's disk alone", place=f"{place}{path}", mend="remove it")
        if path.startswith(CAMPAIGNS):
            policy = _parse(path, text, place)
            campaigns[policy.name] = policy
    own = {path.removeprefix(TEMPLATES): text for path, text in files.items() if path.startswith(TEMPLATES)}
    found = Sourced(source, campaigns, {**packaged, **own}, folder=folder)
    _require_folders(found.templates, f"{place}{TEMPLATES}")
    return found


def check_source(org: OrgPolicy, found: Sourced, on_disk: Collection[str]) -> None:
    """Raises PolicyError for whatever could not be run, and for a policy that the operator has too (`on_disk`)."""
    place = _place(found.source, found.folder) + CAMPAIGNS
    for name in found.campaigns:
        if name in on_disk:
            raise PolicyError(
                f"the operator has a policy {name} too, on the disk: neither wins",
                place=f"{place}{name}.yaml",
                mend="rename or remove one",
            )
        found.revision(name)
    listed = [found.campaigns[name] for name in org.campaigns if name in found.campaigns]
    for policy in listed:
        check_ceilings(org, policy)
    check_labels(org, listed, lambda name: f"{place}{name}.yaml")


def changed(before: Sourced, after: Sourced) -> list[str]:
    """The policies of `after` that are new, or come to another change than they did `before`."""
    return [name for name in after.campaigns if name not in before.campaigns or before.revision(name) != after.revision(name)]


def _place(source: str, folder: str) -> str:
    """How a mistake's place begins: the repository, at the first digits of the commit, and the folder."""
    repository, _, commit = source.partition("@")
    return f"{repository}@{commit[:12]}:{f'{folder}/' if folder else ''}"


def _parse(path: str, text: str, place: str) -> CampaignPolicy:
    file = path.removeprefix(CAMPAIGNS)
    policy = parse_campaign(text, f"{place}{path}")
    if file != f"{policy.name}.yaml":
        raise PolicyError(
            f"is the policy {policy.name}", place=f"{place}{path}", mend=f"rename it to {policy.name}.yaml, or the policy"
        )
    return policy


def _require_folders(templates: Mapping[str, str], place: str) -> None:
    """No template has the name of a folder of others: they are files when they are rendered."""
    folders = {str(folder) for path in templates for folder in PurePosixPath(path).parents}
    for path in templates:
        if path in folders:
            raise PolicyError("is a folder of templates that came with this version", place=f"{place}{path}", mend="rename it")
