"""Where one contestant works: a folder with a fresh copy of its repositories, and nothing that another one has touched."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pygit2

from benchmarks.measuring import Command
from benchmarks.organization import ORG

HERE = Path(__file__).parent
WHIMBREL = Path(sys.executable).with_name("whimbrel")


@dataclass(frozen=True, slots=True)
class Arena:
    """`names` are its repositories; `path` is PATH, whose first folder may count the calls of git."""

    folder: Path
    names: Sequence[str]
    parallel: int
    path: str = os.environ["PATH"]

    @property
    def host(self) -> Path:
        return self.folder / "host" / ORG

    def script(self, name: str, branch: str, **variables: str) -> Command:
        """scripts/NAME for each repository, `parallel` at once."""
        (self.folder / "trees").mkdir(exist_ok=True)
        (self.folder / "mirrors").mkdir(exist_ok=True)
        (self.folder / "names").write_text("".join(f"{name}\n" for name in self.names))
        each = ["xargs", "-a", "names", "-n", "1", "-P", str(self.parallel), HERE / "scripts" / name]
        return Command(each, self.folder, self.environment(HOST=self.host.as_uri(), BRANCH=branch, **variables))

    def whimbrel(self, policy: str, **variables: str) -> Command:
        """`whimbrel run`, with its own embedded server and `parallel` workers."""
        run = [WHIMBREL, "run", policy, "--org", ORG, "--workers", str(self.parallel), "--json"]
        return Command(run, self.folder, self.environment(**variables))

    def environment(self, **variables: str) -> dict[str, str]:
        git = {"GIT_CONFIG_GLOBAL": str(HERE / "git.config"), "GIT_CONFIG_NOSYSTEM": "1"}
        return {"PATH": self.path, "HOME": str(self.folder), "LANG": "C.UTF-8", **git, **variables}

    def write_policies(self, policy: Mapping[str, Any]) -> None:
        """The org's, whose ceilings are out of the way, and the campaign's."""
        org = {
            "org": ORG,
            "host": "local:./host",
            "quota": {"usd_per_month": 1000, "concurrent_runs": 1000},
            "ceilings": {"open_pull_requests": 100_000, "pull_requests_per_hour": 100_000},
            "campaigns": [policy["name"]],
        }
        for place, content in {f"orgs/{ORG}": org, f"campaigns/{policy['name']}": policy}.items():
            file = self.folder / "policies" / f"{place}.yaml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(content))  # any JSON document is a YAML one

    def changes(self, name: str, branch: str) -> dict[str, str]:
        """What the branch of a repository has changed on main: the new text by path. Raises KeyError without that branch."""
        repository = pygit2.Repository(self.host / f"{name}.git")
        tip = repository.branches[branch].peel(pygit2.Commit)
        found = repository.branches["main"].peel(pygit2.Tree).diff_to_tree(tip.tree)
        paths = [delta.new_file.path for delta in found.deltas]
        return {path: tip.tree[path].data.decode() for path in paths}


@contextmanager
def arena(organization: Path, names: Sequence[str], parallel: int, path: str = os.environ["PATH"]) -> Iterator[Arena]:
    """An arena beside the organization, with these repositories of it. It is removed at the end."""
    with tempfile.TemporaryDirectory(dir=organization.parent, prefix="arena-") as folder:
        place = Arena(Path(folder), names, parallel, path)
        for name in names:
            shutil.copytree(organization / f"{name}.git", place.host / f"{name}.git")
        yield place
