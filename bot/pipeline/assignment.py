"""What one attempt is asked to do, and how it can end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.domain.policies import CampaignPolicy
from bot.domain.states import Outcome
from bot.domain.variables import target_variables
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
        run, campaign = self.run, self.campaign
        return target_variables(
            run.repository,
            self.policy,
            revision=campaign.revision,
            campaign=campaign.id,
            path=run.path,
            base=run.base,
            head=base_head,
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended, in words. `files` are the changed paths, `error` is the code of the error that ended it.

    `done` tells that the base needs the change no more: an open pull request for it is to be closed. `looked` tells that it
    need not be looked at again, as long as it is unchanged.
    """

    outcome: Outcome
    reason: str
    files: tuple[str, ...] = ()
    publication_id: int | None = None
    error: str = ""
    done: bool = False
    looked: bool = False
