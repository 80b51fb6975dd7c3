"""A project on its own: policies, templates, a local host, and the real `whimbrel` command to work on them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pygit2
import pytest

from bot.cli.setup import write_starters
from bot.demo.conversation import Conversation, Turn
from bot.demo.scripted_model import Play, ScriptedModel
from tests.fakes import repositories
from tests.fakes.repositories import Files

WHIMBREL = Path(sys.executable).with_name("whimbrel")
KEY = "sk-ant-api03-this-key-is-the-gateways-alone"
COMMAND_SECONDS = 120

ORG: Mapping[str, Any] = {
    "org": "acme",
    "host": "local:./host",
    "quota": {"usd_per_month": 500, "concurrent_runs": 5},
    "campaigns": ["standardize", "migrate-to-pyproject"],
}


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


@dataclass
class Project:
    """A folder with policies/, templates/ and host/, and an environment with nothing of the caller's but PATH."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    org: dict[str, Any] = field(default_factory=lambda: dict(ORG))

    def __post_init__(self) -> None:
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8", **self.environment}

    @property
    def home(self) -> Path:
        return Path(self.environment.get("WHIMBREL_HOME", self.folder / ".whimbrel"))

    def begin(self) -> None:
        """What a new user does: `whimbrel init`, then name the org and its host."""
        write_starters(self.folder)
        self.write_org()
        (self.folder / "host" / "acme").mkdir(parents=True)

    def write_org(self, **changes: Any) -> None:
        self.org |= changes
        self._write_policy("orgs/acme", self.org)

    def write_campaign(self, name: str, **policy: Any) -> None:
        """Write the campaign policy, and list it in the org's. It asks for `description` and `steps` at least."""
        self._write_policy(f"campaigns/{name}", {"name": name, "description": f"Do {name}", **policy})
        if name not in self.org["campaigns"]:
            self.write_org(campaigns=[*self.org["campaigns"], name])

    def repository(self, name: str, files: Files | None, **about: Any) -> pygit2.Repository:
        """A bare repository of the org; `about` is what its host knows of it, such as archived=True."""
        folder = self.folder / "host" / "acme"
        made = repositories.make(folder / f"{name}.git", files)
        if about:
            (folder / f"{name}.meta").mkdir()
            (folder / f"{name}.meta" / "repository.json").write_text(json.dumps(about))
        return made

    def bare(self, name: str) -> Path:
        return self.folder / "host" / "acme" / f"{name}.git"

    def command(self, *arguments: str | Path, **environment: str) -> dict[str, Any]:
        """The command as `subprocess` takes it."""
        variables = {**self.environment, **environment}
        return {"args": [WHIMBREL, *arguments], "cwd": self.folder, "env": variables, "stdin": subprocess.DEVNULL, "text": True}

    def whimbrel(self, *arguments: str | Path, status: int = 0, **environment: str) -> Done:
        """Run `whimbrel`; fails where it does not end with `status`."""
        command = self.command(*arguments, **environment)
        ended = subprocess.run(**command, capture_output=True, timeout=COMMAND_SECONDS, check=False)
        words = f"whimbrel {' '.join(map(str, arguments))} ended with {ended.returncode}"
        assert ended.returncode == status, f"{words}, not {status}:\n{ended.stdout}\n{ended.stderr}"
        return Done(ended.returncode, ended.stdout, ended.stderr)

    def run(self, policy: str, *options: str, status: int = 0) -> Campaign:
        """Run a policy on the org to its end, with one worker, and read what came of it."""
        done = self.whimbrel("run", policy, "--org", "acme", "--workers", "1", "--json", *options, status=status)
        return self.campaign(done.json, said=done.stderr)

    def campaign(self, status: dict[str, Any], said: str = "") -> Campaign:
        return Campaign(status, self.whimbrel("runs", status["id"], "--json").json, said)

    def pull_requests(self, *options: str) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self.whimbrel("host", "pr", "list", "--org", "acme", "--json", *options).json
        return listed

    def use(self, model: ScriptedModel) -> None:
        """Let the gateway ask this model."""
        self.environment |= {"ANTHROPIC_BASE_URL": model.base_url, "ANTHROPIC_API_KEY": KEY}

    def _write_policy(self, name: str, policy: Mapping[str, Any]) -> None:
        # Any JSON document is a YAML one.
        (self.folder / "policies" / f"{name}.yaml").write_text(json.dumps(policy, indent=2))


@dataclass(frozen=True)
class Campaign:
    """`status` and `runs` as the CLI gives them; `said` is what `run` wrote to stderr."""

    status: dict[str, Any]
    rows: list[dict[str, Any]]
    said: str

    @property
    def id(self) -> str:
        return str(self.status["id"])

    def __getitem__(self, target: str) -> dict[str, Any]:
        return next(row for row in self.rows if row["target"] == target)

    @property
    def outcomes(self) -> dict[str, str]:
        return {row["target"]: row["outcome"] for row in self.rows}


@pytest.fixture(scope="module")
def new_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Project]]:
    """Makes projects; their folders are gone when the module's tests have ended."""
    made: list[Path] = []

    def make() -> Project:
        made.append(tmp_path_factory.mktemp("project"))
        project = Project(made[-1])
        project.begin()
        return project

    yield make
    for folder in made:
        shutil.rmtree(folder)


@pytest.fixture
def project(new_project: Callable[[], Project]) -> Project:
    return new_project()


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[Play], ScriptedModel]]:
    """Serves scripted models until the module's tests have ended."""
    opened: list[ScriptedModel] = []

    def open_one(play: Play) -> ScriptedModel:
        opened.append(ScriptedModel(play).__enter__())
        return opened[-1]

    yield open_one
    for model in opened:
        model.__exit__(None, None, None)


def ending(_: Conversation) -> Turn:
    """A model that has nothing to do."""
    return Turn("Nothing to do.")
