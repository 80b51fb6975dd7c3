"""What every template sees of a repository and a policy; templates/README.md documents each name."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from bot.domain.policies import CampaignPolicy
from bot.domain.repositories import Repository


class RepositoryFacts(dict[str, Any]):
    """`repo`: its facts by their name (`repo.url`), and its name where it is written by itself (`reports/{{ repo }}.md`)."""

    def __str__(self) -> str:
        return str(self["name"])


def target_variables(
    repository: Repository, policy: CampaignPolicy, *, revision: str, campaign: str, path: str, base: str, head: str
) -> dict[str, Any]:
    """What an attempt's templates see besides. `head` is the commit of the branch `base`."""
    besides = {"revision": revision, "campaign": campaign, "path": path, "base": {"branch": base, "head": head}}
    return variables_of(repository, policy) | besides


def inputs_digest(repository: Repository, policy: CampaignPolicy, *, path: str, base: str) -> str:
    """Changes when what templates see of a target does, whatever the commit of its base and the policy's revision are."""
    seen = variables_of(repository, policy) | {"path": path, "base": base}
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()


def variables_of(repository: Repository, policy: CampaignPolicy) -> dict[str, Any]:
    return {
        "org": repository.org,
        "repo": RepositoryFacts(
            name=repository.name,
            full_name=repository.full_name,
            default_branch=repository.default_branch,
            description=repository.description,
            visibility=repository.visibility,
            topics=sorted(repository.topics),
            languages=sorted(repository.languages),
            url=repository.url,
        ),
        "policy": policy.name,
        "description": policy.description,
        "vars": dict(policy.variables),
    }
