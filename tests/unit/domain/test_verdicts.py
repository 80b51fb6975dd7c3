from __future__ import annotations

import json

from bot.domain.verdicts import CheckResult, Decision, Verdict, judge_checks

PASSED = CheckResult("make test", exit_status=0, duration_ms=1_250, tail="3 passed\n")
FAILED = CheckResult("make lint", exit_status=2, duration_ms=40, tail="a.py:1: unused import\n\n")
TIMED_OUT = CheckResult("make e2e", exit_status=137, duration_ms=60_000, reason="more than 60 s")


def test_no_checks_pass_and_say_so() -> None:
    assert judge_checks(()) == Verdict("checks", Decision.PASS, "no checks to pass")


def test_all_checks_pass() -> None:
    verdict = judge_checks((PASSED, PASSED))
    assert verdict.passed
    assert verdict.lines() == [
        "✓ checks: all 2 checks passed",
        "  ✓ make test: exit 0 in 1.2 s",
        "  ✓ make test: exit 0 in 1.2 s",
    ]


def test_one_failure_fails_them_all_and_each_failure_is_named() -> None:
    verdict = judge_checks((PASSED, FAILED, TIMED_OUT))
    assert not verdict.passed
    assert verdict.reason == "make lint: exit 2: a.py:1: unused import; make e2e: more than 60 s"
    assert [child.decision for child in verdict.children] == [Decision.PASS, Decision.FAIL, Decision.FAIL]


def test_a_limit_fails_a_check_whatever_its_exit_status() -> None:
    assert CheckResult("true", exit_status=0, duration_ms=1, reason="more than 10 MB of output").decision is Decision.FAIL


def test_the_tree_as_json() -> None:
    told = "a.py:1: unused import"
    leaf = {"name": "make lint", "decision": "fail", "reason": f"exit 2: {told}", "children": [], "detail": told}
    root = {"name": "checks", "decision": "fail", "reason": f"make lint: {leaf['reason']}", "children": [leaf]}
    assert json.loads(json.dumps(judge_checks((FAILED,)).to_json())) == root
