"""Guard `ci`: what is looked at before a merge is looked at after it, and counts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from bot.domain.guards.change import MAX_LINE, Change, Edit, Finding, counted, first_added, line_of
from bot.domain.guards.pipelines import Pipeline, is_pipeline, read_pipeline

KINDS = {
    "tests": re.compile(
        r"\bpytest\b|\bpy\.test\b|\btox\b|\bnox\b|\bunittest\b|\b(?:npm|pnpm|yarn|bun)\s+(?:run\s+)?test"
        r"|\b(?:jest|vitest|mocha|playwright|cypress)\b|\bgo test\b|\bmvnw?\b.*\b(?:test|verify|install|package)\b"
        r"|\bgradlew?\b.*\b(?:test|check|build)\b|\bcargo (?:test|nextest)\b|\brspec\b|\brake\b|\brails test\b"
        r"|\bphpunit\b|\bdotnet test\b|\bctest\b|\bmake (?:test|check)\b"
    ),
    "linters": re.compile(
        r"\b(?:ruff|flake8|pylint|black|isort|mypy|pyright|eslint|biome|prettier|golangci-lint|go vet|rubocop|clippy|checkstyle"
        r"|spotless\w*|ktlint|shellcheck|hadolint|pre-commit|make lint|npm run lint|tsc)\b"
    ),
    "security scanners": re.compile(
        r"codeql|trivy|semgrep|gitleaks|trufflehog|snyk|\bbandit\b|pip-audit|npm audit|dependency-review|scorecard|zizmor"
        r"|govulncheck"
    ),
}
_INSTALLS = re.compile(r"\b(?:pip|uv|pipx|poetry|apt-get|apt|brew|gem)\b.*\b(?:install|add)\b|\bnpm (?:i|install)\b")
_FORGIVES = re.compile(
    r"\|\|\s*(?:true\b|:(?:\s|$)|exit 0|echo\b)|;\s*(?:true|exit 0)\s*$|\bset \+e\b|--exit-zero\b|--passWithNoTests\b"
    r"|-DskipTests|-Dmaven\.test\.skip|-x test\b|--no-verify\b|allow_failure:\s*true|continue-on-error:\s*true"
    r"|paths-ignore:|branches-ignore:",
    re.MULTILINE,
)
_MAKE_FORGIVES = re.compile(r"^\t@?-\s*\w|\|\|\s*(?:true|:|exit 0)\b", re.MULTILINE)
_COVERAGE = re.compile(r"(?:cov-)?fail[-_]under[\"']?\s*[=:\s]\s*[\"']?(\d+(?:\.\d+)?)")
_NOTHING = re.compile(
    r"^\s*(?:echo\b[^&|;]*|true|:|exit 0)(?:\s*(?:&&|;)\s*(?:exit 0|true|:))*\s*$|\|\|\s*(?:true|exit 0|:)|--passWithNoTests"
)


def ci_kept(change: Change) -> Iterator[Finding]:
    edits = change.where(is_pipeline)
    if any(edit.before is not None for edit in edits):
        yield from _fewer(edits)
        yield from _forgiven(edits)
        for edit in edits:
            if edit.before is not None and edit.after is not None:
                yield from _narrower(edit)
    yield from _less_coverage(change.edits)
    yield from _empty_scripts(change)


def _fewer(edits: Iterable[Edit]) -> Iterator[Finding]:
    """Fewer commands that test, or none that lints or scans, in all pipelines together."""
    old = [(edit, read_pipeline(edit.path, edit.before)) for edit in edits]
    new = [(edit, read_pipeline(edit.path, edit.after)) for edit in edits]
    for kind, pattern in KINDS.items():
        before = sum(_runs(pipeline, pattern) for _, pipeline in old)
        after = sum(_runs(pipeline, pattern) for _, pipeline in new)
        if after < before and (kind == "tests" or after == 0):
            edit = max(zip(old, new, strict=True), key=lambda pair: _runs(pair[0][1], pattern) - _runs(pair[1][1], pattern))[0][
                0
            ]
            line = 0 if edit.after is None else next((number for number, line in edit.gone if pattern.search(line)), 0)
            words = (
                f"the pipeline is gone, with its {kind}"
                if edit.after is None
                else f"{kind} are run {after} times, not {before}"
            )
            yield Finding(edit.path, line, words)
    for edit, pipeline in new:
        if edit.after is not None and not pipeline.readable:
            yield Finding(edit.path, 0, "cannot be read as a workflow any more")


def _runs(pipeline: Pipeline, pattern: re.Pattern[str]) -> int:
    commands = [command[:MAX_LINE] for job in pipeline.jobs.values() if not job.off for command in job.commands]
    return sum(pattern.search(command) is not None and not _INSTALLS.search(command) for command in commands)


def _forgiven(edits: tuple[Edit, ...]) -> Iterator[Finding]:
    if counted(_FORGIVES, _plain(edits, old=False)) <= counted(_FORGIVES, _plain(edits, old=True)):
        return
    for edit in edits:
        if found := first_added(edit, _FORGIVES):
            yield Finding(edit.path, found[0], f"a failure does not count, or less is looked at: {found[1]}")


def _plain(edits: Iterable[Edit], *, old: bool) -> list[str]:
    return [re.sub(r"(?m)(?:^|\s)#.*$", "", (edit.before if old else edit.after) or "") for edit in edits]


def _narrower(edit: Edit) -> Iterator[Finding]:
    old, new = read_pipeline(edit.path, edit.before), read_pipeline(edit.path, edit.after)
    for trigger in sorted((old.triggers - new.triggers) & {"push", "pull_request", "merge_group"}):
        yield Finding(edit.path, line_of(edit.after, r"^\s*[\"']?on\b"), f"it is not run on `{trigger}` any more")
    for name, job in new.jobs.items():
        was = old.jobs.get(name)
        if was is not None and job.off and not was.off:
            yield Finding(edit.path, line_of(edit.after, re.escape(name)), f"the job `{name}` is not run by itself any more")


def _less_coverage(edits: Iterable[Edit]) -> Iterator[Finding]:
    """The least coverage that is asked for, wherever it is written."""
    held = [edit for edit in edits if _COVERAGE.search(edit.before or "") or _COVERAGE.search(edit.after or "")]
    before, after = (_least(held, old=old) for old in (True, False))
    if before is None:
        return
    where = next(edit for edit in held if edit.before and _COVERAGE.search(edit.before))
    if after is None:
        yield Finding(where.path, 0, f"a least coverage of {before:g} is not asked for any more")
    elif after < before:
        edit = next(edit for edit in held if _least([edit], old=False) == after)
        yield Finding(edit.path, line_of(edit.after, _COVERAGE), f"the least coverage falls from {before:g} to {after:g}")


def _least(edits: Iterable[Edit], *, old: bool) -> float | None:
    found = [float(number) for edit in edits for number in _COVERAGE.findall((edit.before if old else edit.after) or "")]
    return min(found, default=None)


def _empty_scripts(change: Change) -> Iterator[Finding]:
    for edit in change.where(lambda edit: edit.name == "package.json" and None not in (edit.before, edit.after)):
        old, new = _test_script(edit.before), _test_script(edit.after)
        if old and not _NOTHING.search(old) and (not new or _NOTHING.search(new)):
            line = line_of(edit.after, r"\"test\"\s*:")
            yield Finding(edit.path, line, f"the test script {'does nothing that could fail: ' + new if new else 'is gone'}")
    for edit in change.where(lambda edit: edit.name in ("Makefile", "makefile", "GNUmakefile", "justfile")):
        if edit.before is not None and counted(_MAKE_FORGIVES, [edit.after]) > counted(_MAKE_FORGIVES, [edit.before]):
            found = first_added(edit, _MAKE_FORGIVES)
            yield Finding(edit.path, found[0] if found else 0, f"a failure does not count: {found[1] if found else ''}")


def _test_script(text: str | None) -> str:
    try:
        loaded: Any = json.loads(text or "")
        return str(loaded["scripts"]["test"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
