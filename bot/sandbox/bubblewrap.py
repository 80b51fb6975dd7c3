"""The sandbox by bubblewrap: namespaces for what a command sees, control groups or a watchdog for what it uses.

Inside there is no network and nothing of the host but a read-only /usr, single files of /etc, and what is mounted. There is
no other way to run a command: where the sandbox cannot be started, that is an error.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from functools import cached_property
from pathlib import Path

from bot.domain.policies import Limits
from bot.errors import SandboxError
from bot.ports import SandboxCommand, SandboxEnd, SandboxResult
from bot.sandbox.arguments import Bwrap, find_bwrap, installed_bwraps, require_sources
from bot.sandbox.cgroups import find_cgroups
from bot.sandbox.disk import DiskUse
from bot.sandbox.dropping import USER, drops, hand_over, obstacle, set_as
from bot.sandbox.limits import MB, Breach, Group, Limiter, Watch, restrict
from bot.sandbox.output import Output
from bot.sandbox.process import KILLED, SandboxProcess, gated
from bot.sandbox.toolchain import TOOLCHAIN, digest_of
from bot.sandbox.watchdog import Watchdog

_PUMP_SECONDS = 0.1


class BubblewrapSandbox:
    """`ports.Sandbox`. Nothing is looked for before the first run.

    `candidates` are the bubblewraps to choose from, `limiter` holds memory, processes and processors (by default: control
    groups where they can be made, else the watchdog), `max_output_mb` bounds all that one command may write.
    """

    def __init__(
        self, *, candidates: Iterable[Path] | None = None, limiter: Limiter | None = None, max_output_mb: int = 256
    ) -> None:
        self._candidates, self._limiter, self._max_output = candidates, limiter, max_output_mb * MB

    def run(
        self,
        command: SandboxCommand,
        *,
        on_line: Callable[[bytes], None] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> SandboxResult:
        require_sources(command)
        _prepare_home(command.home)
        written = [mount.source for mount in command.mounts if mount.writable]
        if self.user is not None:
            for folder in (command.workspace, command.home, *written):
                hand_over(folder)
        started, output = time.monotonic(), Output(on_line)
        with (
            self._limits().group(command.limits) as group,
            gated(self._bwrap, command, output, drop=self.user is not None) as process,
        ):
            _adopt(process, group, command.limits, self.user)
            disk = DiskUse((command.workspace, command.home, *written), process.tree)
            watch = Watch(command, output, group, disk, max_output=self._max_output, cancelled=cancelled)
            process.release(command.stdin)
            breach = _follow(process, watch)
            process.finish()
            breach = breach or watch.last_breach()
            status = process.exit_status()
            if status is None and breach is None:
                raise process.failure()
            return SandboxResult(
                exit_status=KILLED if status is None else status,
                ended_by=breach.end if breach else SandboxEnd.EXIT,
                duration_ms=int((time.monotonic() - started) * 1000),
                peak_memory_kb=group.peak_memory_kb,
                tail=output.tail,
                reason=breach.reason if breach else "",
            )

    def check(self) -> str:
        """Really start `true` in a sandbox; a short line for people. Raises SandboxError, with the mend, where that fails."""
        with tempfile.TemporaryDirectory(prefix="whimbrel-") as folder:
            place = Path(folder)
            result = self.run(SandboxCommand(["true"], place, place, Limits(), timeout_seconds=60))
        if result.exit_status != 0:
            raise SandboxError(f"`true` failed in a sandbox with status {result.exit_status}: {result.reason or result.tail}")
        return f"bubblewrap {self._bwrap.version} ({self._bwrap.path}), limits by {self._limits().name}, {_runs_as(self.user)}"

    @cached_property
    def user(self) -> int | None:
        return USER if drops() else None

    @cached_property
    def toolchain(self) -> str:
        return digest_of(TOOLCHAIN)

    @cached_property
    def _bwrap(self) -> Bwrap:
        return find_bwrap(installed_bwraps() if self._candidates is None else self._candidates)

    def _limits(self) -> Limiter:
        return self._limiter or find_cgroups() or Watchdog()


def _runs_as(user: int | None) -> str:
    if user is not None:
        return f"as the unprivileged user {user}"
    return f"as root, in a user namespace, because {obstacle()}" if os.geteuid() == 0 else "as the bot's own user"


def _prepare_home(home: Path) -> None:
    """Have a ~/.bashrc to cover. A link there, left by an earlier command, would have bubblewrap make a file on the host."""
    startup = home / ".bashrc"
    if startup.is_dir() and not startup.is_symlink():
        shutil.rmtree(startup)
    startup.unlink(missing_ok=True)
    startup.touch()


def _adopt(process: SandboxProcess, group: Group, limits: Limits, user: int | None) -> None:
    with set_as(user) if user is not None else nullcontext():
        for pid in process.pids():
            with suppress(ProcessLookupError):
                restrict(pid, limits)
                group.adopt(pid)


def _follow(process: SandboxProcess, watch: Watch) -> Breach | None:
    """Until the command ends, or a limit is reached."""
    while process.pump(_PUMP_SECONDS):
        if breach := watch.breach():
            return breach
    return None
