"""One template change in every repository: Whimbrel, git scripts and all-repos, cold and warm."""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arena import HERE, Arena, arena
from benchmarks.measuring import Command, Usage, measure
from benchmarks.organization import WORKFLOW, workflow

PARALLEL = 2
PHASES = {"cold": "v4", "warm": "v5"}
"""The version that the workflow is to have. Warm is a second change to the same branch, with all that the first one left."""

BRANCH = "whimbrel/bump"
ONE = "whimbrel, one repository"


@dataclass(frozen=True, slots=True)
class Contestant:
    """`command` readies an arena for a version and says what is to be measured; `repositories` is how many, None for all."""

    name: str
    command: Callable[[Arena, str], Command]
    branch: str = BRANCH
    repositories: int | None = None


Results = dict[tuple[str, str], list[Usage]]
"""By contestant and phase: what each round took."""


def contestants(all_repos: Path) -> list[Contestant]:
    """`all_repos` is the folder with all-repos' commands."""
    return [
        Contestant("whimbrel", _whimbrel),
        Contestant(ONE, _whimbrel, repositories=1),
        Contestant("git worktree script", lambda place, version: place.script("worktree.sh", BRANCH, VERSION=version)),
        Contestant("git clone --depth 1 script", lambda place, version: place.script("depth1.sh", BRANCH, VERSION=version)),
        Contestant("all-repos", lambda place, version: _all_repos(place, version, all_repos), "all-repos_autofix_bump"),
    ]


def compete(organization: Path, names: Sequence[str], everyone: Sequence[Contestant], rounds: int) -> Results:
    """Interleaved rounds; each begins with another contestant. Raises RuntimeError where the change was not made."""
    results: Results = defaultdict(list)
    for number in range(rounds):
        first = number % len(everyone)
        for contestant in [*everyone[first:], *everyone[:first]]:
            with arena(organization, names[: contestant.repositories], PARALLEL) as place:
                for phase, version in PHASES.items():
                    results[contestant.name, phase].append(_perform(contestant, place, version))
    return results


def count_git(organization: Path, names: Sequence[str], everyone: Sequence[Contestant]) -> dict[tuple[str, str], int]:
    """How many git commands each starts, by contestant and phase; what git itself starts is not among them."""
    counts = {}
    for contestant in everyone:
        with arena(organization, names[: contestant.repositories], PARALLEL, _counting_path(organization.parent)) as place:
            for phase, version in PHASES.items():
                calls = organization.parent / "calls"
                calls.write_bytes(b"")
                _perform(contestant, place, version)
                counts[contestant.name, phase] = calls.stat().st_size
    return counts


def _perform(contestant: Contestant, place: Arena, version: str) -> Usage:
    usage = measure(contestant.command(place, version))
    for name in place.names:
        made = place.changes(name, contestant.branch)
        if made != {WORKFLOW: workflow(name, version)}:
            raise RuntimeError(f"{contestant.name} made of {name}: {made}")
    return usage


def _whimbrel(place: Arena, version: str) -> Command:
    step = {"template": "files/workflow.yml.j2", "to": WORKFLOW, "mode": "overwrite"}
    place.write_policies(
        {"name": "bump", "description": "Check out with one version", "paths": [f"/{WORKFLOW}"], "steps": [step]}
    )
    template = place.folder / "templates" / step["template"]
    template.parent.mkdir(parents=True, exist_ok=True)
    template.write_text(workflow("{{ repo.name }}", version))
    return place.whimbrel("bump")


def _all_repos(place: Arena, version: str, commands: Path) -> Command:
    urls = {name: (place.host / f"{name}.git").as_uri() for name in place.names}
    (place.folder / "urls.json").write_text(json.dumps(urls))
    config = place.folder / "all-repos.json"
    config.touch(mode=0o600)
    config.write_text(
        json.dumps(
            {
                "output_dir": "clones",
                "source": "all_repos.source.json_file",
                "source_settings": {"filename": "urls.json"},
                "push": "push_branch",
                "push_settings": {},
            }
        )
    )
    variables = {"PATH": f"{commands}:{place.path}", "PYTHONPATH": str(HERE / "peers"), "PARALLEL": str(place.parallel)}
    environment = place.environment(**variables, BRANCH="bump", VERSION=version)
    return Command([HERE / "scripts" / "all-repos.sh"], place.folder, environment)


def _counting_path(folder: Path) -> str:
    """A PATH whose git leaves a byte in `folder`/calls for each call. git's own helpers find git elsewhere."""
    git = shutil.which("git")
    counting = folder / "counting" / "git"
    counting.parent.mkdir(exist_ok=True)
    counting.write_text(f'#!/bin/sh\necho >>{folder / "calls"}\nexec {git} "$@"\n')
    counting.chmod(0o755)
    return f"{counting.parent}:{os.environ['PATH']}"
