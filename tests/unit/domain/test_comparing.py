from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.case_results import CaseResults
from bot.domain.comparing import SHOWN, Baseline, News, Ran, again, baseline_of, judge_against, left_of, news
from bot.domain.verdicts import CheckResult, Decision, Verdict, new_failures

NAMES = st.frozensets(st.sampled_from("abcdef"))


def ran(status: int, *, failed: str | None = None, passed: str = "", reason: str = "", tail: str = "") -> Ran:
    """Cases are letters; without `failed` there are none."""
    cases = None if failed is None else CaseResults(dict.fromkeys(failed, "it broke"), frozenset(passed))
    return Ran(CheckResult("make test", status, 1_000, tail, reason), cases)


def judged(on_base: Ran, *on_change: Ran, base_again: Ran | None = None) -> Verdict:
    base = baseline_of(on_base)
    found = left = news(base, on_change[0])
    if found:
        left = left_of(found, base, on_change[-1])
        if base_again is not None:
            base = again(base, baseline_of(base_again))
            left = left_of(left, base, on_change[-1])
    return judge_against(base, on_change[0], found, left)


@pytest.mark.parametrize(
    ("on_base", "on_change", "decision", "reason"),
    [
        (ran(0), ran(0), Decision.PASS, "exit 0 in 1.0 s"),
        (ran(1), ran(0), Decision.PASS, "exit 0 in 1.0 s: fixed, it failed on the base"),
        (ran(1), ran(1), Decision.PASS, "exit 1: failed on the base too"),
        (ran(0), ran(1, tail="a.py:1: no"), Decision.FAIL, "exit 1: a.py:1: no"),
        (ran(0), ran(137, reason="more than 60 s"), Decision.FAIL, "more than 60 s"),
        (ran(127, tail="mvn: not found"), ran(1), Decision.FAIL, "exit 1; the base told nothing: exit 127: it cannot be run"),
        (ran(1, reason="more than 60 s"), ran(0), Decision.PASS, "exit 0 in 1.0 s; the base told nothing: more than 60 s"),
        (ran(127), ran(127), Decision.FAIL, "exit 127; the base told nothing"),
        (
            ran(1, failed="a", passed="b"),
            ran(1, failed="a", passed="b"),
            Decision.PASS,
            "exit 1, 1 passed, 1 failed: failed on",
        ),
        (ran(1, failed="a", passed="b"), ran(1, failed="ab"), Decision.FAIL, "1 case failed newly, such as b: it broke"),
        (ran(1, failed="a", passed="b"), ran(1, failed="b", passed="a"), Decision.FAIL, "1 case failed newly, such as b"),
        (ran(1, failed="a", passed="b"), ran(0, failed="", passed="ab"), Decision.PASS, "exit 0 in 1.0 s: fixed"),
        (
            ran(1, failed="a", passed="bc"),
            ran(1, failed="a"),
            Decision.PASS,
            "exit 1, 1 failed: failed on the base too; 2 cases",
        ),
        (ran(0, failed="", passed="a"), ran(0, failed="a"), Decision.FAIL, "1 case failed newly, such as a: it broke"),
        (ran(1, failed="a", passed="b"), ran(139, failed="a"), Decision.FAIL, "exit 139, where the base ended with 1"),
        (ran(0, failed="", passed="ab"), ran(0), Decision.FAIL, "it told of no case, where the base told of 2"),
        (ran(2), ran(1, failed="a"), Decision.PASS, "exit 1, 1 failed: failed on the base too"),
    ],
)
def test_the_change_against_the_base(on_base: Ran, on_change: Ran, decision: Decision, reason: str) -> None:
    verdict = judged(on_base, on_change)
    assert verdict.decision is decision
    assert verdict.reason.startswith(reason)


def test_what_does_not_come_again_is_flaky() -> None:
    verdict = judged(ran(0, failed="", passed="ab"), ran(1, failed="ab"), ran(1, failed="a", passed="b"))
    assert [(child.name, child.decision) for child in verdict.children] == [("a", Decision.FAIL), ("b", Decision.PASS)]
    assert verdict.children[1].reason == "flaky: failed once, and not when both were run again"
    verdict = judged(ran(0), ran(1), ran(0))
    assert (verdict.passed, verdict.reason) == (True, "exit 1: flaky, a new failure did not come again")


def test_what_the_base_fails_the_second_time_is_flaky_too() -> None:
    failing = ran(1, failed="a")
    assert not judged(ran(0, failed="", passed="a"), failing, base_again=ran(0, failed="", passed="a")).passed
    assert judged(ran(0, failed="", passed="a"), failing, base_again=failing).passed


def test_a_limit_the_second_time_is_no_excuse() -> None:
    assert not judged(ran(0, failed="", passed="a"), ran(1, failed="a"), ran(137, reason="more than 60 s")).passed
    assert not judged(ran(0, failed="", passed="a"), ran(137, reason="more than 60 s"), ran(1, failed="a")).passed


def test_new_failures_are_what_is_to_be_mended() -> None:
    verdict = judged(ran(1, failed="k", passed="ab"), ran(1, failed="kab"))
    assert new_failures(verdict) == "make test: 2 cases failed newly, such as a: it broke\na:\nit broke\nb:\nit broke"
    assert new_failures(judged(ran(1), ran(1))) == ""


def test_only_so_many_cases_are_named() -> None:
    failed = {f"case {number}": "" for number in range(SHOWN + 5)}
    first = Ran(CheckResult("t", 1, 1), CaseResults(failed))
    verdict = judge_against(Baseline(0, cases=0), first, News(failed), News(failed))
    assert (len(verdict.children), verdict.children[-1].name) == (SHOWN + 1, "5 more")


@given(NAMES, NAMES, NAMES, NAMES)
def test_only_what_failed_newly_both_times_blocks(
    base_failed: frozenset[str], failed: frozenset[str], again_failed: frozenset[str], present: frozenset[str]
) -> None:
    def of(names: frozenset[str]) -> Ran:
        return ran(1 if names else 0, failed="".join(names), passed="".join(present - names))

    verdict = judged(of(base_failed), of(failed), of(again_failed))
    blocking = {child.name for child in verdict.children if not child.passed}
    assert blocking == (failed & again_failed) - base_failed
    assert verdict.passed == (not blocking)


@given(NAMES, st.integers(0, 255), st.integers(0, 30), st.integers(1, 2))
def test_what_is_kept_of_a_base_comes_back(failed: frozenset[str], status: int, cases: int, runs: int) -> None:
    kept = Baseline(status, failed, cases, runs)
    assert Baseline.from_json(kept.to_json()) == kept
