"""SECURITY.md and docs/coverage.md name a test for each of their rows: they are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("SECURITY.md", "docs/coverage.md")


def rows(page: str) -> list[str]:
    """The rows of its tables that tell something, without their heads."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    tables = [line for line in lines if line.startswith("| ")]
    return [line for line in tables if not line.endswith((" Test |", " Tests |"))]


def named(page: str) -> list[str]:
    return sorted({name for row in rows(page) for name in re.findall(r"`(tests/.+?)`", row)})


@pytest.mark.parametrize("page", PAGES)
def test_every_row_names_a_test(page: str) -> None:
    told = [row for row in rows(page) if "::" in row]
    assert len(told) > 10
    assert told == [row for row in rows(page) if "`tests/" in row]
    assert page != "docs/coverage.md" or told == rows(page)


@pytest.mark.parametrize("name", sorted({name for page in PAGES for name in named(page)}))
def test_a_named_test_is_there(name: str) -> None:
    file, _, function = name.partition("::")
    assert re.search(rf"^ *def {function}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), name
