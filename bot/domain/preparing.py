"""How a repository is prepared, so that its own tests run without a network: as the policy says, or as its files show."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase

PREPARED = "/prepared"
"""Where the result is in a sandbox: written while preparing, read-only ever after."""

_PYTHON = ("pyproject.toml", "setup.py", "setup.cfg", "requirements*.txt")
_NODE = ("package.json", "package-lock.json", "npm-shrinkwrap.json")
_INSTALL = f"{PREPARED}/venv/bin/python -m pip install --quiet"


@dataclass(frozen=True, slots=True)
class Recipe:
    """`decided_by` are the paths whose contents decide the result; empty where any file may."""

    commands: tuple[str, ...]
    decided_by: tuple[str, ...] = ()


def recipe_of(prepare: str | list[str], paths: Collection[str]) -> Recipe | None:
    """None where there is nothing to prepare. `paths` are the repository's."""
    if not isinstance(prepare, str):
        return Recipe(tuple(prepare))
    return _detected(paths) if prepare == "auto" else None


def _detected(paths: Collection[str]) -> Recipe | None:
    python, node = _named(paths, _PYTHON), _named(paths, _NODE)
    commands: list[str] = []
    if python:
        commands += [f"python3 -m venv {PREPARED}/venv", f"{_INSTALL} pytest || true"]
        commands += [f"{_INSTALL} -r {path}" for path in python if path.endswith(".txt")]
        if "pyproject.toml" in python or "setup.py" in python:
            # Its code is found in /workspace, as it is there at the time: changed by then.
            commands.append(f"{_INSTALL} --editable '.[dev,test,tests,testing]'")
    if "package.json" in node:
        locked = len(node) > 1
        commands.append(f"npm {'ci' if locked else 'install --no-package-lock'} --ignore-scripts --no-progress")
        commands.append(f"if [ -d node_modules ]; then cp -a node_modules {PREPARED}/; fi")
    return Recipe(tuple(commands), tuple(python + node)) if commands else None


def _named(paths: Collection[str], globs: Collection[str]) -> list[str]:
    """Those at the repository's root."""
    return sorted(path for path in paths if "/" not in path and any(fnmatchcase(path, glob) for glob in globs))
