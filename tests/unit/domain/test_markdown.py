"""What others wrote does nothing on the host that shows it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.markdown import ZERO_WIDTH, cell, neutral, neutral_data

DANGEROUS = re.compile(
    r"@[\w\"]|[#!&]\d|\bG[HL]-\d|<[a-z!/?]|^[ \t]*/[a-z]|\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?)\b",
    re.IGNORECASE | re.MULTILINE,
)


@pytest.mark.parametrize(
    "text",
    [
        "thanks @octocat and @acme/admins",
        'cc @"Somebody Else"',
        "Fixes #12",
        "closes: acme/shop#3, resolved GH-4",
        "CLOSING !7 and &3",
        "fix https://github.com/acme/shop/issues/1",
        "<!-- whimbrel:publication 1 -->",
        "<img src=x> </details>",
        "/approve",
        "text\n  /merge\n",
        "text\r\n/close",
    ],
)
def test_what_would_act_is_shown_and_does_not(text: str) -> None:
    assert DANGEROUS.search(text)
    shown = neutral(text)
    assert not DANGEROUS.search(shown)
    assert shown.replace(ZERO_WIDTH, "") == text.replace("\r\n", "\n")


@pytest.mark.parametrize("text", ["C# and a < b && c", "a/b/c.py", "prefix affixes", "mail me at x @ y", "👩‍💻 ok", "1 # 2"])
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert neutral(text) == text


def test_what_cannot_be_seen_is_dropped() -> None:
    assert neutral("a\x1b[31mb\u202ec\u200bd\x00") == "a[31mbcd"


@given(st.text() | st.text(alphabet="@#!<>/fixesclos 12\n\t-GH\u200b"))
def test_nothing_dangerous_is_left_and_twice_is_as_good_as_once(text: str) -> None:
    once = neutral(text)
    assert not DANGEROUS.search(once)
    assert neutral(once) == once


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a | b", "a \\| b"),
        ("a \\| b", "a \\\\\\| b"),
        ("two\nlines", "two lines"),
        ("x" * 300, "x" * 199 + "…"),
        ("@all", f"@{ZERO_WIDTH}all"),
    ],
)
def test_a_cell_stays_one_cell(text: str, expected: str) -> None:
    assert cell(text) == expected


def test_data_is_made_neutral_to_its_last_string() -> None:
    said = {"@all": [{"note": "fixes #1"}, ("<!-- x -->", 3, None, True)]}
    expected = {neutral("@all"): [{"note": neutral("fixes #1")}, [neutral("<!-- x -->"), 3, None, True]]}
    assert neutral_data(said) == expected
    assert said == {"@all": [{"note": "fixes #1"}, ("<!-- x -->", 3, None, True)]}


def test_a_single_word_can_still_be_compared_with() -> None:
    assert neutral_data(["fixed", "closed", "ok"]) == ["fixed", "closed", "ok"]
    assert neutral_data("closed it") != "closed it"
