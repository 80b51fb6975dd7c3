"""A verdict is an explained tree, not a boolean: every leaf says what was looked at and why it counts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
    """The decision and its reasons. A leaf has no children; an inner node passes when all its children do."""

    name: str
    decision: Decision
    reason: str
    children: tuple[Verdict, ...] = ()

    @property
    def passed(self) -> bool:
        return self.decision is Decision.PASS

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
        }


def judge_checks(results: tuple[CheckResult, ...]) -> Verdict:
    """All checks must pass. The reason names each one that did not."""
    leaves = tuple(_leaf(result) for result in results)
    failed = [leaf for leaf in leaves if not leaf.passed]
    if not leaves:
        return Verdict("checks", Decision.PASS, "no checks to pass")
    if not failed:
        return Verdict(
            "checks", Decision.PASS, "its check passed" if len(leaves) == 1 else f"all {len(leaves)} checks passed", leaves
        )
    reason = "; ".join(f"{leaf.name}: {leaf.reason}" for leaf in failed)
    return Verdict("checks", Decision.FAIL, reason, leaves)


def _leaf(result: CheckResult) -> Verdict:
    if result.decision is Decision.PASS:
        return Verdict(result.command, Decision.PASS, f"exit 0 in {result.duration_ms / 1000:.1f} s")
    said = result.reason or f"exit {result.exit_status}"
    last = next((line.strip() for line in reversed(result.tail.splitlines()) if line.strip()), "")
    return Verdict(result.command, Decision.FAIL, f"{said}: {last}" if last else said)
