"""Guard `permissions`: no workflow may do more than before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from bot.domain.guards.change import Change, Edit, Finding, line_of
from bot.domain.guards.pipelines import WORKFLOW, Job, Pipeline, levels, read_pipeline

_RANK = {"none": 0, "read": 1, "write": 2}
_PRIVILEGED = ("pull_request_target", "workflow_run")
_SECRET = re.compile(r"\bsecrets\s*(?:\.\s*|\[\s*['\"])([A-Za-z_]\w*)")
_INHERIT = re.compile(r"\bsecrets:\s*inherit\b|toJSON\(\s*secrets\s*\)", re.IGNORECASE)
_AT_DEFAULT = {"*": 1}
"""What a workflow without `permissions:` is taken to have: it depends on the organization's settings."""


def permissions_kept(change: Change) -> Iterator[Finding]:
    edits = change.where(lambda edit: WORKFLOW.search(edit.path) is not None)
    gone = [edit for edit in edits if edit.after is None]
    for edit in edits:
        if edit.after is not None:
            yield from _gained(edit, read_pipeline(edit.path, edit.after), gone)


def _gained(edit: Edit, new: Pipeline, gone: list[Edit]) -> Iterator[Finding]:
    """A file that is new may have moved: it may do what those that are gone might."""
    before = [edit] if edit.before is not None else gone
    old = [read_pipeline(each.path, each.before) for each in before]
    for trigger in _PRIVILEGED:
        if trigger in new.triggers and not any(trigger in each.triggers for each in old):
            line = line_of(edit.after, rf"\b{trigger}\b")
            yield Finding(edit.path, line, f"`{trigger}` runs for strangers with a token of this repository's")
    for name, job in new.jobs.items():
        yield from _of_job(edit, name, _effective(new, job), _allowed(old, name), bare=_bare(new, job))
    known = {name for each in before for name in _SECRET.findall(each.before or "")} | {"GITHUB_TOKEN"}
    for secret in sorted(set(_SECRET.findall(edit.after or "")) - known):
        yield Finding(edit.path, line_of(edit.after, rf"\b{secret}\b"), f"it reads the secret {secret}, and did not before")
    if _INHERIT.search(edit.after or "") and not any(_INHERIT.search(each.before or "") for each in before):
        yield Finding(edit.path, line_of(edit.after, _INHERIT), "it hands all secrets on, and did not before")


def _of_job(edit: Edit, name: str, has: Mapping[str, int], may: Mapping[str, int], *, bare: bool) -> Iterator[Finding]:
    if bare and may != _AT_DEFAULT and edit.before is not None:
        yield Finding(edit.path, 0, f"the job `{name}` has no `permissions:` any more, and gets whatever is the default")
        return
    for scope, rank in has.items():
        if rank > may.get(scope, may.get("*", 0)):
            level = next(word for word, value in _RANK.items() if value == rank)
            line = line_of(edit.after, rf"\b{re.escape(scope)}:\s*{level}\b|{level}-all")
            yield Finding(
                edit.path, line, f"the job `{name}` may {level} {'everything' if scope == '*' else scope}, and might not before"
            )


def _bare(pipeline: Pipeline, job: Job) -> bool:
    return job.permissions is None and pipeline.permissions is None


def _effective(pipeline: Pipeline, job: Job) -> dict[str, int]:
    stated = pipeline.permissions if job.permissions is None else job.permissions
    if stated is None:
        return _AT_DEFAULT
    return {scope: _RANK.get(level, 2) for scope, level in levels(stated)}


def _allowed(old: list[Pipeline], name: str) -> dict[str, int]:
    """What the job of that name had; of a new job, what any job there had; of a new file, to read."""
    same = [_effective(each, each.jobs[name]) for each in old if name in each.jobs]
    found = same or [_effective(each, job) for each in old for job in each.jobs.values()]
    if not found:
        return _AT_DEFAULT
    merged: dict[str, int] = {}
    for each in found:
        for scope, rank in each.items():
            merged[scope] = max(rank, merged.get(scope, 0))
    return merged if same else {"*": 1} | merged
