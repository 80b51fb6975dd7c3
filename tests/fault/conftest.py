"""A project whose attempts can be held in the middle: each waits, in its sandbox, until the test lets it go."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest
from redis import RedisError
from sqlalchemy import func, select

from bot.config import Settings, assemble
from bot.domain.pull_requests import PullRequestState
from bot.hosts.local import LocalHost
from bot.queue.connection import connect_briefly
from bot.services import Services
from bot.store import audit, campaigns, reports
from bot.store.schema import accounts
from tests.fakes.processes import workers_below
from tests.fakes.queue_parts import eventually
from tests.story.conftest import COMMAND_SECONDS, Campaign, Project

STEPS = [
    {"run": "touch held; while [ ! -e go ]; do sleep 0.05; done; rm held go"},
    {"run": "echo 'Be kind.' > NOTE.md"},
]


class Faulty:
    """A project with the policy `notes`, whose every attempt is held until `release`."""

    def __init__(self, project: Project, processes: ExitStack):
        self.project, self._processes = project, processes
        self._started: list[subprocess.Popen[str]] = []
        self._mounts = _mounts(project.folder)
        project.write_campaign("notes", steps=STEPS)

    @property
    def redis(self) -> Path:
        return self.project.home / "redis"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """`whimbrel`, in the background, in a session of its own as in another terminal."""
        log = self._processes.enter_context((self.project.folder / "said.log").open("a"))
        command = self.project.command(*arguments)
        process = subprocess.Popen(**command, stdout=log, stderr=log, start_new_session=True)
        self._processes.callback(_end, process)
        self._started.append(process)
        return process

    def crash(self, process: subprocess.Popen[str]) -> None:
        """kill -9 of what was started here."""
        process.kill()
        process.wait()
        self._started.remove(process)

    def stop_all(self, *, just_started: bool = False) -> None:
        """SIGTERM to all that was started here, which has nothing more to do. One that was just started may not hear it yet."""
        ends = (0, -signal.SIGTERM) if just_started else (0,)
        for process in self._started:
            process.terminate()
        for process in self._started:
            assert process.wait(COMMAND_SECONDS) in ends

    def run(self, *options: str) -> subprocess.Popen[str]:
        return self.start("run", "notes", "--org", "acme", *options)

    def held(self) -> list[Path]:
        """The folders of the attempts that wait."""
        return sorted(flag.parents[1] for flag in self.project.home.glob("attempts/*/tree/held"))

    def wait_for(self, count: int) -> list[Path]:
        """Until so many attempts wait; return their folders."""
        eventually(lambda: len(self.held()) == count, f"{count} attempts wait")
        return self.held()

    def release(self) -> None:
        for folder in self.held():
            try:
                (folder / "tree" / "go").touch()
            except FileNotFoundError:  # it has just ended by itself
                continue

    def finish(self, process: subprocess.Popen[str], seconds: float = COMMAND_SECONDS) -> int:
        """Let go whatever waits until the process has ended; return its status."""
        self._release_until(lambda: process.poll() is not None, "the process ends", seconds)
        return process.wait()

    def finish_campaign(self, seconds: float = COMMAND_SECONDS) -> None:
        """Let go whatever waits until the newest campaign is completed."""
        self._release_until(lambda: self.campaign().status["state"] == "completed", "the campaign is completed", seconds)

    def campaign(self) -> Campaign:
        """The newest."""
        return self.campaigns()[0]

    def campaigns(self) -> list[Campaign]:
        with self._services() as services, services.database.reading() as tx:
            return [
                Campaign(reports.campaign_status(tx, each), reports.campaign_runs(tx, each.id), "")
                for each in campaigns.recent(tx)
            ]

    def children(self, process: subprocess.Popen[str] | psutil.Process) -> list[psutil.Process]:
        """Of `whimbrel run` and `whimbrel worker`: the workers. Of a worker: what works on its job."""
        return workers_below(psutil.Process(process.pid))

    def kill_server(self) -> int:
        """kill -9 of the embedded Redis server; return the process id that it had."""
        pid = self.server_pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        return pid

    def server_pid(self) -> int | None:
        """None where it does not answer."""
        try:
            with connect_briefly(self.url) as connection:
                return int(connection.info("server")["process_id"])
        except RedisError:
            return None

    @property
    def url(self) -> str:
        return f"unix://{self.redis / 'redis.sock'}"

    def require_all_published(self, *repositories: str) -> Campaign:
        """The newest campaign has published each of them, once, and nothing is left of the work."""
        campaign = self.campaign()
        assert campaign.status["state"] == "completed"
        assert campaign.outcomes == dict.fromkeys(repositories, "published"), campaign.rows
        found = LocalHost(self.project.folder / "host").list_pull_requests("acme")
        assert [(name, each.number, each.state) for name, each in found] == [
            (name, 1, PullRequestState.OPEN) for name in sorted(repositories)
        ]
        self.require_nothing_left()
        return campaign

    def require_nothing_left(self) -> None:
        """No money held, no process, mount, socket or folder of an attempt; the audit trail holds."""
        with self._services() as services, services.database.reading() as tx:
            assert tx.execute(select(func.sum(accounts.c.reserved))).scalar_one() == 0
            assert audit.verify(tx, services.audit_key, "acme") is None
        assert list((self.project.home / "attempts").iterdir()) == []
        assert [path for path in self.project.home.rglob("*") if path.is_socket() and path.name != "redis.sock"] == []
        if self.redis.exists():  # it has had a server of its own
            with (self.redis / "server.lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while that is alive
        eventually(lambda: not processes_of(self.project.folder), "no process is left", 10)
        self.require_no_mount()

    def require_no_mount(self) -> None:
        assert _mounts(self.project.folder) == self._mounts

    def _services(self) -> AbstractContextManager[Services]:
        return assemble(Settings.from_environment(self.project.environment | {"WHIMBREL_HOME": str(self.project.home)}))

    def _release_until(self, done: Callable[[], bool], what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, f"it never came to this: {what}\n{self.said}"
            self.release()
            time.sleep(0.05)

    @property
    def said(self) -> str:
        logs = (self.project.folder / "said.log", self.project.home / "workers.log")
        return "\n".join(log.read_text() for log in logs if log.exists())


def processes_of(folder: Path) -> list[psutil.Process]:
    """Every process that was told of the folder, works in it, or has it mounted (as a sandbox has)."""
    return [process for process in psutil.process_iter() if process.pid != os.getpid() and _knows(process, str(folder))]


def _knows(process: psutil.Process, folder: str) -> bool:
    try:
        told = [*process.environ().values(), process.cwd(), Path(f"/proc/{process.pid}/mountinfo").read_text()]
    except (psutil.Error, OSError):
        return False
    return any(folder in text for text in told)


def _mounts(folder: Path) -> list[str]:
    """What is mounted below it."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if point.startswith(str(folder))]


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


@pytest.fixture
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    with faulty_in(tmp_path_factory.mktemp("p")) as faulty:
        yield faulty


@contextmanager
def faulty_in(folder: Path) -> Iterator[Faulty]:
    project = Project(folder)
    project.begin()
    with ExitStack() as processes:
        yield Faulty(project, processes)
    for left in processes_of(project.folder):  # of a test that has failed
        left.kill()
