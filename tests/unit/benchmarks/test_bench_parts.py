"""The benchmark's own parts: what it measures with, and what it measures on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import changes
from benchmarks.measuring import Command, measure
from benchmarks.organization import build

BUSY = "import time\nwhile time.process_time() < 0.5: pass"
# A child that outlives who started it, as a server that became a daemon does.
DAEMON = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {BUSY!r}], start_new_session=True)"


def python(folder: Path, script: str) -> Command:
    return Command([sys.executable, "-c", script], folder, {"PATH": os.environ["PATH"]})


def test_an_orphan_s_time_is_counted(tmp_path: Path) -> None:
    assert measure(python(tmp_path, DAEMON)).cpu >= 0.5


def test_memory_is_that_of_the_whole_tree(tmp_path: Path) -> None:
    holding = "import time; held = b'x' * 100_000_000; time.sleep(0.7)"
    begin = f"[subprocess.Popen([sys.executable, '-c', {holding!r}]) for _ in 'ab']"
    used = measure(python(tmp_path, f"import subprocess, sys\nfor child in {begin}: child.wait()"))
    assert used.rss_mb > 190
    assert used.pss_mb > 190


def test_a_command_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="broken"):
        measure(python(tmp_path, "import sys; sys.exit('broken')"))


def test_the_same_organization_every_time(tmp_path: Path) -> None:
    heads = []
    for name in ("one", "two"):
        build(tmp_path / name, 2)
        bare = [tmp_path / name / f"service-00{number}.git" for number in range(2)]
        heads.append([subprocess.check_output(["git", "-C", each, "rev-parse", "main"]) for each in bare])
    assert heads[0] == heads[1]
    assert len(set(heads[0])) == 2


@pytest.mark.slow
def test_whimbrel_and_the_scripts_make_the_same_change(tmp_path: Path) -> None:
    everyone = [each for each in changes.contestants(Path()) if each.name not in ("all-repos", changes.ONE)]
    names = build(tmp_path / "organization", 2)
    counts = changes.count_git(tmp_path / "organization", names, everyone)
    assert {name for name, _ in counts} == {"whimbrel", "git worktree script", "git clone --depth 1 script"}
    versions = 2 * changes.PARALLEL  # GitPython asks for git's version as a worker starts
    assert counts["whimbrel", "warm"] == 2 * len(names) + versions, "a fetch and a push for each"
