from __future__ import annotations

from pathlib import Path

from bot.domain.policies import CampaignPolicy
from bot.domain.repositories import Repository
from bot.domain.variables import variables_of
from bot.rendering import Renderer

POLICY = CampaignPolicy.model_validate({"name": "tidy", "description": "Tidy up.", "steps": [{"run": "true"}]})


def test_a_repository_by_itself_is_its_name_and_has_its_facts(tmp_path: Path) -> None:
    variables = variables_of(Repository("acme", "tool", "main", None), POLICY)
    told = Renderer([tmp_path]).render_text("{{ repo }} {{ repo.name }} {{ repo.full_name }} {{ repo | quoted }}", variables)
    assert told == 'tool tool acme/tool "tool"'
