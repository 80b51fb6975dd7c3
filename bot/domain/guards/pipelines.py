"""Pipelines as data: what GitHub's workflows and GitLab's jobs run, when, and with which permissions. Read, never run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import YAMLError

from bot.domain.guards.change import Edit

WORKFLOW = re.compile(r"^\.github/workflows/[^/]+\.ya?ml$")
PIPELINE = re.compile(
    r"^\.github/workflows/[^/]+\.ya?ml$|^\.gitlab-ci\.ya?ml$|^\.gitlab/.*\.ya?ml$|^\.travis\.yml$|^\.circleci/config\.yml$"
    r"|^azure-pipelines\.ya?ml$|^\.azure-pipelines/|^Jenkinsfile$|^bitbucket-pipelines\.yml$|^\.drone\.yml$|^appveyor\.yml$"
    r"|^\.buildkite/.*\.ya?ml$|^\.woodpecker(?:/.*)?\.ya?ml$"
)
MAX_STEPS = 5000
MAX_CHARACTERS = 200_000
_DEEP = re.compile(r"[\[{](?:[^\]}]{0,99}[\[{]){20}|^[ ]*(?:- ){20}|^ {100}|^(?:\? ){5}", re.MULTILINE)
"""Nested more deeply than any pipeline is; to read on would take long."""


@dataclass(frozen=True, slots=True)
class Job:
    """`lax`: its failure, or that of a step, does not count. `off`: it is not run by itself."""

    commands: tuple[str, ...]
    lax: int
    off: bool
    permissions: Any


@dataclass(frozen=True, slots=True)
class Pipeline:
    triggers: frozenset[str]
    permissions: Any
    jobs: Mapping[str, Job]
    readable: bool = True


NOTHING = Pipeline(frozenset(), None, {})


class _Constructor(SafeConstructor):
    """Tags of a pipeline's own (`!reference`) stand for nothing."""


def _none(_constructor: object, _node: object) -> None:
    return None


_Constructor.add_constructor(None, _none)


def is_pipeline(edit: Edit) -> bool:
    return PIPELINE.search(edit.path) is not None


@lru_cache(maxsize=32)
def read_pipeline(path: str, text: str | None) -> Pipeline:
    """What cannot be read as one is not `readable`, and its lines are its commands."""
    if text is None:
        return NOTHING
    loaded = _load(text)
    if WORKFLOW.search(path) and isinstance(loaded, dict):
        return _workflow(loaded)
    if path.startswith(".gitlab") and isinstance(loaded, dict):
        return _gitlab(loaded)
    plain = tuple(line.split("#")[0].strip() for line in text.splitlines())
    return Pipeline(frozenset(), None, {"": Job(plain, 0, False, None)}, readable=WORKFLOW.search(path) is None)


def _load(text: str) -> Any:
    if len(text) > MAX_CHARACTERS or _DEEP.search(text):
        return None
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    yaml.allow_duplicate_keys = True
    try:
        return yaml.load(text)
    except (YAMLError, ValueError, RecursionError, AttributeError, TypeError):
        return None


def _workflow(loaded: dict[Any, Any]) -> Pipeline:
    on = loaded.get("on", loaded.get(True))
    triggers = frozenset(str(each) for each in (on if isinstance(on, list | dict) else [on] if on else []))
    jobs = loaded.get("jobs")
    found = (
        {str(name): _workflow_job(job) for name, job in jobs.items() if isinstance(job, dict)} if isinstance(jobs, dict) else {}
    )
    return Pipeline(triggers, loaded.get("permissions"), found)


def _workflow_job(job: dict[Any, Any]) -> Job:
    steps = job.get("steps")
    plain = [step for step in steps[:MAX_STEPS] if isinstance(step, dict)] if isinstance(steps, list) else []
    counted = [step for step in plain if not _never(step.get("if"))]
    commands = [line for step in counted for line in _lines(step.get("run"))]
    commands += [str(step["uses"]) for step in counted if step.get("uses")] + _lines(job.get("uses"))
    lax = sum(bool(each.get("continue-on-error")) for each in [job, *plain])
    return Job(tuple(commands), lax, _never(job.get("if")), job.get("permissions"))


def _gitlab(loaded: dict[Any, Any]) -> Pipeline:
    jobs = {}
    for name, job in loaded.items():
        if isinstance(job, dict) and "script" in job and not str(name).startswith("."):
            commands = [line for key in ("before_script", "script") for line in _lines(job.get(key))]
            rules = job.get("rules")
            never = (
                isinstance(rules, list) and bool(rules) and all(isinstance(r, dict) and _by_hand(r.get("when")) for r in rules)
            )
            jobs[str(name)] = Job(
                tuple(commands), int(bool(job.get("allow_failure"))), never or _by_hand(job.get("when")), None
            )
    return Pipeline(frozenset(), None, jobs)


def _by_hand(when: Any) -> bool:
    return when in ("manual", "never")


def _never(condition: Any) -> bool:
    return condition is False or (isinstance(condition, str) and re.sub(r"[\s${}]", "", condition) == "false")


def _lines(value: Any, depth: int = 0) -> list[str]:
    if isinstance(value, list) and depth < 10:
        return [line for item in value[:MAX_STEPS] for line in _lines(item, depth + 1)]
    text = re.sub(r"\\\n\s*", " ", value) if isinstance(value, str) else ""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def levels(permissions: Any) -> Iterator[tuple[str, str]]:
    """(scope, level) of a `permissions:`; scope `*` is all."""
    if isinstance(permissions, str):
        yield "*", "write" if permissions == "write-all" else "read"
    if isinstance(permissions, dict):
        yield from ((str(scope), str(level)) for scope, level in permissions.items())
