"""A check on the change against the same check on the untouched base: what is new, known, flaky or fixed, and why.

What the base already failed is not held against the change. A failure that the base had not is looked at once more, on the
change and on the base: one that does not come again, or that the base has too the second time, is flaky.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bot.domain.case_results import CaseResults
from bot.domain.telling import telling_lines
from bot.domain.verdicts import CheckResult, Decision, Verdict, judge_check

CANNOT_RUN = (126, 127)
"""The shell's words for a command that is not there, or cannot be started."""

SHOWN = 20
"""Cases of one kind that are named; the others are counted."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of a check. `cases` is None where it told of none, and `unread` why what it told could not be read."""

    result: CheckResult
    cases: CaseResults | None = None
    unread: str = ""

    @property
    def passed(self) -> bool:
        return self.result.decision is Decision.PASS and not (self.cases and self.cases.failed)

    @property
    def ended(self) -> str:
        """How, in words."""
        if self.result.reason:
            return self.result.reason
        told = f"exit {self.result.exit_status}"
        return f"{told}, {self.cases.words}" if self.cases else told


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a check came to on the untouched base. `failed` are the cases that failed in any of its `runs`.

    `inconclusive` says why it tells nothing: a limit was reached, or the check cannot be run at all.
    """

    exit_status: int
    failed: frozenset[str] = frozenset()
    cases: int | None = None
    runs: int = 1
    inconclusive: str = ""

    @property
    def passed(self) -> bool:
        return self.exit_status == 0 and not self.failed and not self.inconclusive

    @property
    def words(self) -> str:
        if self.inconclusive:
            return f"told nothing: {self.inconclusive}"
        counts = "" if self.cases is None else f", {len(self.failed)} of {self.cases} cases failed"
        return f"{'passed' if self.passed else 'failed'}: exit {self.exit_status}{counts}"

    def to_json(self) -> str:
        return json.dumps({
            "exit_status": self.exit_status, "failed": sorted(self.failed), "cases": self.cases, "runs": self.runs,
        })  # fmt: skip

    @classmethod
    def from_json(cls, kept: str) -> Baseline:
        values: Mapping[str, Any] = json.loads(kept)
        return cls(values["exit_status"], frozenset(values["failed"]), values["cases"], values["runs"])


def baseline_of(ran: Ran) -> Baseline:
    """Raises nothing: a run that tells nothing is a baseline that says so."""
    status, cases = ran.result.exit_status, ran.cases
    if ran.result.reason:
        return Baseline(status, inconclusive=ran.result.reason)
    if status in CANNOT_RUN:
        return Baseline(status, inconclusive=f"exit {status}: it cannot be run there ({_last_line(ran.result.tail)})")
    if cases is None:
        return Baseline(status)
    return Baseline(status, frozenset(cases.failed), cases.count)


def again(first: Baseline, second: Baseline) -> Baseline:
    """Both runs of the base: what failed in either is the base's own."""
    if second.inconclusive:
        return first
    worse = first if first.exit_status != 0 else second
    return replace(worse, failed=first.failed | second.failed, cases=first.cases, runs=first.runs + second.runs)


@dataclass(frozen=True, slots=True)
class News:
    """What of a failure on the change the base had not: cases by their message, and `whole`, of the check as such, in words."""

    cases: Mapping[str, str]
    whole: str = ""

    def __bool__(self) -> bool:
        return bool(self.cases or self.whole)


def news(base: Baseline, ran: Ran) -> News:
    """Compared case by case where both sides tell of cases, else by the exit status."""
    if base.inconclusive:
        return News({}, "" if ran.passed else f"{ran.ended}; the base {base.words}")
    if ran.result.reason:
        return News({}, ran.result.reason)
    if base.cases is not None and ran.cases is None:
        return News({}, f"{ran.unread or 'it told of no case'}, where the base told of {base.cases}")
    if ran.cases is None or base.cases is None:
        known = ran.passed or not base.passed
        return News({}, "" if known else ran.ended)
    fresh = {name: words for name, words in ran.cases.failed.items() if name not in base.failed}
    if fresh or ran.result.exit_status in (0, base.exit_status):
        return News(fresh)
    return News({}, f"exit {ran.result.exit_status}, where the base ended with {base.exit_status}, and no case says why")


def left_of(found: News, base: Baseline, repeated: Ran) -> News:
    """What of `found` came again; the rest is flaky."""
    second = news(base, repeated)
    if found.whole or second.whole:
        return second
    return News({name: words for name, words in found.cases.items() if name in second.cases})


def judge_against(base: Baseline, ran: Ran, found: News, left: News) -> Verdict:
    """The explained leaf of one check: `found` is what was new at first, `left` what was new both times."""
    told = tuple(_named("new", Decision.FAIL, left.cases, f"failed; on the base it {_base_word(base)}"))
    flaky = {name: words for name, words in found.cases.items() if name not in left.cases and not left.whole}
    told += tuple(_named("flaky", Decision.PASS, flaky, "flaky: failed once, and not when both were run again"))
    if ran.cases is not None:
        known = {name: words for name, words in ran.cases.failed.items() if name not in found.cases}
        told += tuple(_named("known", Decision.PASS, known, "failed on the base too"))
        fixed = dict.fromkeys(sorted(base.failed & ran.cases.passed), "")
        told += tuple(_named("fixed", Decision.PASS, fixed, "fixed: it failed on the base"))
    decision = Decision.FAIL if left else Decision.PASS
    detail = _detail(ran, left) if left else ""
    return Verdict(ran.result.command, decision, _reason(base, ran, found, left), told, base=base.words, detail=detail)


def _reason(base: Baseline, ran: Ran, found: News, left: News) -> str:
    if left.whole:
        last = _last_line(ran.result.tail)
        return f"{left.whole}: {last}" if last else left.whole
    if left.cases:
        first, message = next(iter(left.cases.items()))
        return f"{_cases(len(left.cases))} failed newly, such as {first}" + (f": {_last_line(message)}" if message else "")
    gone = _gone(base, ran)
    if found:
        return f"{ran.ended}: flaky, a new failure did not come again{gone}"
    passed = judge_check(ran.result).reason if ran.passed else ""
    if base.inconclusive:
        return f"{passed}; the base {base.words}"
    if not ran.passed:
        return f"{ran.ended}: failed on the base too{gone}"
    return f"{passed}{'' if base.passed else ': fixed, it failed on the base'}{gone}"


def _gone(base: Baseline, ran: Ran) -> str:
    """A case that is not there any more fails nowhere: it is at least told."""
    if base.cases is None or ran.cases is None or ran.cases.count >= base.cases:
        return ""
    return f"; {_cases(base.cases - ran.cases.count)} fewer than on the base"


def _named(kind: str, decision: Decision, cases: Mapping[str, str], reason: str) -> list[Verdict]:
    shown = [Verdict(name, decision, reason) for name in list(cases)[:SHOWN]]
    if len(cases) > SHOWN:
        shown.append(Verdict(f"{len(cases) - SHOWN} more", decision, f"{kind}, and not named here"))
    return shown


def _detail(ran: Ran, left: News) -> str:
    messages = "\n".join(f"{name}:\n{message}" if message else name for name, message in list(left.cases.items())[:SHOWN])
    return telling_lines(messages if any(left.cases.values()) else f"{ran.result.tail}\n{messages}")


def _base_word(base: Baseline) -> str:
    return "did not fail" if not base.inconclusive else base.words


def _cases(number: int) -> str:
    return f"{number} case{'s' if number != 1 else ''}"


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
