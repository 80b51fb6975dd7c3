"""kill -9 between every two stages of an attempt, of whatever takes part: one pull request comes of it, and nothing is left."""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import psutil
import pytest

from bot.queue.connection import connect_briefly
from tests.fakes.queue_parts import alive, eventually
from tests.fault.boundaries import BOUNDARIES, Held, held_at
from tests.fault.conftest import processes_of
from tests.fault.holds import Traps
from tests.fault.site import REQUESTS_AN_ATTEMPT, Sites

PIDFD_GETFD = 438

_numbers = count(1)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    sites = Sites(tmp_path_factory)
    yield sites
    sites.close()


def kill(*victims: psutil.Process) -> None:
    for victim in victims:
        with suppress(psutil.NoSuchProcess):  # it died of another's death
            victim.kill()
    eventually(lambda: not any(alive(victim.pid) for victim in victims), "the victims are dead")


def kill_horse(held: Held) -> None:
    kill(held.site.horse)


def kill_worker(held: Held) -> None:
    horse = held.site.horse
    kill(held.site.busy_worker)
    eventually(lambda: not alive(horse.pid), "what worked on its job is dead too")


def kill_everything(held: Held) -> None:
    kill(*processes_of(held.site.project.folder))


def kill_scheduler(held: Held) -> None:
    kill(held.site.scheduler)


def kill_server(held: Held) -> None:
    pid = held.site.kill_server()
    held.traps.open("database")  # who starts it again must get that far
    eventually(lambda: held.site.server_pid() not in (None, pid), "there is another one")


def wipe_server(held: Held) -> None:
    with connect_briefly(held.site.url) as connection:
        connection.flushall()


VICTIMS: dict[str, tuple[Callable[[Held], None], int]] = {
    "horse": (kill_horse, 2),
    "worker": (kill_worker, 2),
    "everything": (kill_everything, 2),
    "scheduler": (kill_scheduler, 1),
    "server": (kill_server, 1),
    "wiped": (wipe_server, 1),
}
"""What is killed, and how many attempts are then needed."""


def survive(sites: Sites, victim: str, boundary: str) -> None:
    name = f"r{next(_numbers)}"
    strike, attempts = VICTIMS[victim]
    at = BOUNDARIES[boundary]
    with sites.lent() as site:
        with held_at(site, at, name) as held:
            in_flight, asked = site.reserved(), site.model.asked[name]
            strike(held)
        site.finish_campaign()
        site.require_published(name, attempts=attempts)
        site.require_tidy()
        again = attempts > 1 and not at.collected
        assert site.model.asked[name] == (asked if at.collected else REQUESTS_AN_ATTEMPT + asked * again)
        unseen = [(in_flight, in_flight)] if in_flight and attempts > 1 else []
        assert site.settled_unseen(name) == unseen


@pytest.mark.parametrize("boundary", ["model request", "note-check", "open-record"])
def test_the_worker_dies(sites: Sites, boundary: str) -> None:
    survive(sites, "worker", boundary)


@pytest.mark.slow
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("victim", VICTIMS)
def test_whatever_dies_wherever_it_does(sites: Sites, victim: str, boundary: str) -> None:
    survive(sites, victim, boundary)


@pytest.mark.slow
def test_a_gateway_dies_by_itself(sites: Sites) -> None:
    """What it had asked for is read to its end and paid for as it was; the agent is at its own end, and that costs no try."""
    with sites.lent() as site:
        with held_at(site, BOUNDARIES["model request"], "cut") as held:
            cut_gateway(held)
        site.finish_campaign()
        site.require_published("cut", attempts=2)
        site.require_tidy()
        run = site.run_of("cut")
        assert (run["setbacks"], run["tries"], run["losses"]) == (1, 0, 0)
        assert site.model.asked["cut"] == 1 + REQUESTS_AN_ATTEMPT
        assert site.settled_unseen("cut") == []


@pytest.mark.slow
def test_redis_is_away_during_a_request(sites: Sites) -> None:
    """The speed limits are counted there: without them no other request leaves, and the attempt is made again later."""
    with sites.lent() as site:
        with Traps() as traps:
            with held_at(site, BOUNDARIES["model request"], "limited"):
                traps.lock("starter", site.redis / "starter.lock")
                server, horse = site.kill_server(), site.horse
                eventually(lambda: not alive(server), "the server is dead")
            eventually(lambda: site.run_of("limited")["state"] == "pending", "the attempt has ended")
            assert site.model.asked["limited"] == 1
        eventually(lambda: not alive(horse.pid), "it could tell its worker")
        site.finish_campaign()
        site.require_published("limited", attempts=2)
        site.require_tidy()
        run = site.run_of("limited")
        assert (run["setbacks"], run["tries"], run["losses"]) == (1, 0, 0)


def cut_gateway(held: Held) -> None:
    """It is a thread of what works on the job, and dies with that, as above. Here all its sockets are closed for it."""
    pid = held.site.horse.pid
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        if fd.readlink().name.startswith("socket:"):
            with duplicate(pid, int(fd.name)) as own:
                if str(own.getsockname()).endswith("/api.sock"):
                    own.shutdown(socket.SHUT_RDWR)


@contextmanager
def duplicate(pid: int, fd: int) -> Iterator[socket.socket]:
    """Another process' socket."""
    process = os.pidfd_open(pid)
    own = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, process, fd, 0)
    os.close(process)
    assert own >= 0, os.strerror(ctypes.get_errno())
    with socket.socket(fileno=own) as duplicated:
        yield duplicated
