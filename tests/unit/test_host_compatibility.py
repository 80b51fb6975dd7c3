"""docs/host-compatibility.md is made by a command, and is current: it has each test of the suite, on each host."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compatibility", ROOT / "docs" / "compatibility.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_as_the_command_would_write_it_where_the_suite_passes() -> None:
    compatibility = script()
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n", "0", "-p", "no:cacheprovider", *compatibility.SUITES],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    found = compatibility.gather((line, True) for line in collected if "::" in line)
    assert len(found) > 40
    assert compatibility.PAGE.read_text(encoding="utf-8") == compatibility.page(found), "run `make compatibility`"
