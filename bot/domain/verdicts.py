"""A verdict is an explained tree, not a boolean: every leaf says what was looked at and why it counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bot.domain.telling import telling_lines


class Decision(StrEnum):
    """`wait` is for what may yet turn out either way."""

    PASS = "pass"
    FAIL = "fail"
    WAIT = "wait"


MARKS = {Decision.PASS: "✓", Decision.FAIL: "✗", Decision.WAIT: "…"}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check's end. `tail` is the end of its output, at most 4,000 characters."""

    command: str
    exit_status: int
    duration_ms: int
    tail: str = ""
    reason: str = ""

    @property
    def decision(self) -> Decision:
        return Decision.PASS if self.exit_status == 0 and not self.reason else Decision.FAIL


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision and its reasons. A leaf has no children; an inner node passes when all its children do.

    Of a check, `base` says what it came to on the untouched base, and `detail` has the telling lines of what failed newly.
    What is `final` is not to be mended.
    """

    name: str
    decision: Decision
    reason: str
    children: tuple[Verdict, ...] = ()
    base: str = ""
    detail: str = ""
    final: bool = False

    @property
    def passed(self) -> bool:
        return self.decision is Decision.PASS

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """The leaves that failed, and what failed without any of its own."""
        below = tuple(leaf for child in self.children for leaf in child.failed)
        return below or ((self,) if self.decision is Decision.FAIL else ())

    def part(self, name: str) -> Verdict | None:
        """The child of that name: `checks` or `guards`."""
        return next((child for child in self.children if child.name == name), None)

    def lines(self, depth: int = 0) -> list[str]:
        """The tree, a line a node, two spaces a level."""
        mark = MARKS[self.decision]
        own = f"{'  ' * depth}{mark} {self.name}: {self.reason}"
        return [own, *(line for child in self.children for line in child.lines(depth + 1))]

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "decision": self.decision.value,
            "reason": self.reason,
            "children": [child.to_json() for child in self.children],
            **({"base": self.base} if self.base else {}),
            **({"detail": self.detail} if self.detail else {}),
        }


def judge_checks(results: tuple[CheckResult, ...]) -> Verdict:
    """All checks must pass. The reason names each one that did not."""
    return judge_leaves(tuple(judge_check(result) for result in results))


def judge_leaves(leaves: tuple[Verdict, ...], *, excused: frozenset[int] = frozenset()) -> Verdict:
    """Of what was said of each check. `excused` are the numbers of those that failed, and not because of the change."""
    failed = [leaf for leaf in leaves if not leaf.passed]
    if failed:
        reason = "; ".join(f"{leaf.name}: {leaf.reason}" for leaf in failed)
        return Verdict("checks", Decision.FAIL, reason, leaves)
    if not leaves:
        return Verdict("checks", Decision.PASS, "no checks to pass")
    if excused:
        reason = "; ".join(f"{leaf.name}: {leaf.reason}" for number, leaf in enumerate(leaves) if number in excused)
        return Verdict("checks", Decision.PASS, f"no new failure: {reason}", leaves)
    return Verdict(
        "checks", Decision.PASS, "its check passed" if len(leaves) == 1 else f"all {len(leaves)} checks passed", leaves
    )


def judge_check(result: CheckResult) -> Verdict:
    """By its own end alone."""
    if result.decision is Decision.PASS:
        return Verdict(result.command, Decision.PASS, f"exit 0 in {result.duration_ms / 1000:.1f} s")
    said = result.reason or f"exit {result.exit_status}"
    last = next((line.strip() for line in reversed(result.tail.splitlines()) if line.strip()), "")
    reason = f"{said}: {last}" if last else said
    return Verdict(result.command, Decision.FAIL, reason, detail=telling_lines(result.tail))


def new_failures(verdict: Verdict) -> str:
    """What failed, for whoever is to mend it: each failed leaf or check with its telling lines; "" where nothing did."""
    return "\n\n".join(_failures(verdict))


def _failures(node: Verdict) -> list[str]:
    if node.passed:
        return []
    below = [told for child in node.children for told in _failures(child)]
    if below and not node.detail:
        return below
    return ["\n".join([f"{node.name}: {node.reason}", *node.detail.splitlines()])]


FAILURES = {"checks": "a check failed", "guards": "a guard objects"}


def together(parts: Sequence[Verdict]) -> Verdict:
    """One verdict of all that looks at a change: every part must pass. What failed says which part it was."""
    failed = [part for part in parts if part.decision is Decision.FAIL]
    if failed:
        words = "; ".join(f"{FAILURES.get(part.name, f'{part.name} failed')}: {part.reason}" for part in failed)
        return Verdict("verdict", Decision.FAIL, words, tuple(parts))
    waiting = any(part.decision is Decision.WAIT for part in parts)
    reason = next((part.reason for part in parts if part.name == "checks"), "nothing objects")
    warned = [leaf.name for part in parts if part.name == "guards" for leaf in part.children if leaf.children]
    if warned:
        reason += f", a guard warns: {', '.join(warned)}"
    return Verdict("verdict", Decision.WAIT if waiting else Decision.PASS, reason, tuple(parts))


def leaves_of(told: Mapping[str, Any], part: str) -> list[dict[str, Any]]:
    """The children of a part of a verdict, as it was kept in JSON."""
    found = next((child for child in told.get("children", ()) if child["name"] == part), None)
    return list(found["children"]) if found else []
