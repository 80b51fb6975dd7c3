"""The worker's own process, before it forks."""

from __future__ import annotations

import subprocess
import sys


def test_what_libraries_import_late_is_there_before_the_first_fork() -> None:
    script = "import sys, bot.worker as w; w.preload(); print(sorted(set(w.IMPORTED_LATE) - sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
