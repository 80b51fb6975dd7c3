"""Limits by control groups, version 1 or 2: the kernel holds the memory, the processes and the processors of a whole sandbox.

Each sandbox gets a folder below our own group, so that a limit around ourselves holds for it too (below the nearest around it
that can have one, in version 2). The folder is locked as
long as its owner lives; one without a lock was left behind by an owner that was killed, and the next start clears it away.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bot.domain.policies import Limits
from bot.errors import SandboxError
from bot.ports import SandboxEnd
from bot.sandbox.limits import MB, OWN_PROCESSES, Breach, over

_PREFIX = "whimbrel-"
_CONTROLLERS = ("memory", "pids", "cpu")
_NEEDED = frozenset({"memory", "pids"})
_OPTIONAL = frozenset({"memory.memsw.limit_in_bytes", "memory.swap.max"})  # a kernel without swap accounting has none
_PERIOD_US = 100_000
_EMPTYING_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Version:
    """Where a version of control groups keeps what. `settings` are by controller, each file name with its value."""

    name: str
    settings: Callable[[Limits], Mapping[str, Mapping[str, str]]]
    memory_events: str
    memory_peak: str


def _quota(limits: Limits) -> int:
    return max(1_000, int(limits.cpus * _PERIOD_US))


def _settings_1(limits: Limits) -> Mapping[str, Mapping[str, str]]:
    memory = str(limits.memory_mb * MB)
    return {
        "memory": {"memory.limit_in_bytes": memory, "memory.memsw.limit_in_bytes": memory},
        "pids": {"pids.max": str(limits.processes + OWN_PROCESSES)},
        "cpu": {"cpu.cfs_period_us": str(_PERIOD_US), "cpu.cfs_quota_us": str(_quota(limits))},
    }


def _settings_2(limits: Limits) -> Mapping[str, Mapping[str, str]]:
    return {
        "memory": {"memory.max": str(limits.memory_mb * MB), "memory.swap.max": "0", "memory.oom.group": "1"},
        "pids": {"pids.max": str(limits.processes + OWN_PROCESSES)},
        "cpu": {"cpu.max": f"{_quota(limits)} {_PERIOD_US}"},
    }


VERSION_1 = Version("cgroup v1", _settings_1, "memory.oom_control", "memory.max_usage_in_bytes")
VERSION_2 = Version("cgroup v2", _settings_2, "memory.events", "memory.peak")


class Cgroups:
    """`limits.Limiter` where control groups can be made. `parents` is our own folder of each controller."""

    def __init__(self, version: Version, parents: Mapping[str, Path]) -> None:
        self._version, self._parents = version, parents

    @property
    def name(self) -> str:
        missing = [controller for controller in _CONTROLLERS if controller not in self._parents]
        return self._version.name + "".join(f", without {controller}" for controller in missing)

    @contextmanager
    def group(self, limits: Limits) -> Iterator[Cgroup]:
        name = _PREFIX + secrets.token_hex(8)
        with ExitStack() as stack:
            try:
                for parent in sorted(set(self._parents.values())):
                    stack.enter_context(own_folder(parent / name))
                group = Cgroup(self._version, {key: parent / name for key, parent in self._parents.items()}, limits)
                group.configure()
            except OSError as error:
                raise SandboxError(f"the limits of a sandbox could not be set: {error}", retryable=True) from error
            yield group


class Cgroup:
    """The control group of one sandbox: a folder for each controller."""

    def __init__(self, version: Version, folders: Mapping[str, Path], limits: Limits) -> None:
        self._version, self._folders, self._limits = version, folders, limits

    def configure(self) -> None:
        for controller, values in self._version.settings(self._limits).items():
            if controller in self._folders:
                for name, value in values.items():
                    file = self._folders[controller] / name
                    if file.exists() or name not in _OPTIONAL:
                        file.write_text(value)

    def adopt(self, pid: int) -> None:
        for folder in set(self._folders.values()):
            (folder / "cgroup.procs").write_text(str(pid))

    def breach(self) -> Breach | None:
        if _count(self._folders["memory"] / self._version.memory_events, "oom_kill"):
            return over(SandboxEnd.MEMORY, "memory", self._peak, self._limits.memory_mb * MB)
        if _count(self._folders["pids"] / "pids.events", "max"):
            allowed = f"{self._limits.processes:,}"
            reason = f"processes: {allowed} of {allowed} allowed (threads count), and one more was to be started"
            return Breach(SandboxEnd.PROCESSES, reason)
        return None

    @property
    def peak_memory_kb(self) -> int:
        return self._peak // 1024

    @property
    def _peak(self) -> int:
        try:
            return int((self._folders["memory"] / self._version.memory_peak).read_text())
        except FileNotFoundError:  # version 2 before Linux 5.19
            return int((self._folders["memory"] / "memory.current").read_text())


def find_cgroups(proc: Path = Path("/proc/self")) -> Cgroups | None:
    """The control groups that we may make sandboxes' groups in, or None. `proc` has our `cgroup` and `mountinfo`."""
    parents_1, parents_2 = _own_groups(proc)
    usable = {key: folder for key, folder in parents_1.items() if os.access(folder, os.W_OK)}
    if usable.keys() >= _NEEDED:
        return Cgroups(VERSION_1, usable)
    if parents_2 and not _handed_down(parents_2[0]) >= _NEEDED:
        _ask_for_controllers(parents_2[0])
    for parent in parents_2:
        if (controllers := _handed_down(parent)) >= _NEEDED:
            return Cgroups(VERSION_2, dict.fromkeys(sorted(controllers), parent))
    return None


def _own_groups(proc: Path) -> tuple[dict[str, Path], list[Path]]:
    """Our own folder of each controller of version 1; our own of version 2, and those around it, up to the mount.

    Version 2 hands no memory down from a group that has processes of its own, and so ours is often of no use, but the next is.
    """
    own = {}
    for line in (proc / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own.update(dict.fromkeys(controllers.split(","), path))
    parents_1: dict[str, Path] = {}
    parents_2: list[Path] = []
    for line in (proc / "mountinfo").read_text().splitlines():
        mount, _, source = line.partition(" - ")
        root, mount_point = mount.split()[3:5]
        kind, _, options = source.split(" ", 2)
        if kind == "cgroup":
            for controller in set(_CONTROLLERS) & own.keys() & set(options.split(",")):
                if folder := _folder(mount_point, root, own[controller]):
                    parents_1[controller] = folder
        elif kind == "cgroup2":
            folder = _folder(mount_point, root, own.get("", "/"))
            parents_2 = [each for each in (folder, *folder.parents) if each.is_relative_to(mount_point)] if folder else []
    return parents_1, parents_2


def _folder(mount_point: str, root: str, path: str) -> Path | None:
    """Where group `path` is in a mount that shows what is below group `root`; None where it does not show it."""
    group = PurePosixPath(path)
    return Path(mount_point) / group.relative_to(root) if group.is_relative_to(root) else None


def _ask_for_controllers(own: Path) -> None:
    """Have our group hand all that we use down, where the kernel lets it: in the root of a machine, or of a container."""
    for controller in _CONTROLLERS:
        with suppress(OSError):
            (own / "cgroup.subtree_control").write_text(f"+{controller}")


def _handed_down(folder: Path) -> set[str]:
    """The controllers of version 2 that groups made in `folder` have; none where we may make none, or not move into them."""
    if not (os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK)):
        return set()
    return set(_CONTROLLERS) & set((folder / "cgroup.subtree_control").read_text().split())


def _count(file: Path, key: str) -> int:
    for line in file.read_text().splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return int(value)
    return 0


@contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """A new group, locked, and gone after the block; those of dead owners beside it are cleared away first."""
    with _locked(folder.parent):
        _sweep(folder.parent)
        folder.mkdir()
        lock = _lock(folder)
    try:
        yield
    finally:
        _clear(folder)
        os.close(lock)


def _sweep(parent: Path) -> None:
    for folder in parent.glob(_PREFIX + "*"):
        with suppress(FileNotFoundError, BlockingIOError), _locked(folder, fcntl.LOCK_NB):
            _clear(folder)


def _clear(folder: Path) -> None:
    """Kill what is left in a group and remove it. What cannot die now is left to the next sweep."""
    until = time.monotonic() + _EMPTYING_SECONDS
    while True:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:  # EBUSY: a process is in it, or is just leaving
            if time.monotonic() > until:
                return
            _kill_all(folder)
            time.sleep(0.005)
        else:
            return


def _kill_all(folder: Path) -> None:
    for pid in map(int, (folder / "cgroup.procs").read_text().split()):
        if pid > 0:  # 0 is a process that our pid namespace does not show, and to kill() it is our own process group
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextmanager
def _locked(folder: Path, flags: int = 0) -> Iterator[None]:
    lock = _lock(folder, flags)
    try:
        yield
    finally:
        os.close(lock)


def _lock(folder: Path, flags: int = 0) -> int:
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | flags)
    except BaseException:
        os.close(lock)
        raise
    return lock
