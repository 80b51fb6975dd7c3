"""A project whose attempts can be held in the middle: each waits, in its sandbox, until the test lets it go."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from sqlalchemy import func, select

from bot.queue.connection import connect_briefly
from bot.store.database import Database
from bot.store.schema import accounts
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
        return process

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

    def finish_campaign(self, seconds: float = COMMAND_SECONDS) -> Campaign:
        """Let go whatever waits until the newest campaign is completed."""

        def completed() -> bool:
            [newest, *_] = self.project.whimbrel("status", "--json").json
            return bool(newest["state"] == "completed")

        self._release_until(completed, "the campaign is completed", seconds)
        return self.campaign()

    def campaign(self) -> Campaign:
        """The newest."""
        return self.project.campaign(self.project.whimbrel("status", "--json").json[0])

    def children(self, process: subprocess.Popen[str] | psutil.Process) -> list[psutil.Process]:
        """Of `whimbrel run` and `whimbrel worker`: the workers. Of a worker: what works on its job."""
        return [child for child in psutil.Process(process.pid).children() if "bot.worker" in child.cmdline()]

    def kill_server(self) -> int:
        """kill -9 of the embedded Redis server; return the process id that it had."""
        pid = self.server_pid()
        os.kill(pid, signal.SIGKILL)
        return pid

    def server_pid(self) -> int:
        with connect_briefly(f"unix://{self.redis / 'redis.sock'}") as connection:
            return int(connection.info("server")["process_id"])

    def require_all_published(self, *repositories: str) -> Campaign:
        """The newest campaign has published each of them, once, and nothing is left of the work."""
        campaign = self.campaign()
        assert campaign.status["state"] == "completed"
        assert campaign.outcomes == dict.fromkeys(repositories, "published"), campaign.rows
        pulls = self.project.pull_requests()
        assert sorted((pull["repository"], pull["number"], pull["state"]) for pull in pulls) == [
            (name, 1, "open") for name in sorted(repositories)
        ]
        self.require_nothing_left()
        return campaign

    def require_nothing_left(self) -> None:
        """No money held, no process, mount, socket or folder of an attempt; the audit trail holds."""
        database = Database(f"sqlite:///{self.project.home / 'whimbrel.db'}")
        with database.reading() as tx:
            assert tx.execute(select(func.sum(accounts.c.reserved))).scalar_one() == 0
        database.dispose()
        self.project.whimbrel("audit", "verify")
        assert list((self.project.home / "attempts").iterdir()) == []
        assert [path for path in self.project.home.rglob("*") if path.is_socket() and path.name != "redis.sock"] == []
        with (self.redis / "server.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while a server is alive
        eventually(lambda: not processes_of(self.project.folder), "no process is left", 10)
        assert str(self.project.folder) not in Path("/proc/self/mountinfo").read_text()

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
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError, OSError):
        return False
    return any(folder in text for text in told)


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


@pytest.fixture
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    project = Project(tmp_path_factory.mktemp("p"))
    project.begin()
    with ExitStack() as processes:
        yield Faulty(project, processes)
    for left in processes_of(project.folder):  # of a test that has failed
        left.kill()
