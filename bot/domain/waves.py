"""Waves: how many targets begin with each, and whether the next one may.

waiting --begin--> open --the gate holds, or a person approves--> passed
                    +--the gate is breached--> halted --a person resumes--> passed

A gate is judged by the open wave's own pull requests, when all of its runs have ended; what can only get worse is judged at
once. The decision is an explained tree: pass (the next wave begins), fail (the campaign halts) or wait.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bot.domain.rollout import Gate, Rollout, duration, share
from bot.domain.verdicts import Decision, Verdict

OBJECTIONS_TOLD = 10


class WaveState(StrEnum):
    """Of one wave of a campaign."""

    WAITING = "waiting"
    OPEN = "open"
    PASSED = "passed"
    HALTED = "halted"


@dataclass(frozen=True, slots=True)
class WaveFacts:
    """What became of a wave so far, counted.

    Of its runs: `unfinished`, `refused` (a check or a rule would not have the change), `failed` (out of budget, too), of `runs`
    in all. Of its pull requests: `published` in all but those the bot itself took back or that went with their repository,
    `merged`, `closed` by people without a merge, `edited` by people; and by the host's checks `ci_passed`, `ci_failed` and
    `ci_unknown`; those without any checks are in none of the three. `objections` say who closed what, and why, and what came
    to nothing.
    """

    opened_at: datetime
    runs: int
    unfinished: int = 0
    refused: int = 0
    failed: int = 0
    published: int = 0
    merged: int = 0
    closed: int = 0
    edited: int = 0
    ci_passed: int = 0
    ci_failed: int = 0
    ci_unknown: int = 0
    objections: tuple[str, ...] = ()


def bounds(rollout: Rollout, targets: int) -> tuple[int, ...]:
    """How many targets have begun with each wave, in all. A wave may be empty: 10% of five is no more than three are."""
    found: list[int] = []
    for wave in rollout.waves:
        size = wave if isinstance(wave, int) else math.ceil(share(wave) * targets)
        found.append(min(targets, max(size, *found, 0)))
    return tuple(found)


def assign(rollout: Rollout, *, begun: int, waiting: int, open_wave: int) -> list[int]:
    """The waves of `waiting` targets, in their order, that come after `begun` ones, while `open_wave` is open.

    The waves are those of all targets together; 0 stands for no wave at all.
    """
    if not rollout.waves:
        return [0] * waiting
    ends = bounds(rollout, begun + waiting)
    return [
        max(open_wave, 1 + next(index for index, end in enumerate(ends) if place < end))
        for place in range(begun, begun + waiting)
    ]


def judge(gate: Gate, facts: WaveFacts, now: datetime) -> Verdict:
    """Does the gate of a wave hold? The reason names what does not, or not yet."""
    if facts.runs == 0:
        return Verdict("gate", Decision.PASS, "nobody is in it")
    leaves = (_all_ended(facts), *_shares(gate, facts, now), *_age(gate, facts, now))
    if facts.published == 0 and facts.unfinished == 0 and facts.refused + facts.failed and (gate.merged or gate.ci_passed):
        lost = f"none of it came to a pull request: {facts.failed} failed, {facts.refused} refused"
        leaves = (*leaves, Verdict("pull requests", Decision.FAIL, lost))
    for decision in (Decision.FAIL, Decision.WAIT):
        if telling := [leaf for leaf in leaves if leaf.decision is decision]:
            return Verdict("gate", decision, "; ".join(leaf.reason for leaf in telling), leaves)
    return Verdict("gate", Decision.PASS, "; ".join(leaf.reason for leaf in leaves), leaves)


def after(rollout: Rollout, verdict: Verdict, *, last: bool) -> WaveState:
    """What the open wave turns into by its gate alone. The last one begins no other, and only ever halts."""
    if verdict.decision is Decision.FAIL:
        return WaveState.HALTED
    goes_on = verdict.passed and rollout.approval == "auto" and not last
    return WaveState.PASSED if goes_on else WaveState.OPEN


def why_closed(facts: WaveFacts) -> str:
    """The words of those who rejected, a line each, and how many more there are; empty where nobody did."""
    told = list(facts.objections[:OBJECTIONS_TOLD])
    if len(facts.objections) > OBJECTIONS_TOLD:
        told.append(f"and {len(facts.objections) - OBJECTIONS_TOLD} more")
    return "\n".join(told)


def _all_ended(facts: WaveFacts) -> Verdict:
    if facts.unfinished:
        return Verdict("runs", Decision.WAIT, f"{facts.unfinished} of {_counted(facts.runs, 'run')} have not ended")
    return Verdict("runs", Decision.PASS, f"{_counted(facts.runs, 'run')} ended")


def _shares(gate: Gate, facts: WaveFacts, now: datetime) -> Iterator[Verdict]:
    proposed = facts.published + facts.refused
    if gate.merged is not None:
        open_ones = facts.published - facts.merged - facts.closed
        yield _at_least("merged", gate.merged, facts.merged, facts.published, possible=open_ones + facts.unfinished)
    if gate.ci_passed is not None:
        # Checks may be started again by whoever mends them: for as long as the wave is young, they may yet pass.
        young = now < facts.opened_at + _least_age(gate)
        may_pass = facts.ci_unknown + facts.unfinished + (facts.ci_failed if young else 0)
        checked = facts.ci_passed + facts.ci_failed + facts.ci_unknown
        yield _at_least("passed by CI", gate.ci_passed, facts.ci_passed, checked, possible=may_pass)
    if gate.rejected is not None:
        yield _at_most("rejected", gate.rejected, facts.closed + facts.refused, proposed, facts.unfinished)
    if gate.edited is not None:
        yield _at_most("edited by people", gate.edited, facts.edited, facts.published, facts.unfinished)
    if gate.failed is not None:
        yield _at_most("failed", gate.failed, facts.failed, facts.runs - facts.unfinished, facts.unfinished)


def _at_least(name: str, needed: str, have: int, total: int, *, possible: int) -> Verdict:
    """A minimum fails when it cannot be met any more, whatever becomes of those that are still `possible`."""
    said = f"{have} of {total} {name}, {needed} needed"
    if have >= share(needed) * total:
        return Verdict(name, Decision.PASS, said)
    if have + possible < share(needed) * total:
        return Verdict(name, Decision.FAIL, f"{said}, and at most {have + possible} can be")
    return Verdict(name, Decision.WAIT, said)


def _at_most(name: str, allowed: str, have: int, total: int, unfinished: int) -> Verdict:
    """A maximum fails when it is passed even if nothing like it happens in the runs that have not ended."""
    said = f"{have} of {total} {name}, {allowed} allowed"
    breached = have > share(allowed) * (total + unfinished)
    return Verdict(name, Decision.FAIL if breached else Decision.PASS, said)


def _age(gate: Gate, facts: WaveFacts, now: datetime) -> Sequence[Verdict]:
    if gate.after is None:
        return ()
    until = facts.opened_at + _least_age(gate)
    if now < until:
        return (Verdict("age", Decision.WAIT, f"it is to be {gate.after} old, at {until:%Y-%m-%d %H:%M} UTC"),)
    return (Verdict("age", Decision.PASS, f"it is {gate.after} old"),)


def _least_age(gate: Gate) -> timedelta:
    return duration(gate.after) if gate.after else timedelta(0)


def _counted(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"
