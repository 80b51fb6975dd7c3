"""GitHub's descriptions are those that were pinned, or they are not used."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract import descriptions

ROOT = Path(__file__).parents[2]
READ = "from tests.contract import descriptions; print(descriptions.path(descriptions.GRAPHQL))"


def read(cache: Path, **environment: str) -> subprocess.Popen[str]:
    """A process of its own that wants a description."""
    given = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT), **environment}
    return subprocess.Popen(
        [sys.executable, "-c", READ], env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )


def test_it_is_fetched_once_by_many_processes_and_kept(tmp_path: Path) -> None:
    several = [read(tmp_path) for _ in range(3)]
    for each in several:
        output, errors = each.communicate()
        assert each.returncode == 0, errors
        assert Path(output.strip()).stat().st_size > 1_000_000
    kept = {path.name for path in (tmp_path / "whimbrel-tests").iterdir()}
    assert kept == {"lock", "octokit-graphql-schema-15.26.1-schema.graphql"}


def test_what_is_kept_needs_no_npm(tmp_path: Path) -> None:
    descriptions.path(descriptions.GRAPHQL)
    kept = read(descriptions.cache_folder().parent, PATH="/nowhere")
    assert kept.communicate()[1] == ""
    lacking = read(tmp_path, PATH="/nowhere")
    assert "npm is not on PATH (install Node)" in lacking.communicate()[1]


def test_another_tarball_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    tarball = tmp_path / "package.tgz"
    tarball.write_bytes(b"something else")
    with pytest.raises(ValueError, match="not the pinned sha512-"):
        descriptions.check(descriptions.GRAPHQL, tarball)


def test_a_version_that_is_not_there_says_what_npm_said(tmp_path: Path) -> None:
    missing = dataclasses.replace(descriptions.GRAPHQL, version="0.0.0-never")
    with pytest.raises(descriptions.Unavailable, match=r"npm pack @octokit/graphql-schema@0\.0\.0-never failed"):
        descriptions.path(missing)
