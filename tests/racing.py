"""Races between processes: `race(contender, 16, url)` runs `contender(number, url)` in 16 processes that start together.

The processes are forked by a fresh interpreter, which has one thread and has imported everything once.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
WAIT_SECONDS = 60

_together: Barrier


def race(contender: Callable[..., Any], processes: int, *arguments: Any) -> list[Any]:
    """What each contender returned, in the order of their numbers; arguments and results are JSON.

    The contender is a function at the top of its module. Raises AssertionError, with the trace, when one of them fails.
    """
    file = str(inspect.getsourcefile(contender))
    script = "from tests.racing import main; main()"
    command = [sys.executable, "-c", script, file, contender.__name__, str(processes), json.dumps(arguments)]
    with subprocess.Popen(
        command, cwd=ROOT, text=True, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as racing:
        try:
            stdout, stderr = racing.communicate()
        finally:
            # However this ends, by a time limit too, nobody goes on running.
            with suppress(ProcessLookupError):
                os.killpg(racing.pid, signal.SIGKILL)
    assert racing.returncode == 0, stderr
    results: list[Any] = json.loads(stdout)
    return results


def meet() -> None:
    """For contenders: wait here until all of them are here."""
    _together.wait(WAIT_SECONDS)


def main() -> None:
    file, name, number_of_processes, given = sys.argv[1:]
    contender, processes, arguments = getattr(_load(file), name), int(number_of_processes), json.loads(given)
    forking = multiprocessing.get_context("fork")
    together = forking.Barrier(processes)
    with ProcessPoolExecutor(processes, mp_context=forking, initializer=_remember, initargs=(together,)) as pool:
        contenders = [pool.submit(_contend, contender, number, arguments) for number in range(processes)]
        for ended in as_completed(contenders):
            ended.result()
    results = [each.result() for each in contenders]
    sys.stdout.write(json.dumps(results))


def _load(file: str) -> Any:
    spec = importlib.util.spec_from_file_location("contenders", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _remember(together: Barrier) -> None:
    global _together  # noqa: PLW0603 - a pool hands its workers a barrier in no other way
    _together = together


def _contend(contender: Callable[..., Any], number: int, arguments: list[Any]) -> Any:
    meet()
    try:
        return contender(number, *arguments)
    except BaseException:
        # The others may wait for this one.
        _together.abort()
        raise
