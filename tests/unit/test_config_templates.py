"""The templates of a revision, as files: written once, whole, by whoever is first."""

from __future__ import annotations

import threading
from pathlib import Path

from bot.config import Settings, assemble
from bot.domain.policies import CampaignPolicy
from bot.store import campaigns

TEMPLATES = {f"files/{number}.md.j2": f"{number}\n" for number in range(200)}


def test_many_at_once_leave_the_templates_and_nothing_else(tmp_path: Path) -> None:
    settings = Settings.from_environment({"WHIMBREL_HOME": str(tmp_path)})
    policy = CampaignPolicy.model_validate({"name": "notes", "description": "D", "steps": [{"run": "true"}]})
    with assemble(settings) as services, services.database.transaction() as tx:
        campaigns.save_revision(tx, "r1", policy, TEMPLATES, services.clock.now())
    together, rendered = threading.Barrier(8), []

    def render() -> None:
        with assemble(settings) as services:
            together.wait()
            rendered.append(services.renderer("r1").render("files/7.md.j2", {}))

    threads = [threading.Thread(target=render) for _ in range(together.parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rendered == ["7\n"] * together.parties
    assert [folder.name for folder in (tmp_path / "revisions").iterdir()] == ["r1"]
