"""As root: sandboxes that are nobody's, to the host's kernel too.

A bubblewrap that root starts maps the agent to root. So it is started as an unprivileged user, as on anybody's desktop. What is
to be mounted may lie where that user cannot go, below /root for one: root binds it first, in a mount namespace of the sandbox's
own, to a stage that can be reached. No process of the sandbox but bubblewrap has ever been root's.
"""

from __future__ import annotations

import ctypes
import os
import platform
import stat
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bot.errors import SandboxError

USER = 65533
"""Kept free by Debian's policy (9.2.2), and not `nobody`, whom others use."""

_TOOLS = ("/usr/bin/unshare", "/usr/bin/setpriv", "/usr/bin/mount")
_STAGES = ("/mnt", "/media", "/srv", "/opt", "/tmp")  # noqa: S108 - covered, in a namespace of its own
_CAPABILITIES = {
    **{"CHOWN": 0, "DAC_OVERRIDE": 1, "KILL": 5, "SETGID": 6, "SETUID": 7},
    **{"SYS_PTRACE": 19, "SYS_ADMIN": 21, "SYS_NICE": 23},
}
"""What root must be allowed, to start a sandbox as another user and to hold it to its limits, by their bits."""
_CREDENTIALS = {"x86_64": (117, 119), "aarch64": (147, 149)}
"""The numbers of setresuid(2) and setresgid(2)."""
_FORBIDDING = {
    "/proc/sys/kernel/unprivileged_userns_clone": "0",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
    "/proc/sys/user/max_user_namespaces": "0",
}

_libc = ctypes.CDLL(None, use_errno=True)

# $1 is the stage, then come its sources, in the order of their numbers there; behind `--` is what to start.
_SCRIPT = f"""
stage=$1 number=0; shift
mount -t tmpfs -o size=64k,mode=755,nosuid,nodev whimbrel "$stage"
while [ "$1" != -- ]; do
  if [ -d "$1" ]; then mkdir "$stage/$number"; else : > "$stage/$number"; fi
  mount --rbind -- "$1" "$stage/$number"
  number=$((number + 1)); shift
done
exec setpriv --reuid={USER} --regid={USER} --clear-groups --inh-caps=-all --bounding-set=-all "$@"
"""


def obstacle() -> str | None:
    """What keeps root from starting a sandbox as an unprivileged user; None where nothing does."""
    if platform.machine() not in _CREDENTIALS:
        return f"it was never tried on {platform.machine()}"
    if missing := [tool for tool in _TOOLS if not Path(tool).exists()]:
        return f"{missing[0]} is missing"
    if missing := [name for name, bit in _CAPABILITIES.items() if not _capabilities() >> bit & 1]:
        return f"this root has no CAP_{missing[0]}"
    for file, forbidden in _FORBIDDING.items():
        if Path(file).exists() and Path(file).read_text().strip() == forbidden:
            return f"{file} is {forbidden}"
    return None


class Stage:
    """Where root's sources are seen by the user."""

    def __init__(self, sources: Iterable[Path]):
        self._sources = list(dict.fromkeys(source.absolute() for source in sources))
        self._folder = next(stage for stage in _STAGES if Path(stage).is_dir() and not self._hides_one(Path(stage)))

    def seen(self, source: Path) -> Path:
        return Path(self._folder, str(self._sources.index(source.absolute())))

    def start(self, argv: Sequence[str]) -> list[str]:
        """The command line that starts `argv` as the user, with the stage made.

        Raises SandboxError for a source that the user may not read.
        """
        for source in self._sources:
            require_readable(source)
        sources = map(str, self._sources)
        return ["/usr/bin/unshare", "--mount", "--", "/bin/sh", "-ec", _SCRIPT, "stage", self._folder, *sources, "--", *argv]

    def _hides_one(self, stage: Path) -> bool:
        return any(source.is_relative_to(stage) or source.resolve().is_relative_to(stage) for source in self._sources)


def require_readable(path: Path) -> None:
    """Raises SandboxError for a file or folder that is neither the user's nor open to all."""
    found = path.stat()
    needed = 0o005 if stat.S_ISDIR(found.st_mode) else 0o004
    if found.st_uid != USER and found.st_mode & needed != needed:
        words = f"{path} is closed to the user {USER}, as whom sandboxes run where the bot is root"
        raise SandboxError(words, mend=f"chmod -R go+rX {path}")


def hand_over(folder: Path) -> None:
    """Give a folder, and all that is in it, to the user, unless it is the user's already. Raises SandboxError."""
    if folder.stat().st_uid == USER:
        return
    done = subprocess.run(
        ["chown", "-R", "-h", f"{USER}:{USER}", "--", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SandboxError(f"{folder} cannot be given to the sandbox's user: {done.stderr.strip()}")


@contextmanager
def set_as(user: int) -> Iterator[None]:
    """Within it this thread's real user is `user`, and it can still do all that root can.

    prlimit(2) lets a process set the limits of one whose user is its own real user; of others only with CAP_SYS_RESOURCE,
    which root has in no container. The system calls are made directly: the C library's would change every thread.
    """
    _set_real(user)
    try:
        yield
    finally:
        _set_real(0)


def _set_real(user: int) -> None:
    for number in _CREDENTIALS[platform.machine()]:
        if _libc.syscall(number, user, -1, -1) != 0:
            raise OSError(ctypes.get_errno(), f"the real user of a thread cannot be set to {user}")


def give_pipes(pipes: Iterable[IO[bytes]]) -> None:
    """/dev/stdout is opened anew by who writes there: only the pipe's owner may."""
    for pipe in pipes:
        os.fchown(pipe.fileno(), USER, USER)


def _capabilities() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))


def drops() -> bool:
    """Are sandboxes started as another user than this process's?"""
    return os.geteuid() == 0 and obstacle() is None
