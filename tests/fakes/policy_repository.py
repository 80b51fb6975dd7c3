"""An org that has its policies in a repository of its own, acme/platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pygit2

from bot.campaigns.sources import CHECK, LOOK_EVERY, look_after
from bot.domain.policy_sources import parse_source
from bot.domain.pull_requests import CheckReport
from bot.domain.repositories import Repository
from bot.policy_store import Catalogue, Policies
from bot.store import audit, policy_sources
from tests.fakes import repositories
from tests.fakes.repositories import Files
from tests.fakes.talker import Talker
from tests.fakes.world import TEMPLATES, World

PLATFORM = Repository("acme", "platform", "main", None)
PACKAGED = {path: text for path, text in TEMPLATES.items() if path != "note.md.j2"}
NOTE = b"# {{ repo.name }}\n\nBe kind.\n"


def policy(name: str = "notes", *, on: str = "{}", more: str = "") -> bytes:
    steps = "steps: [{template: note.md.j2, to: NOTE.md, mode: overwrite}]"
    return f"name: {name}\ndescription: Every repository has a note\non: {on}\n{steps}\n{more}".encode()


def files(**campaigns: bytes) -> Files:
    return {
        "whimbrel/templates/note.md.j2": NOTE,
        **{f"whimbrel/campaigns/{name}.yaml": text for name, text in campaigns.items()},
    }


class Site:
    """An org that has its policies in `acme/platform`, and what is in use of them."""

    def __init__(self, world: World, *listed: str, **policies_from: Any):
        self.world = world
        asked = {"repository": "acme/platform", **policies_from}
        world.org = type(world.org).model_validate(world.org.model_dump() | {"policies_from": asked, "campaigns": list(listed)})
        self.talker = Talker(world.local)
        world.talker = self.talker
        self.services = replace(world.services, catalogue=self.catalogue)

    def catalogue(self) -> Catalogue:
        """As the configuration makes it."""
        world, org = self.world, self.world.org
        with world.database.reading() as tx:
            source = policy_sources.find(tx, org)
        sourced = {org.org: parse_source(source.files, source.name, PACKAGED)} if source and source.commit else {}
        return Catalogue(Policies({org.org: org}, world.policies), TEMPLATES, sourced, PACKAGED)

    def push(self, content: Files, branch: str = "main") -> str:
        folder = self.world.folder / "host" / "acme" / "platform.git"
        made = pygit2.Repository(folder) if folder.exists() else repositories.make(folder)
        return repositories.commit(made, content, branch=branch, start="main")

    def look(self) -> None:
        """As the scheduler does, when it is time."""
        self.world.clock.advance(LOOK_EVERY.total_seconds())
        look_after(self.services)

    def check(self, commit: str) -> CheckReport:
        return self.world.local.checks(PLATFORM, commit)[CHECK]

    def audited(self) -> list[Mapping[str, Any]]:
        with self.world.database.reading() as tx:
            assert audit.verify(tx, self.services.audit_key, "acme") is None
            return list(audit.events(tx, "acme"))

    def actions(self) -> list[str]:
        return [f"{event['action']} by {event['actor']}" for event in self.audited()]
