"""A bot at work for an organization: every process of the Procfile, and what a test asks about them."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from bot.config import Settings
from bot.domain.pull_requests import Thread
from bot.domain.states import RunState
from bot.store.database import Database
from bot.store.effects import BEGUN
from bot.store.schema import deliveries, effects, installations, runs
from tests.story.conftest import Project
from tests.story.forges import ORG, CheckSeen, Forge, PullSeen
from tests.story.test_cli import process

PROCFILE = Path(__file__).parents[2] / "Procfile"
PATIENCE_SECONDS = 180
LOOK_SECONDS = 0.3


@dataclass
class Site:
    """The forge, and the project whose processes are up at `address`.

    `names` are the repositories without those that are archived; in some of them an issue was opened.
    """

    forge: Forge
    project: Project
    database: Database
    names: list[str]
    address: str = ""
    issues: dict[str, Thread] = field(default_factory=dict)

    def until(self, holds: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            if time.monotonic() > deadline:
                pytest.fail(f"in vain was waited until {what}; unfinished: {self._unfinished()}\n{self.output()}")
            time.sleep(LOOK_SECONDS)

    def settle(self) -> None:
        """Until all webhooks are answered and handled, all runs have ended, and what is to be told is told."""
        self.until(self._is_settled, "all is done")

    def is_installed(self) -> bool:
        with self.database.reading() as tx:
            return tx.execute(select(installations.c.state).where(installations.c.org == ORG)).scalar() == "active"

    def is_up(self) -> bool:
        """Does the web process answer, and say that the others have brought up what it takes?"""
        listening = re.search(r"Listening at: (http://\S+)", self.output())
        if listening is None:
            return False
        self.address = listening[1]
        return bool(httpx.get(f"{self.address}/health", trust_env=False).json()["status"] == "ok")

    def output(self) -> str:
        """What the processes have written."""
        return "\n".join(f"--- {log.name}\n{log.read_text()}" for log in sorted(self.project.folder.glob("*.log")))

    def pull(self, repository: str, branch: str) -> PullSeen:
        """The one from this branch: there is never another."""
        (found,) = (pull for pull in self.forge.pulls(repository) if pull.branch == branch)
        return found

    def check(self, repository: str, branch: str) -> CheckSeen:
        """The one that is shown on its head."""
        (found,) = self.forge.checks(repository, self.pull(repository, branch).head)
        return found

    def picture(self) -> list[object]:
        """All that people see."""
        return [self.forge.seen(name) for name in self.names]

    def plan(self, policy: str) -> dict[str, Any]:
        made: dict[str, Any] = self.project.whimbrel("plan", policy, "--org", ORG, "--json").json
        return made

    def start(self, policy: str) -> str:
        """The operator starts it on the whole organization; the campaign's id at once."""
        return str(self.project.whimbrel("run", policy, "--org", ORG, "--detach", "--json").json["id"])

    def outcomes(self, campaign: str) -> dict[str, tuple[str, str]]:
        """How each run ended, and why so."""
        rows = self.project.whimbrel("runs", campaign, "--json").json
        return {row["target"]: (row["outcome"], row["reason"]) for row in rows}

    def audited(self, *actions: str) -> list[tuple[str, str, str]]:
        """Action, actor and subject of each such event, of a trail that holds."""
        self.project.whimbrel("audit", "verify", "--org", ORG)
        lines = self.project.whimbrel("audit", "export", "--org", ORG).stdout.splitlines()
        events = [json.loads(line) for line in lines]
        return [(event["action"], event["actor"], event["subject"]) for event in events if event["action"] in actions]

    def ends(self, ids: list[str]) -> set[tuple[str, str]]:
        """How these deliveries ended, and why so."""
        with self.database.reading() as tx:
            rows = tx.execute(select(deliveries.c.state, deliveries.c.reason).where(deliveries.c.id.in_(ids)))
            return {(row.state, row.reason) for row in rows}

    def _is_settled(self) -> bool:
        """What the bot had done when it was idle has been delivered; and nothing has come of that, nor of anything else."""
        before = self._received()
        was_idle = not any(self._unfinished())
        return was_idle and self.forge.is_quiet() and not any(self._unfinished()) and self._received() == before

    def _received(self) -> int:
        with self.database.reading() as tx:
            return tx.execute(select(func.count()).select_from(deliveries)).scalar_one()

    def _unfinished(self) -> tuple[list[str], list[str], list[str]]:
        """Deliveries, runs and effects."""
        with self.database.reading() as tx:
            waiting = tx.execute(select(deliveries.c.event).where(deliveries.c.state == "received")).scalars()
            going_on = tx.execute(select(runs.c.id).where(runs.c.state != RunState.ENDED)).scalars()
            begun = tx.execute(select(effects.c.key).where(effects.c.state == BEGUN)).scalars()
            return list(waiting), list(going_on), list(begun)


@contextmanager
def living(forge: Forge, project: Project, names: list[str]) -> Iterator[Site]:
    """Every process is up; at the end they are told to go, and do."""
    settings = Settings.from_environment(project.environment | {"WHIMBREL_HOME": str(project.home)})
    site = Site(forge, project, Database(settings.database_url), names)
    with ExitStack() as stack:
        stack.callback(site.database.dispose)
        started = [stack.enter_context(process(project, *command)) for command in commands()]
        site.until(site.is_up, "all processes are up")
        try:
            yield site
        finally:
            for each in started:
                each.terminate()
            ended = [each.wait(PATIENCE_SECONDS) for each in started]
        assert set(ended) == {0}, site.output()


def commands() -> list[list[str]]:
    """The arguments of `whimbrel` in each line of the Procfile; the web's port is any that is free."""
    lines = [line.partition(":") for line in PROCFILE.read_text().splitlines()]
    found = {name: shlex.split(command)[1:] for name, _, command in lines}
    found["web"] += ["--bind", "127.0.0.1:0"]
    return list(found.values())
