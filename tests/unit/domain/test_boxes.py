"""Which boxes an edit has ticked."""

from __future__ import annotations

import pytest

from bot.domain.boxes import Act, Box, campaign_of, control_marker, ticked

PAUSE, SKIP = Box(Act.PAUSE), Box(Act.SKIP, "group/a--b")


def text(*boxes: tuple[str, Box]) -> str:
    return "\n".join(["Hello", *(f"- [{mark}] do it {box.marker}" for mark, box in boxes), control_marker("c01")])


@pytest.mark.parametrize("mark", ["x", "X"])
def test_what_was_open_and_is_not_any_more_is_ticked(mark: str) -> None:
    before = text((" ", PAUSE), (" ", SKIP))
    assert ticked(before, text((mark, PAUSE), (" ", SKIP))) == [PAUSE]
    assert ticked(before, text((" ", PAUSE), (mark, SKIP)).replace("\n", "\r\n")) == [SKIP]
    assert ticked(before, text((mark, PAUSE), (mark, SKIP), (mark, SKIP))) == [PAUSE, SKIP]


def test_nothing_else_is() -> None:
    before = text((" ", PAUSE), ("x", SKIP))
    assert ticked(before, before) == []
    assert ticked(text(("x", PAUSE)), text((" ", PAUSE))) == []
    assert ticked(before, text(("x", Box(Act.CLOSE)), (" ", PAUSE))) == []
    assert ticked("- [ ] rest <!-- whimbrel box: dance -->", "- [x] rest <!-- whimbrel box: dance -->") == []


def test_a_text_says_whose_it_is() -> None:
    assert campaign_of(text()) == "c01"
    assert campaign_of("Hello") == campaign_of("<!-- whimbrel control ../c -->") == ""
