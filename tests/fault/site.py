"""A project whose scheduler and workers run as under a process manager, and whose attempts can be held at every boundary."""

from __future__ import annotations

import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import Select, func, select

from bot.demo.conversation import Conversation, Turn
from bot.demo.scripted_model import ScriptedModel
from bot.domain.pull_requests import PullRequestState
from bot.domain.repositories import Repository
from bot.hosts.local import LocalHost
from bot.store import audit
from bot.store.schema import accounts, ledger_entries, runs
from tests.fakes import repositories
from tests.fakes.queue_parts import eventually
from tests.fault.conftest import Faulty, processes_of
from tests.story.attempts import playing, write
from tests.story.conftest import COMMAND_SECONDS, Project

TEMPLATE = "files/NOTE.md.j2"
BRANCH = "whimbrel/notes"
REQUESTS_AN_ATTEMPT = 2
ROLES = {"scheduler": ("scheduler",), "supervisor": ("worker", "-n", "2")}


def hold(flag: str) -> dict[str, str]:
    """A command that waits for a file `go`, in a repository that has the file `flag`."""
    return {"run": f"[ ! -e {flag} ] || {{ touch held; while [ ! -e go ]; do sleep 0.02; done; rm held go; }}"}


POLICY: dict[str, Any] = {
    "steps": [{"template": TEMPLATE, "to": "NOTE.md"}, {"prompt": "Write in {{ repo.name }}"}, hold("hold-step")],
    "checks": [{**hold("hold-check"), "required": True}],
}


class Model:
    """Writes CLAUDE.txt, then ends; it counts the requests by repository, and answers while `answers` is set."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.answers = threading.Event()
        self.answers.set()
        self._write = playing(write("CLAUDE.txt", "made\n"))

    def __call__(self, conversation: Conversation) -> Turn:
        self.asked[conversation.prompt.split()[-1]] += 1
        self.answers.wait(COMMAND_SECONDS)
        return self._write(conversation)


class Site(Faulty):
    """Its policy makes a change by a template, a model and a command, and checks it."""

    def __init__(self, project: Project, processes: ExitStack):
        super().__init__(project, processes)
        self.model = Model()
        project.use(processes.enter_context(ScriptedModel(self.model)))
        project.write_org(ceilings={"open_pull_requests": 500, "pull_requests_per_hour": 500})
        project.write_campaign("notes", **POLICY)
        template = project.folder / "templates" / TEMPLATE
        template.parent.mkdir(parents=True, exist_ok=True)
        template.write_text("# {{ repo.name }}\n")
        self.services = processes.enter_context(self._services())
        self._roles: dict[str, subprocess.Popen[str]] = {}

    # --- processes ---

    def tend(self) -> None:
        """Start what is not running, as a process manager does."""
        for role, arguments in ROLES.items():
            if role not in self._roles or self._roles[role].poll() is not None:
                self._roles[role] = self.start(*arguments)

    @property
    def supervisor(self) -> psutil.Process:
        return psutil.Process(self._roles["supervisor"].pid)

    @property
    def scheduler(self) -> psutil.Process:
        return psutil.Process(self._roles["scheduler"].pid)

    @property
    def workers(self) -> list[psutil.Process]:
        return self.children(self.supervisor)

    @property
    def busy_worker(self) -> psutil.Process:
        [busy] = [worker for worker in self.workers if self.children(worker)]
        return busy

    @property
    def horse(self) -> psutil.Process:
        """What works on the job."""
        [horse] = self.children(self.busy_worker)
        return horse

    def sandboxes(self) -> list[psutil.Process]:
        return [child for child in self.horse.children() if "bwrap" in child.name()]

    # --- campaigns ---

    def begin(self, name: str, *flags: str) -> None:
        """A repository with these files, and a campaign on it."""
        self.project.repository(name, {"README.md": b"# Hello\n", **dict.fromkeys(flags, b"")})
        self.project.whimbrel("run", "notes", "--org", "acme", "--repo", name, "--detach")

    def finish_campaign(self, seconds: float = COMMAND_SECONDS) -> None:
        """Until it is completed, with all processes running that should."""
        deadline = time.monotonic() + seconds
        while self.campaign().status["state"] != "completed":
            assert time.monotonic() < deadline, f"the campaign is not completed\n{self.said}"
            self.tend()
            self.release()
            time.sleep(0.05)

    def held(self) -> list[Path]:
        """The workspaces of steps and checks that wait."""
        return [*super().held(), *(flag.parents[1] for flag in self.project.home.glob("attempts/*/check/tree/held"))]

    def run_of(self, name: str) -> dict[str, Any]:
        """The repository's only run, {} before it is there."""
        with self.services.database.reading() as tx:
            found = tx.execute(select(runs).where(runs.c.repository == name)).mappings().one_or_none()
        return dict(found) if found else {}

    def key_of(self, name: str) -> str:
        """The attempt that has the run."""
        run = self.run_of(name)
        return f"{run['id']}.{run['fence']}"

    def value(self, query: Select[Any]) -> Any:
        with self.services.database.reading() as tx:
            return tx.execute(query).scalar_one_or_none()

    def reserved(self, scope: str = "attempt") -> int:
        """In micro-USD, on all accounts of the scope: org, campaign, attempt."""
        return int(self.value(select(func.coalesce(func.sum(accounts.c.reserved), 0)).where(accounts.c.scope == scope)))

    # --- what must hold ---

    def require_published(self, name: str, *, attempts: int) -> None:
        """Exactly one pull request, with the whole change, after so many attempts."""
        run = self.run_of(name)
        assert (run["state"], run["outcome"], run["attempts"]) == ("ended", "published", attempts), (run, self.said)
        found = LocalHost(self.project.folder / "host").pull_requests(Repository("acme", name, "main", None), BRANCH)
        assert [(each.number, each.state) for each in found] == [(1, PullRequestState.OPEN)]
        files = repositories.files_at(self.project.bare(name), BRANCH)
        assert (files["NOTE.md"], files["CLAUDE.txt"]) == (f"# {name}\n".encode(), b"made\n")

    def require_tidy(self) -> None:
        """Nothing is left of any attempt: no money held, no folder, socket, process, mount or ref; the audit trail holds."""
        assert [self.reserved(scope) for scope in ("org", "campaign", "attempt")] == [0, 0, 0]
        with self.services.database.reading() as tx:
            assert audit.verify(tx, self.services.audit_key, "acme") is None
        home = self.project.home
        assert list((home / "attempts").iterdir()) == []
        assert list(home.glob("mirrors/acme/*.git/refs/whimbrel/attempts/*")) == []
        assert len(list((home / "revisions").iterdir())) == 1
        assert [path.name for path in home.rglob("*") if path.is_socket()] == ["redis.sock"]
        self.require_no_mount()
        eventually(self._only_roles_run, "only scheduler, workers and their server run", 20)

    def settled_unseen(self, name: str) -> list[tuple[int, int]]:
        """What was reserved and what was settled for the repository's requests whose answers were never seen."""
        reserved, settled = ledger_entries.alias(), ledger_entries.alias()
        run = self.run_of(name)["id"]
        query = (
            select(reserved.c.amount, settled.c.amount)
            .join(settled, settled.c.closes == reserved.c.id)
            .join(accounts, accounts.c.id == reserved.c.attempt_account)
            .where(accounts.c.key.startswith(f"{run}."), settled.c.estimated)
        )
        with self.services.database.reading() as tx:
            return [(row[0], row[1]) for row in tx.execute(query)]

    def stop(self) -> None:
        """An orderly end, which leaves nothing at all."""
        self.tend()
        for process in self._roles.values():
            process.terminate()
        for process in self._roles.values():
            assert process.wait(COMMAND_SECONDS) == 0, self.said
        self.project.whimbrel("audit", "verify")
        self.require_nothing_left()

    def _only_roles_run(self) -> bool:
        roles = {process.pid for process in self._roles.values()}
        known = roles | {worker.pid for worker in self.workers} | {self.server_pid() or 0}
        locks = {file.name for file in (self.project.home / "workers").iterdir()}
        running = {process.pid for process in processes_of(self.project.folder)}
        return running == known and len(known) == 5 and len(locks) == 2


class Sites:
    """One site for many tests, made anew after one that has failed in the middle."""

    def __init__(self, factory: pytest.TempPathFactory):
        self._factory = factory
        self._current: tuple[Site, ExitStack] | None = None

    @contextmanager
    def lent(self) -> Iterator[Site]:
        site, stack = self._current or self._make()
        self._current = None
        with ExitStack() as spoiled:
            spoiled.push(stack)
            site.tend()
            yield site
            spoiled.pop_all()
        self._current = site, stack

    def close(self) -> None:
        if self._current is not None:
            site, stack = self._current
            with stack:
                site.stop()

    def _make(self) -> tuple[Site, ExitStack]:
        stack = ExitStack()
        project = Project(self._factory.mktemp("p"))
        project.begin()
        stack.callback(_kill_all, project.folder)
        return Site(project, stack), stack


def _kill_all(folder: Path) -> None:
    for left in processes_of(folder):
        left.kill()
