"""Races between processes: `race(contender, 16, url)` runs `contender(number, url)` in 16 processes that start together.

The processes are forked by a fresh interpreter, which has one thread and has imported everything once.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import multiprocessing
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
START_SECONDS = 60

_start: Barrier


def race(contender: Callable[..., Any], processes: int, *arguments: Any) -> list[Any]:
    """What each contender returned, in the order of their numbers; arguments and results are JSON.

    The contender is a function at the top of its module. Raises AssertionError, with the trace, when one of them fails.
    """
    file = str(inspect.getsourcefile(contender))
    command = [sys.executable, "-m", "tests.racing", file, contender.__name__, str(processes), json.dumps(arguments)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    results: list[Any] = json.loads(ended.stdout)
    return results


def main(file: str, name: str, processes: int, arguments: list[Any]) -> None:
    contender = getattr(_load(file), name)
    forking = multiprocessing.get_context("fork")
    start = forking.Barrier(processes)
    with ProcessPoolExecutor(processes, mp_context=forking, initializer=_remember, initargs=(start,)) as pool:
        contenders = [pool.submit(_contend, contender, number, arguments) for number in range(processes)]
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


def _remember(start: Barrier) -> None:
    global _start  # noqa: PLW0603 - a pool hands its workers a barrier in no other way
    _start = start


def _contend(contender: Callable[..., Any], number: int, arguments: list[Any]) -> Any:
    _start.wait(START_SECONDS)
    return contender(number, *arguments)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4]))
