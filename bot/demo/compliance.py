"""What a repository needs to comply with the `standardize` policy: rendered by the very templates that the campaign uses."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bot.config import Settings, packaged
from bot.demo.organization import Comply
from bot.domain.repositories import Repository
from bot.domain.steps import TemplateStep
from bot.domain.variables import variables_of
from bot.engines.template import rendered_file
from bot.policy_store import load_policies
from bot.rendering import Renderer

POLICY = "standardize"


def comply(settings: Settings) -> Comply:
    """Nothing is read before a repository is to be made compliant. It raises PolicyError then, and ChangeRefused."""

    def needed(repository: Repository, files: dict[str, bytes]) -> dict[str, bytes]:
        policy = load_policies(settings.policies).campaigns[POLICY]
        renderer = Renderer([settings.templates, packaged("templates")])
        variables = variables_of(repository, policy)
        made: dict[str, bytes] = {}
        with tempfile.TemporaryDirectory() as scratch:
            for step in policy.steps:
                assert isinstance(step, TemplateStep), f"{POLICY} needs no sandbox"
                path = renderer.render_text(step.to, variables)
                made[path] = rendered_file(
                    step,
                    path,
                    made.get(path, files.get(path)),
                    renderer.render(step.template, variables),
                    None,
                    block=policy.name,
                    scratch=Path(scratch),
                )
        return made

    return needed
