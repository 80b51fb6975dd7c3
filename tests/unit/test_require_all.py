"""The rule of REQUIRE_ALL=1, on a suite of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SUITE = """
import pytest

def test_passes():
    pass

@pytest.mark.skip(reason="not today")
def test_is_marked():
    pass

def test_says_so_itself():
    pytest.skip("no Postgres")

@pytest.fixture
def missing():
    pytest.skip("no Redis")

def test_uses_what_is_missing(missing):
    pass

@pytest.mark.allow_skip
def test_may_be_skipped():
    pytest.skip("by agreement")

@pytest.mark.xfail(reason="known")
def test_is_known_to_fail():
    assert False
"""
SKIPPED_MODULE = "import pytest; pytest.skip('no Docker', allow_module_level=True)"


def run(folder: Path, require_all: str) -> tuple[int, str]:
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers -p no:cacheprovider\n")
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "tests.conftest", str(folder)]
    environment = {**os.environ, "REQUIRE_ALL": require_all, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "test_suite.py").write_text(SUITE)
    return tmp_path


def test_a_skip_is_a_skip_without_it(suite: Path) -> None:
    status, output = run(suite, "")
    assert status == 0
    assert "1 passed, 4 skipped, 1 xfailed" in output


def test_every_skip_but_the_agreed_one_fails_with_it(suite: Path) -> None:
    status, output = run(suite, "1")
    assert status == 1
    assert "1 failed, 1 passed, 1 skipped, 1 xfailed, 2 errors" in output
    for reason in ("not today", "no Postgres", "no Redis"):
        assert f"REQUIRE_ALL=1 admits no skips. Skipped: {reason}" in output


def test_a_skipped_module_fails_with_it(suite: Path) -> None:
    (suite / "test_module.py").write_text(SKIPPED_MODULE)
    status, output = run(suite, "1")
    assert status == 2
    assert "REQUIRE_ALL=1 admits no skips. Skipped: no Docker" in output
