"""What one attempt is asked to do, and how it can end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.domain.policies import CampaignPolicy
from bot.domain.repositories import Repository
from bot.domain.states import Outcome
from bot.store.campaigns import Campaign
from bot.store.publications import Change
from bot.store.runs import Run


@dataclass(frozen=True, slots=True)
class Assignment:
    """A run, its campaign, and the campaign's policy as the repository has tightened it."""

    run: Run
    campaign: Campaign
    policy: CampaignPolicy

    @property
    def change(self) -> Change:
        return Change(self.run.org, self.policy.name, self.run.repository.name, self.run.base, self.run.path)

    def variables(self, base_head: str) -> Mapping[str, Any]:
        """What templates see, of this attempt."""
        known = variables_of(self.run.repository, self.policy)
        return {
            **known,
            "revision": self.campaign.revision,
            "campaign": self.campaign.id,
            "path": self.run.path,
            "base": {"branch": self.run.base, "head": base_head},
        }


def variables_of(repository: Repository, policy: CampaignPolicy) -> dict[str, Any]:
    """What templates see of a repository and a policy; templates/README.md documents each."""
    return {
        "org": repository.org,
        "repo": {
            "name": repository.name,
            "full_name": repository.full_name,
            "default_branch": repository.default_branch,
            "description": repository.description,
            "visibility": repository.visibility,
            "topics": sorted(repository.topics),
            "languages": sorted(repository.languages),
            "url": repository.url,
        },
        "policy": policy.name,
        "description": policy.description,
        "vars": dict(policy.variables),
    }


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended, in words. `files` are the changed paths, `error` is the code of the error that ended it."""

    outcome: Outcome
    reason: str
    files: tuple[str, ...] = ()
    publication_id: int | None = None
    error: str = ""
