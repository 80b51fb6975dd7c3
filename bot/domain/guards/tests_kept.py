"""Guards `tests`, `skips` and `assertions`: what is tested stays tested."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from bot.domain.guards.change import Change, Edit, Finding, counted, first_added
from bot.domain.guards.reading import Case, is_test, read_tests

_ONLY = re.compile(r"(?<![.\w])(?:it|test|describe|context|suite|specify)\.only\b|(?<![.\w])f(?:it|describe|context)\s*[(\"']")
_LEFT_OUT = re.compile(
    r"--ignore(?:-glob)?[=\s]|--deselect|--collect-only|norecursedirs|testPathIgnorePatterns|-m\s+[\"']?not\s|-k\s+[\"']?not\s"
    r"|<skipTests>\s*true|<testFailureIgnore>\s*true|ignoreFailures\s*=\s*true|testpaths\s*="
)
_CHOOSES = re.compile(
    r"^\s*collect_ignore(?:_glob)?\b|def pytest_ignore_collect|add_marker\([^)]*(?:skip|xfail)|\bitems\[:\]\s*="
    r"|\bitems\.clear\(|def pytest_runtest_makereport|\.outcome\s*=\s*[\"']passed",
    re.MULTILINE,
)
_SETTINGS = re.compile(
    r"(?:^|/)(?:pytest\.ini|\.?pytest\.toml|pyproject\.toml|setup\.cfg|tox\.ini|package\.json|jest\.config\.\w+|vite(?:st)?\.config\.\w+"
    r"|pom\.xml|build\.gradle(?:\.kts)?|\.rspec|\.mocharc\.\w+)$"
)


def tests_kept(change: Change) -> Iterator[Finding]:
    """As many tests are run as before, or those that are gone went with what they tested."""
    edits = [edit for edit in change.where(lambda edit: is_test(edit.path)) if not _went_with_its_subject(edit, change)]
    before, after = _all(edits, old=True), _all(edits, old=False)
    missing = _rows(before) - _rows(after)
    if missing <= 0:
        return
    for edit in edits:
        names = {case.name for case in read_tests(edit.path, edit.after)}
        lost = [case for case in read_tests(edit.path, edit.before) if case.name not in names and not case.skipped]
        if lost and (edit.after is None or not names):
            yield Finding(edit.path, 0, f"{_tests(len(lost))} gone with the file: {_named(lost)}")
        elif lost:
            yield Finding(edit.path, lost[0].line, f"{_tests(len(lost))} gone: {_named(lost)}")


def skips_kept(change: Change) -> Iterator[Finding]:
    """What was run is run."""
    for edit in change.where(lambda edit: is_test(edit.path)):
        ran = {case.name for case in read_tests(edit.path, edit.before) if not case.skipped}
        for case in read_tests(edit.path, edit.after):
            if case.skipped and case.name in ran:
                yield Finding(edit.path, case.line, f"{case.name} is not run any more: {case.skipped}")
        if counted(_ONLY, [edit.after]) > counted(_ONLY, [edit.before]) and (found := first_added(edit, _ONLY)):
            yield Finding(edit.path, found[0], f"only this would run: {found[1]}")
    for edit in change.where(lambda edit: edit.name == "conftest.py"):
        if found := first_added(edit, _CHOOSES):
            yield Finding(edit.path, found[0], f"it chooses which tests are run: {found[1]}")
    settings = change.where(lambda edit: _SETTINGS.search(edit.path) is not None and edit.after is not None)
    if counted(_LEFT_OUT, _texts(settings, old=False)) > counted(_LEFT_OUT, [edit.before for edit in change.edits]):
        for edit in settings:
            known = (edit.before or "").splitlines()
            if (found := first_added(edit, _LEFT_OUT)) and not _new_testpaths(found[1], known):
                yield Finding(edit.path, found[0], f"tests are left out: {found[1]}")


def assertions_kept(change: Change) -> Iterator[Finding]:
    """Tests that are run look at as much as before."""
    edits = [edit for edit in change.where(lambda edit: is_test(edit.path)) if not _went_with_its_subject(edit, change)]
    before, after = _all(edits, old=True), _all(edits, old=False)
    short = _strength(before) - _strength(after)
    lost = _strength(case for case in before if case.name not in {case.name for case in after})
    for edit in edits:
        known = {case.name: case for case in read_tests(edit.path, edit.before) if not case.skipped}
        for case in read_tests(edit.path, edit.after):
            if case.skipped:
                continue
            was = known.get(case.name)
            if was is not None and was.strong * was.rows > case.strong * case.rows and (short > lost or not case.strong):
                yield Finding(edit.path, case.line, f"{case.name} {_says(was, case)}")
            elif was is None and short > 0 and lost and not case.strong:
                yield Finding(edit.path, case.line, f"{case.name} asserts nothing, and others that did are gone")


def _says(was: Case, now: Case) -> str:
    if not now.strong and not now.weak:
        return "asserts nothing any more that could be wrong"
    if not now.strong:
        return "only asserts what is hardly ever wrong"
    return f"asserts less than before: {was.strong * was.rows} things, now {now.strong * now.rows}"


def _went_with_its_subject(edit: Edit, change: Change) -> bool:
    """A test file that is deleted together with the file it is named after."""
    if edit.after is not None:
        return False
    subject = _subject(edit.path)
    return any(
        other.after is None
        and other.path != edit.path
        and not is_test(other.path)
        and PurePosixPath(other.path).stem == subject
        for other in change.edits
    )


def _subject(path: str) -> str:
    stem = PurePosixPath(path).name.split(".")[0]
    return re.sub(r"^test_|_test$|_spec$|Tests?$|IT$", "", stem)


def _all(edits: Iterable[Edit], *, old: bool) -> list[Case]:
    """The cases that are run."""
    return [
        case
        for edit in edits
        for case in read_tests(edit.path, edit.before if old else edit.after)
        if old or not _gone(case, edit)
    ]


def _gone(case: Case, edit: Edit) -> bool:
    """Skipped where it was before is no loss of this change's; skipped as it comes in counts for nothing."""
    return bool(case.skipped) and case.name not in {each.name for each in read_tests(edit.path, edit.before)}


def _rows(cases: Iterable[Case]) -> int:
    return sum(case.rows for case in cases)


def _strength(cases: Iterable[Case]) -> int:
    return sum(case.rows * case.strong for case in cases)


def _texts(edits: Iterable[Edit], *, old: bool) -> list[str | None]:
    return [edit.before if old else edit.after for edit in edits]


def _new_testpaths(line: str, known: list[str]) -> bool:
    """Where tests are looked for is said for the first time: nothing was left out before by that."""
    return line.startswith("testpaths") and not any(each.strip().startswith("testpaths") for each in known)


def _tests(count: int) -> str:
    return "1 test is" if count == 1 else f"{count} tests are"


def _named(cases: list[Case]) -> str:
    names = ", ".join(case.name for case in cases[:5])
    return f"{names}, …" if len(cases) > 5 else names
