"""Many schedulers and workers, killed at random, and a Redis that forgets: the end is that of one of each, left in peace."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Sequence
from typing import Any

import psutil
import pytest

from bot.domain.repositories import Repository
from bot.hosts.local import LocalHost
from bot.queue.connection import connect_briefly
from tests.fakes import repositories
from tests.fakes.queue_parts import eventually
from tests.fault.conftest import Faulty, faulty_in

SCHEDULER = ("scheduler",)
FORGET = "forget"
"""What becomes of Redis; the other faults are kills of a scheduler, of a worker with all below it, or of a single attempt."""
PAUSE_SECONDS = 1.5
LONG_ENOUGH = 400


class Crowd:
    """Schedulers and supervisors of workers, started again as a process manager would."""

    def __init__(self, faulty: Faulty, *, schedulers: int, supervisors: int, workers: int, seed: int):
        """`workers` are each supervisor's."""
        self.faulty, self._random = faulty, random.Random(seed)
        self._supervisor = ("worker", "-n", str(workers))
        roles = [SCHEDULER] * schedulers + [self._supervisor] * supervisors
        self._running: list[tuple[tuple[str, ...], subprocess.Popen[str]]] = [(role, faulty.start(*role)) for role in roles]

    def suffer(self, fault: str) -> None:
        """Whichever process the fault hits."""
        if fault == FORGET:
            with connect_briefly(self.faulty.url) as connection:
                connection.flushall()
        elif fault == "attempt":
            self._kill_an_attempt()
        else:
            self._kill(SCHEDULER if fault == "scheduler" else self._supervisor)

    def _kill(self, role: tuple[str, ...]) -> None:
        place = self._random.choice([n for n, (each, _) in enumerate(self._running) if each == role])
        self.faulty.crash(self._running[place][1])
        self._running[place] = role, self.faulty.start(*role)

    def _kill_an_attempt(self) -> None:
        supervisors = [process for role, process in self._running if role == self._supervisor]
        workers = [worker for each in supervisors for worker in self.faulty.children(each)]
        busy = [horse for worker in workers for horse in _children(self.faulty, worker)]
        if busy:
            self._random.choice(busy).kill()


def _children(faulty: Faulty, worker: psutil.Process) -> list[psutil.Process]:
    try:
        return faulty.children(worker)
    except psutil.NoSuchProcess:
        return []


def campaign(faulty: Faulty, names: Sequence[str]) -> None:
    faulty.project.write_org(quota={"usd_per_month": 500, "concurrent_runs": 8})
    faulty.project.write_campaign("notes", steps=[{"run": "sleep 0.5; echo 'Be kind.' > NOTE.md"}])
    for name in names:
        faulty.project.repository(name, {"README.md": b"# Hello\n"})
    faulty.project.whimbrel("run", "notes", "--org", "acme", "--detach")


def end_of(faulty: Faulty, names: Sequence[str]) -> dict[str, Any]:
    """What people see of it, once nothing is left of the work."""
    faulty.finish_campaign(LONG_ENOUGH)
    faulty.stop_all(just_started=True)
    done = faulty.require_all_published(*names)
    host = LocalHost(faulty.project.folder / "host")
    seen: dict[str, Any] = {"state": done.status["state"], "outcomes": done.outcomes}
    for name in names:
        found = host.pull_requests(Repository("acme", name, "main", None), "whimbrel/notes")
        files = repositories.files_at(faulty.project.bare(name), "whimbrel/notes")
        seen[name] = [(each.number, each.state) for each in found], files
    return seen


def through(
    faulty: Faulty, names: Sequence[str], faults: Sequence[str], *, schedulers: int, supervisors: int, workers: int, seed: int
) -> Any:
    """The end of a campaign through these faults, one after the other."""
    campaign(faulty, names)
    crowd = Crowd(faulty, schedulers=schedulers, supervisors=supervisors, workers=workers, seed=seed)
    eventually(lambda: faulty.server_pid() is not None, "Redis is there", 60)
    for fault in faults:
        time.sleep(PAUSE_SECONDS)
        crowd.suffer(fault)
    return end_of(faulty, names)


def test_of_two_each_one_is_killed(faulty: Faulty) -> None:
    names = ("one", "two")
    seen = through(faulty, names, ("scheduler", FORGET, "worker"), schedulers=2, supervisors=1, workers=2, seed=1)
    assert seen["outcomes"] == dict.fromkeys(names, "published")
    assert [seen[name][1]["NOTE.md"] for name in names] == [b"Be kind.\n"] * 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_of_four_schedulers_and_eight_workers_any_is_killed(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    names = [f"r{number:02}" for number in range(24)]
    chance = random.Random(seed)
    faults = [FORGET, *chance.choices(["scheduler", "worker", "attempt"], k=9), FORGET]
    chance.shuffle(faults)
    with faulty_in(tmp_path_factory.mktemp("p")) as calm:
        wanted = through(calm, names, (), schedulers=1, supervisors=1, workers=1, seed=seed)
    with faulty_in(tmp_path_factory.mktemp("p")) as faulty:
        assert through(faulty, names, faults, schedulers=4, supervisors=4, workers=2, seed=seed) == wanted
