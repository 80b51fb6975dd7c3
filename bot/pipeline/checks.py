"""Checks: a new sandbox for each, on a new checkout, with a fresh HOME and no way to a model.

Each is run on the untouched base first, unless what it came to there is known, and then on what is to be published.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.domain.comparing import Baseline, News, Ran, again, baseline_of, judge_against, left_of, news
from bot.domain.policies import Limits
from bot.domain.steps import Check
from bot.domain.verdicts import CheckResult, Verdict, judge_check, judge_leaves
from bot.git import Mirror, checkout
from bot.pipeline.baselines import Baselines
from bot.pipeline.check_results import Listener, read_results, remove_old
from bot.pipeline.workspaces import workspace
from bot.ports import NOTHING_PREPARED, Emit, Prepared, Sandbox, SandboxCommand, SandboxEnd

TRIES = 2
"""Runs of a check on either side that decide whether a failure is new and real."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where checks are run. What they write is thrown away with `root`."""

    sandbox: Sandbox
    mirror: Mirror
    root: Path
    limits: Limits
    remaining_seconds: Callable[[], float]
    cancelled: Callable[[], bool]
    emit: Emit
    prepared: Prepared = NOTHING_PREPARED

    def run(self, check: Check, commit: str, *, share: float = 1) -> Ran:
        """Once, on a commit, within this share of the attempt's time."""
        seconds = self.remaining_seconds() * share
        if seconds <= 0:
            minutes = f"{self.limits.timeout_minutes:g}"
            return Ran(CheckResult(check.run, 124, 0, reason=f"not run: the attempt's {minutes} minutes were used up"))
        with workspace(self.root, self.sandbox.user) as place:
            checkout(self.mirror, commit, place.tree)
            remove_old(check, place.tree)
            command = SandboxCommand(
                argv=check.argv, workspace=place.tree, home=place.home, limits=self.limits,
                environment=self.prepared.environment, mounts=self.prepared.mounts,
                timeout_seconds=seconds, idle_seconds=seconds,
            )  # fmt: skip
            listener = Listener() if check.tap else None
            ended = self.sandbox.run(command, on_line=listener, cancelled=self.cancelled)
            cases, unread = read_results(check, place.tree, listener)
        reason = "" if ended.ended_by is SandboxEnd.EXIT else ended.reason
        tail = listener.tail_with(ended.tail) if listener else ended.tail
        return Ran(CheckResult(check.run, ended.exit_status, ended.duration_ms, tail, reason), cases, unread)


def run_checks(checks: Sequence[Check], bench: Bench, kept: Baselines, commit: str) -> Verdict:
    """Run every check, also after one has failed: a reviewer wants to know them all."""
    leaves, excused = [], set()
    for number, check in enumerate(checks):
        leaf, passed = _prove(check, bench, kept, commit)
        if leaf.passed and not passed:
            excused.add(number)
        leaves.append(leaf)
    return judge_leaves(tuple(leaves), excused=frozenset(excused))


def _prove(check: Check, bench: Bench, kept: Baselines, commit: str) -> tuple[Verdict, bool]:
    """What is said of a check, and whether it passed by itself."""
    if check.required or commit == kept.commit:
        ran = _told(bench, bench.run(check, commit))
        return judge_check(ran.result), ran.passed
    base = _on_base(check, bench, kept)
    ran = _told(bench, bench.run(check, commit))
    found = news(base, ran)
    left = found
    if found and not bench.cancelled():
        base, left = _once_more(check, bench, kept, commit, base, found)
    return judge_against(base, ran, found, left), ran.passed


def _on_base(check: Check, bench: Bench, kept: Baselines) -> Baseline:
    """Half of the time that is left is the change's, however slow the base is."""
    known = kept.find(check)
    if known is not None:
        bench.emit(f"on the base, {check.run} {known.words} (kept from before)")
        return known
    ran = bench.run(check, kept.commit, share=0.5)
    base = baseline_of(ran)
    bench.emit(f"on the base, {check.run} {base.words}", duration_ms=ran.result.duration_ms)
    kept.keep(check, base)
    return base


def _once_more(check: Check, bench: Bench, kept: Baselines, commit: str, base: Baseline, found: News) -> tuple[Baseline, News]:
    """Whether what failed newly does so again; and if it does, whether the base does too, once it is looked at twice."""
    bench.emit(f"{check.run} failed newly: it is run once more")
    repeated = _told(bench, bench.run(check, commit, share=0.5))
    left = left_of(found, base, repeated)
    if not left or base.inconclusive or base.runs >= TRIES or bench.cancelled():
        return base, left
    base = again(base, baseline_of(bench.run(check, kept.commit, share=0.5)))
    bench.emit(f"on the base, {check.run} {base.words}, in {base.runs} runs")
    kept.keep(check, base)
    return base, left_of(left, base, repeated)


def _told(bench: Bench, ran: Ran) -> Ran:
    result = ran.result
    decision = "pass" if ran.passed else "fail"
    bench.emit(f"check {decision}: {result.command}", exit_status=result.exit_status, duration_ms=result.duration_ms)
    return ran
