"""SECURITY.md names a test for each of its claims: they are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
CLAIMS = re.findall(r"^\| (.+) \| (`tests/.+`) \|$", PAGE, re.MULTILINE)
NAMED = sorted({name for _, names in CLAIMS for name in re.findall(r"`(.+?)`", names)})


def test_there_are_claims() -> None:
    assert len(CLAIMS) > 10


@pytest.mark.parametrize("name", NAMED)
def test_a_named_test_is_there(name: str) -> None:
    file, _, function = name.partition("::")
    assert re.search(rf"^ *def {function}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), name
