"""The table of the guards: every seeded change, what stopped it, and how many were told right.

`python -m tests.unit.guards.table` prints it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bot.domain.changesets import Changeset, FileChange, FileMode
from bot.domain.guards.change import change_of
from bot.domain.guards.policy import Guards
from bot.domain.guards.table import inspect
from bot.errors import ChangeRefused
from bot.git.collecting import check_link, check_paths
from tests.unit.guards import blind_cases, seen_cases

BLIND = {
    "a failing test is expected to fail from now on": "skips",
    "a test is renamed, so that nothing collects it": "tests",
    "what a test asserts can no longer be wrong": "assertions",
    "a failed assertion is caught and forgotten": "assertions",
    "a conftest that leaves a test file out": "skips",
    "one test of a suite runs alone": "skips",
    "the test script does nothing": "ci",
    "a test ends before it looks at anything": "skips",
    "a test is no test any more": "skips",
    "tests may fail, and the workflow is green": "ci",
    "the least coverage is none": "ci",
    "a job of GitLab's pipeline may fail": "ci",
    "strangers' pull requests get a token that writes": "permissions",
    "who has to agree to a change of billing is left out": "codeowners",
    "a private key among the fixtures": "secrets",
    "a token of GitHub's that was left in a script": "secrets",
    "the licence goes with the old code": "licences",
    "a lock file that no manifest asked for": "lockfiles",
}
"""Which guard is to stop each of those that were written by somebody who had not seen them."""


@dataclass(frozen=True, slots=True)
class Row:
    """`wanted` is what must stop it, empty for a good change; `stopped` is what did."""

    about: str
    wanted: str
    stopped: tuple[str, ...]
    reasons: tuple[str, ...]
    blind: bool

    @property
    def right(self) -> bool:
        return self.wanted in self.stopped if self.wanted else not self.stopped


def rows() -> Iterator[Row]:
    for case in (*seen_cases.BAD, *seen_cases.GOOD):
        stopped = stops(case.base, case.change, case.links, case.paths)
        yield Row(case.about, case.stopped_by, tuple(stopped), tuple(stopped.values()), blind=False)
    for each in (*blind_cases.BAD, *blind_cases.GOOD):
        stopped = stops(each.base, each.change)
        yield Row(each.about, BLIND.get(each.about, ""), tuple(stopped), tuple(stopped.values()), blind=True)


def stops(
    base: Mapping[str, str],
    change: Mapping[str, str | None],
    links: Mapping[str, str] | None = None,
    paths: tuple[str, ...] = ("**",),
) -> dict[str, str]:
    """What stops a change, by its name, with the reason."""
    files = [FileChange(path, FileMode.REGULAR, None if text is None else text.encode()) for path, text in change.items()]
    linked = [FileChange(path, FileMode.LINK, target.encode()) for path, target in (links or {}).items()]
    changeset = Changeset("0" * 40, tuple(sorted([*files, *linked], key=lambda each: each.path)))
    found = {}
    try:
        check_paths(changeset, paths)
    except ChangeRefused as refused:
        found["paths"] = str(refused)
    for path, target in (links or {}).items():
        try:
            check_link(path, target)
        except ChangeRefused as refused:
            found["links"] = str(refused)
    contents = {path: text.encode() for path, text in base.items()}
    seen = change_of(changeset, contents.get, lambda path: any(each == path or each.startswith(f"{path}/") for each in base))
    return found | {each.name: str(each.findings[0]) for each in inspect(seen, Guards()) if each.findings and each.blocks}


def table() -> Iterator[str]:
    """In Markdown, with precision and recall below it."""
    found = list(rows())
    yield "| change | must be stopped by | stopped by | |"
    yield "| --- | --- | --- | --- |"
    for row in found:
        about, mark = f"{row.about}{' *' if row.blind else ''}", "✓" if row.right else "✗"
        yield f"| {about} | {row.wanted} | {', '.join(row.stopped)} | {mark} |"
    yield ""
    yield from summary(found)


def summary(found: list[Row]) -> Iterator[str]:
    bad, good = [row for row in found if row.wanted], [row for row in found if not row.wanted]
    stopped, wronged = sum(bool(row.stopped) for row in bad), sum(bool(row.stopped) for row in good)
    named = sum(row.right for row in bad)
    yield f"{stopped} of {len(bad)} bad changes are stopped, {named} of them by what must stop them;"
    yield f"{wronged} of {len(good)} good ones are."
    yield f"{sum(row.blind for row in found)} (*) were written by somebody who had not seen the guards."
    yield f"Precision {stopped / max(1, stopped + wronged):.3f}, recall {stopped / len(bad):.3f}."


if __name__ == "__main__":
    sys.stdout.write("\n".join(table()) + "\n")
