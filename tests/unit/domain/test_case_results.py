from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain import case_results
from bot.domain.case_results import CaseResults, Unreadable, joined, read_junit, read_tap
from bot.domain.telling import MAX_CHARACTERS, MAX_LINES, telling_lines

JUNIT = b"""<?xml version="1.0"?>
<testsuites><testsuite name="pytest" tests="4">
  <testcase classname="tests.test_a" name="test_one" time="0.1"/>
  <testcase classname="tests.test_a" name="test_two">
    <failure message="assert 1 == 2">a.py:3: AssertionError</failure></testcase>
  <testcase classname="" name="collection"><error message="no module">Traceback</error><system-out>noise</system-out></testcase>
  <testcase classname="tests.test_a" name="test_later"><skipped message="later"/></testcase>
</testsuite></testsuites>"""
BOMB = b"""<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><testsuite><testcase name="&b;"/></testsuite>"""
FETCH = b"""<!DOCTYPE x SYSTEM "file:///etc/passwd"><testsuite/>"""


def test_junit_is_read_by_case() -> None:
    assert read_junit(JUNIT) == CaseResults(
        failed={"tests.test_a::test_two": "assert 1 == 2\na.py:3: AssertionError", "collection": "no module\nTraceback"},
        passed=frozenset({"tests.test_a::test_one"}),
        skipped=frozenset({"tests.test_a::test_later"}),
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (BOMB, "document type"),
        (FETCH, "document type"),
        (b"", "no XML"),
        (b"<testsuite>", "no XML"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "no XML"),
        (b"<a>" * 200, "nested more than 100 deep"),
    ],
)
def test_what_is_no_plain_xml_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        read_junit(content)


def test_there_is_a_bound_on_cases() -> None:
    with pytest.raises(Unreadable, match="more than 20,000 cases"):
        read_junit(b"<s>" + b'<testcase name="x"/>' * (case_results.MAX_CASES + 1) + b"</s>")


def test_names_are_one_line_and_messages_have_an_end() -> None:
    name, words = "a&#10;b&#x9b;31m" + "c" * 400, "m" * 5_000
    read = read_junit(f'<s><testcase name="{name}"><failure>{words}</failure></testcase></s>'.encode())
    [(told, message)] = read.failed.items()
    assert (told.isprintable(), len(told), len(message)) == (True, case_results.MAX_NAME, case_results.MAX_MESSAGE)


def test_a_failure_counts_among_cases_of_one_name() -> None:
    parts = [CaseResults(passed=frozenset({"a", "b"})), CaseResults(failed={"a": "no"}, skipped=frozenset({"b"}))]
    assert joined(parts) == CaseResults({"a": "no"}, frozenset({"b"}))


@pytest.mark.parametrize(
    ("text", "failed", "passed", "skipped"),
    [
        ("TAP version 14\n1..3\nok 1 - one\nnot ok 2 - two\nok 3 # SKIP no network", {"two"}, {"one"}, {"case 3"}),
        ("ok 1 - one\n    not ok 1 - a subtest\nnot ok 2 - later # TODO write it\n1..2", set(), {"one"}, {"later"}),
        ("1..4\nok\nnot ok", {"case 2", "1..N"}, {"case 1"}, set()),
        ("1..2\nok 1 - one\nBail out! no database", {"Bail out!", "1..N"}, {"one"}, set()),
        ("1..0 # SKIP nothing here", set(), set(), set()),
    ],
)
def test_tap_is_read_by_case(text: str, failed: set[str], passed: set[str], skipped: set[str]) -> None:
    read = read_tap(text.splitlines())
    assert (set(read.failed), set(read.passed), set(read.skipped)) == (failed, passed, skipped)


def test_other_output_is_no_tap() -> None:
    with pytest.raises(Unreadable, match="no TAP"):
        read_tap(["all is well", "okay"])


@given(st.binary(max_size=300), st.text(max_size=300))
def test_whatever_comes_is_read_or_refused(content: bytes, text: str) -> None:
    with contextlib.suppress(Unreadable):
        read_junit(content)
    with contextlib.suppress(Unreadable):
        read_tap(text.splitlines())


@given(st.text(max_size=5_000))
def test_telling_lines_are_few_and_plain(text: str) -> None:
    told = telling_lines(text)
    assert len(told) <= MAX_CHARACTERS
    assert len(told.splitlines()) <= MAX_LINES * 2
    assert "\x1b" not in told


def test_telling_lines_are_about_what_failed() -> None:
    output = "\n".join([*(f"collected {number}" for number in range(100)), "\x1b[31mE   assert 1 == 2\x1b[0m", *["done"] * 60])
    assert telling_lines(output).splitlines() == ["collected 99", "E   assert 1 == 2", "done", "done"]
